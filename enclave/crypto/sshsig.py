"""SSHSIG signatures by OpenSSH Ed25519 keys, as `ssh-keygen -Y sign` and `-Y verify` make and check them.

Format: PROTOCOL.sshsig of OpenSSH. Only Ed25519, version 1, SHA-512 or SHA-256 and an empty reserved field are taken.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from enclave.crypto.allowed_signers import (
    KEY_TYPE,
    AllowedSigner,
    format_allowed_signers,
    key_blob,
    parse_allowed_signers,
)
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected, explain

explain(
    "E_SIG",
    "The signature does not belong to these bytes, or is not an OpenSSH Ed25519 signature.",
    "Sign the finished file again with the key that is registered for you, and send a new drop.",
    nb=(
        "Signaturen hører ikke til disse dataene, eller er ikke en OpenSSH Ed25519-signatur.",
        "Signer den ferdige filen på nytt med nøkkelen som er registrert for dere, og send en ny innsending.",
    ),
)
explain(
    "E_SENDER",
    "The signature is made with a key that is not registered for this sender.",
    "Sign with the key that is registered for you, or register the new key first.",
    nb=(
        "Signaturen er laget med en nøkkel som ikke er registrert for denne avsenderen.",
        "Signer med nøkkelen som er registrert for dere, eller registrer den nye nøkkelen først.",
    ),
)
explain(
    "E_NAMESPACE",
    "The signature was made for another purpose or another registry.",
    "Sign again with the namespace that the instructions name.",
    nb=(
        "Signaturen er laget for et annet formål eller et annet register.",
        "Signer på nytt med navnerommet (namespace) som står i veiledningen.",
    ),
)
explain(
    "E_SIGNER_EXPIRED",
    "The signing key was no longer valid when the drop was collected.",
    "Register a new signing key, sign again and send a new drop.",
    nb=(
        "Signeringsnøkkelen var ikke lenger gyldig da innsendingen ble hentet.",
        "Registrer en ny signeringsnøkkel, signer på nytt og send en ny innsending.",
    ),
)
explain(
    "E_SIGNER_NOT_YET",
    "The signing key was not registered yet when the drop was collected.",
    "Send the drop again, signed with the key that is registered now.",
    nb=(
        "Signeringsnøkkelen var ikke registrert ennå da innsendingen ble hentet.",
        "Send innsendingen på nytt, signert med nøkkelen som er registrert nå.",
    ),
)
explain(
    "E_SIGNER_REVOKED",
    "The signing key has been taken out of use because others may have it.",
    "Contact the registry, register a new signing key, sign again and send a new drop.",
    nb=(
        "Signeringsnøkkelen er trukket tilbake fordi andre kan ha den.",
        "Ta kontakt med registeret, registrer en ny signeringsnøkkel, signer på nytt og send en ny innsending.",
    ),
)
explain(
    "H_SIGN_KEY",
    "The signing key is not an OpenSSH Ed25519 private key without a passphrase.",
    "Make one with ssh-keygen -t ed25519; keys with a passphrase are used with ssh-keygen -Y sign instead.",
)

__all__ = [
    "AllowedSigner",
    "format_allowed_signers",
    "new_key",
    "parse_allowed_signers",
    "public_of",
    "sign",
    "verify",
]

MAGIC = b"SSHSIG"
VERSION = 1
HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
ARMOR_LIMIT = 4096
_ARMOR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]{1,4000})-----END SSH SIGNATURE-----\s{0,16}"
)


@dataclass(frozen=True)
class _Signature:
    public_blob: bytes
    namespace: bytes
    hash_name: bytes
    signature: bytes


def new_key(comment: str) -> tuple[Secret, str]:
    """A fresh Ed25519 key: OpenSSH private file without passphrase, and public line `ssh-ed25519 AAAA… comment`."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return Secret(private), f"{_public_line(key)} {comment}"


def public_of(private_key: Secret) -> str:
    """The public line `ssh-ed25519 AAAA…` (no comment) of an OpenSSH private file; Halt H_SIGN_KEY if it is not one."""
    return _public_line(_load(private_key))


def sign(message: bytes, private_key: Secret, namespace: str) -> bytes:
    """The armored signature of `message` for one `namespace`; the same each time, as Ed25519 has no randomness."""
    key = _load(private_key)
    public = key_blob(_public_line(key))
    signature = key.sign(_signed_data(message, namespace.encode(), b"sha512"))
    blob = MAGIC + VERSION.to_bytes(4, "big")
    blob += b"".join(
        _string(part)
        for part in (public, namespace.encode(), b"", b"sha512", _string(KEY_TYPE.encode()) + _string(signature))
    )
    text = base64.b64encode(blob)
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])


def verify(  # what, by whom, for what and when are all needed to judge a signature
    message: bytes, armored: bytes, allowed: Sequence[AllowedSigner], principal: str, namespace: str, at: datetime
) -> AllowedSigner:
    """The registered signer who vouches for `message` in `namespace` at the (aware) time `at`.

    Rejected E_SIG (not these bytes, or not a signature), E_NAMESPACE, E_SENDER (another key), E_SIGNER_REVOKED,
    E_SIGNER_NOT_YET, E_SIGNER_EXPIRED.
    """
    signature = _parse(armored)
    _check_mathematics(message, signature)
    if signature.namespace != namespace.encode():
        raise Rejected("E_NAMESPACE")
    known = [
        signer
        for signer in allowed
        if signer.principal == principal and key_blob(signer.public_key) == signature.public_blob
    ]
    if not known:
        raise Rejected("E_SENDER")
    fitting = [signer for signer in known if namespace in signer.namespaces]
    if not fitting:
        raise Rejected("E_NAMESPACE")
    for signer in fitting:
        if signer.valid_at(at):
            return signer
    if any(signer.revoked for signer in fitting):
        raise Rejected("E_SIGNER_REVOKED")
    if all(signer.valid_after is not None and at < signer.valid_after for signer in fitting):
        raise Rejected("E_SIGNER_NOT_YET")
    raise Rejected("E_SIGNER_EXPIRED")


def _parse(armored: bytes) -> _Signature:
    match = _ARMOR.fullmatch(armored) if len(armored) <= ARMOR_LIMIT else None
    if match is None:
        raise Rejected("E_SIG")
    try:
        blob = base64.b64decode(match[1].replace(b"\r", b"").replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise Rejected("E_SIG") from None
    if blob[:10] != MAGIC + VERSION.to_bytes(4, "big"):
        raise Rejected("E_SIG")
    public, namespace, reserved, hash_name, wrapped = _strings(blob[10:], 5)
    key_type, signature = _strings(wrapped, 2)
    if reserved or hash_name not in HASHES or key_type != KEY_TYPE.encode():
        raise Rejected("E_SIG")
    return _Signature(public, namespace, hash_name, signature)


def _check_mathematics(message: bytes, signature: _Signature) -> None:
    key_type, raw = _strings(signature.public_blob, 2)
    if key_type != KEY_TYPE.encode():
        raise Rejected("E_SIG")
    signed = _signed_data(message, signature.namespace, signature.hash_name)
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature.signature, signed)
    except (InvalidSignature, ValueError):
        # ValueError: the key has not 32 bytes.
        raise Rejected("E_SIG") from None


def _signed_data(message: bytes, namespace: bytes, hash_name: bytes) -> bytes:
    digest = HASHES[hash_name](message).digest()
    return MAGIC + b"".join(_string(part) for part in (namespace, b"", hash_name, digest))


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _strings(blob: bytes, count: int) -> list[bytes]:
    """Exactly `count` SSH strings that fill the blob; Rejected E_SIG otherwise."""
    parts = []
    for _ in range(count):
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 or len(blob) < 4 + length:
            raise Rejected("E_SIG")
        parts.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    if blob:
        raise Rejected("E_SIG")
    return parts


def _load(private_key: Secret) -> Ed25519PrivateKey:
    try:
        key = serialization.load_ssh_private_key(private_key.reveal(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Halt("H_SIGN_KEY") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Halt("H_SIGN_KEY")
    return key


def _public_line(key: Ed25519PrivateKey) -> str:
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line.decode("ascii")
