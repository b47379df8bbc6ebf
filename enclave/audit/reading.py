"""Reading a log file on from where a chain stands; what is not in order halts."""

import os
from pathlib import Path

from enclave import durable
from enclave.audit.chain import Chain
from enclave.audit.checkpoint import Checkpoint
from enclave.errors import Halt, explain

explain(
    "H_LOG_MISSING",
    "The folder holds no audit log, or not one of this server.",
    "Check the folder in enclave.toml; a new log is made only by `enclave init`.",
    nb=("Mappen har ingen revisjonslogg.", "Kontroller mappen i enclave.toml; ny logg lages bare av `enclave init`."),
)
explain(
    "H_LOG_SHORTER",
    "The audit log is shorter than a checkpoint or a database says: lines at its end are gone.",
    "Bring the whole log back from where it went; do not go on without it. See the auditor's guide.",
    nb=(
        "Revisjonsloggen er kortere enn et sjekkpunkt eller en database sier.",
        "Finn hele loggen igjen; gå ikke videre uten. Se veiledningen for revisor.",
    ),
)
explain(
    "H_LOG_FORKED",
    "The audit log is not the one that its newest checkpoint was signed over.",
    "Keep the folder as it is and run `audit/verify.py` on a copy; someone rewrote the log or mixed two logs.",
    nb=(
        "Revisjonsloggen er ikke den som det nyeste sjekkpunktet ble signert over.",
        "La mappen være som den er, og kjør `verify.py` på en kopi.",
    ),
)
explain(
    "H_LOG_CHANGED",
    "The audit log was replaced or cut while a job was using it.",
    "Find out what touched the folder; start again only after `audit verify` is clean.",
    nb=("Revisjonsloggen ble byttet ut mens den var i bruk.", "Finn årsaken; kjør `audit verify` før ny start."),
)


def read_on(path: Path, chain: Chain, inode: int, signed: Checkpoint | None) -> tuple[int, bytes]:
    """Give a chain the whole lines that follow it; answers the file's inode and the bytes after the last newline.

    `inode` is that of the last time, 0 at the first. The log must be the one that `signed` was signed over.
    """
    with durable.opened(path) as file:
        facts = os.fstat(file.fileno())
        if facts.st_ino != (inode or facts.st_ino) or facts.st_size < chain.offset:
            raise Halt("H_LOG_CHANGED")
        file.seek(chain.offset)
        tail = b""
        for line in file:
            if not line.endswith(b"\n"):
                tail = line
                break
            chain.take(line)
            if signed and chain.size == signed.size and chain.frontier.root() != signed.root:
                raise Halt("H_LOG_FORKED", place=f"size {signed.size}")
    if signed and (chain.size < signed.size or signed.origin != chain.origin):
        raise Halt("H_LOG_SHORTER", place=f"size {signed.size}")
    if chain.first is None:
        raise Halt("H_LOG_MISSING")
    return facts.st_ino, tail
