"""Signed notes with Ed25519: a text, and under it the signature of a key that has a name (c2sp.org/signed-note).

A verification key is `NAME+KEYID+BASE64`; where one was replaced there are several of the same name, a line each. What
kind of statement a text is, its first line tells.
"""

import base64
import binascii
import hashlib
import re

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
NAME = re.compile(r"[a-z0-9]([a-z0-9./-]{0,98}[a-z0-9])?")
_LARGEST_NOTE = 64 * 1024


def public_key_of(seed: Secret) -> bytes:
    """The 32 bytes of the public half of an Ed25519 seed."""
    return _private(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def vkey_of(name: str, public_key: bytes) -> str:
    """The verification key text that auditors hold: name, key id, and base64 of 0x01 ‖ public key."""
    return f"{name}+{_key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def name_in(vkey: str) -> str:
    """The name inside a verification key text."""
    return _parse_vkeys(vkey)[0]


def public_keys_in(vkey: str) -> tuple[bytes, ...]:
    """The 32 bytes of each public key inside a verification key text, in order."""
    return _parse_vkeys(vkey)[1]


def sign(text: str, name: str, *seeds: Secret) -> bytes:
    """A text that ends with a newline, signed by each key; the same text and seeds give the same bytes."""
    if not NAME.fullmatch(name) or not text.endswith("\n") or not seeds:
        raise Halt("H_CHECKPOINT")
    signed = [_key_id(name, public_key_of(seed)) + _private(seed).sign(text.encode()) for seed in seeds]
    lines = "".join(f"\u2014 {name} {base64.b64encode(signature).decode()}\n" for signature in signed)
    return f"{text}\n{lines}".encode()


def verified(note: bytes, vkey: str) -> bytes:
    """The text of a note, once a signature by one of these keys over it has verified; else Halt H_CHECKPOINT.

    Signatures by other keys (witnesses) are ignored, as the format asks; one of ours that is wrong halts.
    """
    name, public_keys = _parse_vkeys(vkey)
    text, signatures = _split(note)
    by_id = {_key_id(name, public_key): public_key for public_key in public_keys}
    ours = [(by_id[value[:4]], value[4:]) for signer, value in signatures if signer == name and value[:4] in by_id]
    if not ours:
        raise Halt("H_CHECKPOINT")
    try:
        for public_key, signature in ours:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        raise Halt("H_CHECKPOINT") from None
    return text


def _parse_vkeys(vkey: str) -> tuple[str, tuple[bytes, ...]]:
    parsed = [_parse_vkey(line) for line in vkey.strip().split("\n")]
    if len({name for name, _ in parsed}) != 1:
        raise Halt("H_CHECKPOINT", place="vkey")
    return parsed[0][0], tuple(key for _, key in parsed)


def _parse_vkey(vkey: str) -> tuple[str, bytes]:
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    key = exact_base64(encoded)
    if not NAME.fullmatch(name) or len(key) != 33 or key[:1] != _ED25519:
        raise Halt("H_CHECKPOINT", place="vkey")
    if key_id != _key_id(name, key[1:]).hex():
        raise Halt("H_CHECKPOINT", place="vkey")
    return name, key[1:]


def _split(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
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
        signatures.append((name, exact_base64(value)))
    return text + b"\n", signatures


def exact_base64(text: str) -> bytes:
    """What a base64 text of one spelling only stands for; else Halt H_CHECKPOINT."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Halt("H_CHECKPOINT") from None
    if base64.b64encode(content).decode() != text:  # unused low bits: one value has one spelling
        raise Halt("H_CHECKPOINT")
    return content


def _key_id(name: str, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def _private(seed: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed.reveal())
