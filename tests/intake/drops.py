"""A sender that makes sealed drops, right ones and wrong ones."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from enclave.crypto import aes_zip, age, openpgp, sshsig
from enclave.crypto.secret import Secret
from enclave.intake.envelopes import AesZipEnvelope, AgeEnvelope, OpenPgpEnvelope
from enclave.intake.open import verify_and_open
from enclave.model.drop import OpenedDrop, PlainFile, SealedDrop
from tests.intake.forms import file_of

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DROP_ID = "7b1c35a2-60b0-4a2b-8d53-6f6a1d2f7c01"
PASSPHRASE = Secret(b"K7QX-2M4P-9RTV-W3HD-6JCN-8FYA")
IDENTITY, RECIPIENT = age.new_identity()
PRIVATE, CERTIFICATE = openpgp.new_key("kar")
ENVELOPES = (AesZipEnvelope({"klinikk-a-2026": PASSPHRASE}), AgeEnvelope([IDENTITY]), OpenPgpEnvelope([PRIVATE]))
KEY, PUBLIC = sshsig.new_key("klinikk-a")
OTHER_KEY, OTHER_PUBLIC = sshsig.new_key("klinikk-b")
SIGNERS = (
    sshsig.AllowedSigner("klinikk-a", PUBLIC, ("drop@kar",)),
    sshsig.AllowedSigner("klinikk-b", OTHER_PUBLIC, ("drop@kar",)),
)


def outer(payload: bytes, **changes: Any) -> dict[str, Any]:
    """The keys of a right outer manifest, with changes; a change to None leaves the key out."""
    keys: dict[str, Any] = {
        "v": 1,
        "registry": "kar",
        "drop_id": DROP_ID,
        "sender": "klinikk-a",
        "created_at": "2026-11-22T14:00:00+01:00",
        "recipient_kid": "klinikk-a-2026",
        "format": "aes-zip",
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
        "payload_size": len(payload),
        **changes,
    }
    return {name: value for name, value in keys.items() if value is not None}


def inner(files: Sequence[PlainFile], /, **changes: Any) -> dict[str, Any]:
    """The keys of a right inner manifest, with changes."""
    listed = [
        {"name": file.name, "sha256": hashlib.sha256(file.content).hexdigest(), "size": len(file.content)}
        for file in files
    ]
    return {
        "drop_id": DROP_ID,
        "sender": "klinikk-a",
        "recipient_kid": "klinikk-a-2026",
        "files": listed,
        **changes,
    }


FILES = (PlainFile("arrival.csv", file_of({}, {})),)


def payload_of(
    files: Sequence[PlainFile] = FILES, inner_manifest: bytes | None = None, passphrase: Secret = PASSPHRASE
) -> bytes:
    """An AES-256 ZIP of the files and their manifest."""
    manifest = json.dumps(inner(files)).encode() if inner_manifest is None else inner_manifest
    return aes_zip.seal_archive([PlainFile("manifest.json", manifest), *files], passphrase)


def drop_of(
    payload: bytes,
    manifest: bytes | None = None,
    *,
    key: Secret = KEY,
    namespace: str = "drop@kar",
    sender: str = "klinikk-a",
) -> SealedDrop:
    """A drop as it lies in quarantine, signed; `sender` is the owner of the folder that it lay in."""
    stated = json.dumps(outer(payload)).encode() if manifest is None else manifest
    return SealedDrop("1" * 36, sender, stated, sshsig.sign(stated, key, namespace), payload)


def opened(sealed: SealedDrop, *, signers: Sequence[sshsig.AllowedSigner] = SIGNERS, at: datetime = AT) -> OpenedDrop:
    """What intake makes of it."""
    return verify_and_open(
        sealed,
        registry="kar",
        signers=signers,
        envelopes=ENVELOPES,
        at=at,
        limits=aes_zip.Limits(),
    )
