"""A signed bookmark: how far the log was read and found in order when a checkpoint was signed.

A start need not judge again what was judged before: bytes with the digest that the bookmark states are the lines that
were read then. It is an aid and no evidence. One that is missing, is not signed by the log's key or does not fit the
log is no fault; every line is then read, and that decides. Auditors read the log itself (`verify.py`).
"""

import hashlib
import json
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

from enclave.audit import signed_note
from enclave.audit.chain import Chain
from enclave.audit.record import StoredEntry, canonical
from enclave.audit.tree import Frontier
from enclave.crypto.secret import Secret
from enclave.errors import Halt

KIND = "enclave log bookmark v1"
"""The first line of the signed text: no checkpoint begins with it, and no bookmark is taken for a checkpoint."""
MOST_OPEN_INTENTS = 32
"""With more of them the log is read whole; a bookmark holds each, and is kept small."""


class _Stated(BaseModel):
    """The second line of the signed text; the lines under it are the log's first, its last, and the open intents."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bytes: int
    sha256: str
    size: int
    subtrees: tuple[str, ...]
    tails: tuple[tuple[int, str], ...]
    keys: tuple[str, ...]
    halt: str


def make(chain: Chain, log: BinaryIO, seed: Secret, name: str) -> bytes | None:
    """The bookmark of a chain that was read from `log`; None where there is too much to hold."""
    if chain.first is None or chain.last is None or len(chain.open_intents) > MOST_OPEN_INTENTS:
        return None
    stated = _Stated(
        bytes=chain.offset,
        sha256=_digest(log, chain.offset),
        size=chain.size,
        subtrees=tuple(node.hex() for node in chain.frontier.subtrees),
        tails=tuple(sorted(chain.noted_tails)),
        keys=tuple(sorted(chain.keys)),
        halt=chain.halt,
    )
    held = [chain.first, chain.last, *chain.open_intents.values()]
    lines = "".join(canonical(line).decode("ascii") for line in held)
    return signed_note.sign(f"{KIND}\n{json.dumps(stated.model_dump(), sort_keys=True)}\n{lines}", name, seed)


def chain_at(bookmark: bytes, log: BinaryIO, vkey: str) -> Chain | None:
    """What is known of `log` up to a bookmark; None where the bookmark is not signed by this key or does not fit."""
    try:
        kind, told, *lines = signed_note.verified(bookmark, vkey).decode("ascii").splitlines()
        stated = _Stated.model_validate_json(told)
        held = [StoredEntry.model_validate_json(line) for line in lines]
    except (Halt, ValueError, ValidationError):
        return None
    if kind != KIND or len(held) < 2 or _digest(log, stated.bytes) != stated.sha256:
        return None
    frontier = Frontier.of(stated.size, [bytes.fromhex(node) for node in stated.subtrees])
    return Chain.at(
        stated.bytes, frontier, held[0], held[1], held[2:], set(stated.tails), set(stated.keys), stated.halt
    )


def _digest(log: BinaryIO, length: int) -> str:
    """The SHA-256 of the first `length` bytes, or of fewer where the log is shorter."""
    digest, left = hashlib.sha256(), length
    log.seek(0)
    while left and (part := log.read(min(left, 1 << 20))):
        digest.update(part)
        left -= len(part)
    return digest.hexdigest()
