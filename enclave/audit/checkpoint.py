"""Signed heads of the log: C2SP tlog-checkpoints (c2sp.org/tlog-checkpoint).

A checkpoint is a signed note of three lines: origin, size, root in base64. Whoever keeps one can later show that the
history before it was rewritten.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from enclave.audit import signed_note
from enclave.crypto.secret import Secret
from enclave.errors import Halt

_LARGEST_NOTE = 4096


@dataclass(frozen=True)
class Checkpoint:
    """A verified head: which log, how many lines, and the root over them."""

    origin: str
    size: int
    root: bytes


def sign(origin: str, size: int, root: bytes, *seeds: Secret) -> bytes:
    """The note over a head, signed by each key; the same head and seeds give the same bytes."""
    if size < 0 or len(root) != hashlib.sha256().digest_size:
        raise Halt("H_CHECKPOINT")
    return signed_note.sign(f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n", origin, *seeds)


def verify(note: bytes, vkey: str) -> Checkpoint:
    """The head that a note states, once one of these keys' signature over it has verified; else Halt H_CHECKPOINT."""
    if len(note) > _LARGEST_NOTE:
        raise Halt("H_CHECKPOINT")
    return _parse_text(signed_note.verified(note, vkey), signed_note.name_in(vkey))


def _parse_text(text: bytes, origin: str) -> Checkpoint:
    match = re.fullmatch(rb"([a-z0-9./-]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n", text)
    if match is None or match[1].decode() != origin:
        raise Halt("H_CHECKPOINT")
    return Checkpoint(origin, int(match[2]), signed_note.exact_base64(match[3].decode()))
