"""The head of the audit log → a signed checkpoint, kept beside the log and laid out for the auditor."""

from enclave import durable
from enclave.audit.chain import key_digest
from enclave.audit.signed_note import public_key_of, public_keys_in
from enclave.crypto.key_rotation import earlier_halves
from enclave.flow import Act
from enclave.wiring import Wiring

NAME = "audit-sign"


def checkpoint(wiring: Wiring) -> dict[str, int]:
    """Sign the log as it stands; answers its size. While the key is being replaced both sign."""
    durable.sweep(wiring.folder.outbox)
    known = public_keys_in(wiring.log.vkey)
    seeds = [seed for seed in wiring.server_keys.opening(NAME) if public_key_of(seed) in known]
    with wiring.acts.act(Act.LOG_CHECKPOINT, "log", wiring.log.log_id):
        note = wiring.log.sign_checkpoint(*seeds, own=_own_keys(wiring))
        # A crash here leaves the checkpoint beside the log; the next one lays out a newer for the auditor.
        durable.write(wiring.folder.outbox / "checkpoint.txt", note, mode=0o644)
        durable.write(wiring.folder.outbox / "vkey", wiring.log.vkey.encode() + b"\n", mode=0o644)
    return {"size": wiring.log.head()[0]}


def _own_keys(wiring: Wiring) -> frozenset[str]:
    """Every key that this server signs or signed with: each job can write to the log, and none to the keys."""
    halves = (*wiring.public_halves(NAME), *earlier_halves(wiring.folder.keys, NAME))
    return frozenset(key_digest(bytes.fromhex(half)) for half in halves)
