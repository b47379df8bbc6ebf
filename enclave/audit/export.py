"""What an auditor takes along: log, checkpoints, key, the stand-alone verifier, and proofs of single lines."""

import base64
from dataclasses import dataclass
from pathlib import Path

from enclave import durable
from enclave.audit import checkpoint, tree, verify
from enclave.audit.log import CHECKPOINTS, LOG, VKEY, FileLog
from enclave.audit.record import leaf_hash
from enclave.errors import Refused, explain

explain(
    "R_NOT_COVERED",
    "No signed checkpoint covers that line, or the two checkpoints are not of this log.",
    "Run the `checkpoint` job, then ask again.",
    nb=("Ingen signerte sjekkpunkter dekker linjen.", "Kjør jobben `checkpoint`, og spør igjen."),
)

PROOF_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Exported:
    """What an export holds: lines, checkpoints, and the SHA-256 of the log file."""

    lines: int
    checkpoints: int
    sha256: str


def export(log: FileLog, folder: Path) -> Exported:
    """Copy log, checkpoints, key and verifier into a folder that is made here; exporting again replaces the copies."""
    notes = log.checkpoints()
    content = b"".join(log.lines())
    durable.make_folder(folder / CHECKPOINTS)
    digest = durable.write(folder / LOG, content)
    for size, note in notes:
        durable.write(folder / CHECKPOINTS / f"{size:012d}", note)
    durable.write(folder / VKEY, log.vkey.encode() + b"\n")
    durable.write(folder / "verify.py", Path(verify.__file__).read_bytes())
    return Exported(content.count(b"\n"), len(notes), digest)


def prove(log: FileLog, seq: int) -> bytes:
    """A C2SP tlog-proof that line `seq` is in the log under its newest checkpoint; the line itself is its `extra`."""
    signed, note, lines = _newest(log)
    if not 0 <= seq < signed.size:
        raise Refused("R_NOT_COVERED", place=f"seq {seq}")
    leaves = [leaf_hash(line) for line in lines]
    extra = base64.b64encode(lines[seq]).decode()
    return _text([PROOF_HEADER, f"extra {extra}", f"index {seq}"], tree.Tree(leaves).inclusion_proof(seq), note)


def consistency(log: FileLog, older: bytes) -> bytes:
    """A proof that the log of an older checkpoint is the beginning of the newest one, as C2SP witnesses read it.

    The first line is `old SIZE`, then the hashes, a blank line, and the newest checkpoint.
    """
    signed, note, lines = _newest(log)
    old = checkpoint.verify(older, log.vkey)
    leaves = [leaf_hash(line) for line in lines]
    if not 0 < old.size <= signed.size or tree.root(leaves[: old.size]) != old.root:
        raise Refused("R_NOT_COVERED", place=f"size {old.size}")
    return _text([f"old {old.size}"], tree.Tree(leaves).consistency_proof(old.size), note)


def _newest(log: FileLog) -> tuple[checkpoint.Checkpoint, bytes, list[bytes]]:
    """The newest checkpoint, its note, and the lines that it covers without their newlines."""
    note = log.newest_checkpoint()
    if note is None:
        raise Refused("R_NOT_COVERED")
    signed = checkpoint.verify(note, log.vkey)
    return signed, note, [line[:-1] for line in log.lines()][: signed.size]


def _text(head: list[str], hashes: list[bytes], note: bytes) -> bytes:
    encoded = [base64.b64encode(value).decode() for value in hashes]
    return "\n".join([*head, *encoded]).encode() + b"\n\n" + note
