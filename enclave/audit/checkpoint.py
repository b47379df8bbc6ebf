"""Signed heads of the log: C2SP tlog-checkpoints, which are signed notes with Ed25519 (c2sp.org/tlog-checkpoint).

A checkpoint is three lines (origin, size, root in base64), a blank line, and a line with the signature. Whoever keeps
one can later show that the history before it was rewritten. A verification key is `NAME+KEYID+BASE64`.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave.crypto.secret import Secret
from enclave.errors import Halt, explain

explain(
    "H_CHECKPOINT",
    "A checkpoint of the audit log is not well formed, or its signature does not verify.",
    "Keep the folder as it is. Compare with the checkpoints that recipients hold; then `enclave recover`.",
    nb=(
        "Et sjekkpunkt i revisjonsloggen er ødelagt, eller signaturen stemmer ikke.",
        "La mappen være som den er, sammenlign med sjekkpunkter hos mottakerne, og kjør deretter `enclave recover`.",
    ),
)

_ED25519 = b"\x01"
_ORIGIN = re.compile(r"[a-z0-9]([a-z0-9./-]{0,98}[a-z0-9])?")
_LARGEST_NOTE = 4096


@dataclass(frozen=True)
class Checkpoint:
    """A verified head: which log, how many lines, and the root over them."""

    origin: str
    size: int
    root: bytes


def public_key_of(seed: Secret) -> bytes:
    """The 32 bytes of the public half of an Ed25519 seed."""
    return _private(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def vkey_of(origin: str, public_key: bytes) -> str:
    """The verification key text that auditors hold: name, key id, and base64 of 0x01 ‖ public key."""
    return f"{origin}+{_key_id(origin, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def sign(origin: str, size: int, root: bytes, seed: Secret) -> bytes:
    """The signed note over a head; the same head and seed give the same bytes."""
    if not _ORIGIN.fullmatch(origin) or size < 0 or len(root) != hashlib.sha256().digest_size:
        raise Halt("H_CHECKPOINT")
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    key_id = _key_id(origin, public_key_of(seed))
    signature = base64.b64encode(key_id + _private(seed).sign(text.encode())).decode()
    return f"{text}\n\u2014 {origin} {signature}\n".encode()


def verify(note: bytes, vkey: str) -> Checkpoint:
    """The head that a note states, once a signature by this key over it has verified; else Halt H_CHECKPOINT.

    Signatures by other keys (witnesses) are ignored, as the format asks.
    """
    origin, public_key = _parse_vkey(vkey)
    text, signatures = _split_note(note)
    key_id = _key_id(origin, public_key)
    ours = [value[4:] for name, value in signatures if name == origin and value[:4] == key_id]
    if not ours:
        raise Halt("H_CHECKPOINT")
    try:
        for signature in ours:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        raise Halt("H_CHECKPOINT") from None
    return _parse_text(text, origin)


def public_key_in(vkey: str) -> bytes:
    """The 32 bytes of the public key inside a verification key text."""
    return _parse_vkey(vkey)[1]


def _parse_vkey(vkey: str) -> tuple[str, bytes]:
    origin, _, rest = vkey.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    key = _base64(encoded)
    if not _ORIGIN.fullmatch(origin) or len(key) != 33 or key[:1] != _ED25519:
        raise Halt("H_CHECKPOINT", place="vkey")
    if key_id != _key_id(origin, key[1:]).hex():
        raise Halt("H_CHECKPOINT", place="vkey")
    return origin, key[1:]


def _split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    text, blank, tail = note.rpartition(b"\n\n")
    if len(note) > _LARGEST_NOTE or not blank or not tail.endswith(b"\n"):
        raise Halt("H_CHECKPOINT")
    signatures: list[tuple[str, bytes]] = []
    for line in tail[:-1].split(b"\n"):
        try:
            dash, name, value = line.decode().split(" ")
        except ValueError:
            raise Halt("H_CHECKPOINT") from None
        if dash != "\u2014":
            raise Halt("H_CHECKPOINT")
        signatures.append((name, _base64(value)))
    return text + b"\n", signatures


def _parse_text(text: bytes, origin: str) -> Checkpoint:
    match = re.fullmatch(rb"([a-z0-9./-]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n", text)
    if match is None or match[1].decode() != origin:
        raise Halt("H_CHECKPOINT")
    return Checkpoint(origin, int(match[2]), _base64(match[3].decode()))


def _base64(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Halt("H_CHECKPOINT") from None
    if base64.b64encode(content).decode() != text:  # unused low bits: one value has one spelling
        raise Halt("H_CHECKPOINT")
    return content


def _key_id(origin: str, public_key: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def _private(seed: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed.reveal())
