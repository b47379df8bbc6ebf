"""The head of the audit log → a signed checkpoint, kept beside the log and laid out for the auditor."""

from enclave import durable
from enclave.flow import Act
from enclave.wiring import Wiring


def checkpoint(wiring: Wiring) -> dict[str, int]:
    """Sign the log as it stands; answers its size."""
    durable.sweep(wiring.folder.outbox)
    with wiring.acts.act(Act.LOG_CHECKPOINT, "log", wiring.log.log_id):
        note = wiring.log.sign_checkpoint(wiring.server_keys.get("audit-sign"))
        # A crash here leaves the checkpoint beside the log; the next one lays out a newer for the auditor.
        durable.write(wiring.folder.outbox / "checkpoint.txt", note, mode=0o644)
        durable.write(wiring.folder.outbox / "vkey", wiring.log.vkey.encode() + b"\n", mode=0o644)
    return {"size": wiring.log.head()[0]}
