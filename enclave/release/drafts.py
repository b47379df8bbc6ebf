"""A draft at rest: one canonical text, encrypted to the key of `seal` and to the data processor's viewing key."""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import Base64Bytes, ValidationError

from enclave import durable
from enclave.crypto import age
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected, explain
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.model.drop import Closed

explain(
    "H_DRAFT",
    "A draft at rest cannot be opened with this key, or is not a draft.",
    "Look for a changed key or a damaged file; a draft that was not sealed yet can be made again. What left before its "
    "key was rotated can no longer be shown.",
)


class _File(Closed):
    name: str
    content: Base64Bytes


class _Draft(Closed):
    kind: Kind
    registry: str
    recipient: str
    state: int
    definition: str
    files: tuple[_File, ...]
    tables: tuple[tuple[str, str], ...]


def encode(draft: Draft) -> bytes:
    """The draft as canonical JSON (sorted keys, ASCII): equal drafts give equal bytes."""
    written = _Draft(
        kind=draft.kind,
        registry=draft.registry,
        recipient=draft.recipient,
        state=draft.state,
        definition=draft.definition,
        files=tuple(_File.model_construct(name=file.name, content=file.content) for file in draft.files),
        tables=draft.tables,
    )
    return json.dumps(written.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(content: bytes) -> Draft:
    """The draft that `encode` wrote; Halt H_DRAFT for anything else."""
    try:
        read = _Draft.model_validate_json(content)
    except ValidationError:
        raise Halt("H_DRAFT") from None
    return Draft(
        kind=read.kind,
        registry=read.registry,
        recipient=read.recipient,
        state=read.state,
        definition=read.definition,
        files=tuple(DraftFile(file.name, file.content) for file in read.files),
        tables=read.tables,
    )


def seal_draft(draft: Draft, recipients: Sequence[str]) -> tuple[str, bytes]:
    """The draft encrypted to `recipients` (`age1…`), with the ciphertext's SHA-256 (hex), its name at rest."""
    ciphertext = age.seal(encode(draft), recipients)
    return hashlib.sha256(ciphertext).hexdigest(), ciphertext


def open_draft(ciphertext: bytes, *identities: Secret) -> Draft:
    """The draft again, by any of the keys; Halt H_DRAFT where none fits or the file was altered."""
    try:
        plaintext = age.open(ciphertext, *identities)
    except Rejected:
        raise Halt("H_DRAFT") from None
    return decode(plaintext)


def count_under(drafts: Path, key: Secret, over: Collection[str]) -> int:
    """How many drafts in a folder a key opens, but for those, by their SHA-256, that nobody opens to go on."""
    return sum(_is_under(path, key) for path in drafts.glob("*/*.age") if path.stem not in over)


def _is_under(path: Path, key: Secret) -> bool:
    try:
        return age.is_sealed_to(durable.read(path), key)
    except FileNotFoundError:
        return False  # another job swept it in between
