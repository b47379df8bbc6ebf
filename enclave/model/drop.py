"""A drop: what a sender states in clear about it, what it states inside, and what lies in quarantine."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

InstitutionId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
RegistryId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,29}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Closed(BaseModel):
    """A frozen model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Manifest(Closed):
    """What a sender states about a drop outside its encryption; holds nothing about people (`manifest.json`).

    `recipient_kid` names the key that the payload is sealed to: the sender's inbound passphrase, or a loan's key.
    """

    v: Literal[1]
    registry: RegistryId
    drop_id: UUID
    sender: InstitutionId
    seq: Annotated[int, Field(ge=0)] | None = None
    created_at: datetime
    recipient_kid: KeyId
    format: Literal["aes-zip", "age", "openpgp"]
    payload_sha256: Digest
    payload_size: Annotated[int, Field(ge=0)]
    supersedes: UUID | None = None


class InnerFile(Closed):
    """One file inside a payload, as its sender meant it."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    sha256: Digest
    size: Annotated[int, Field(ge=0)]
    rows: Annotated[int, Field(ge=0)] | None = None


class InnerManifest(Closed):
    """What a sender states inside the encryption (`manifest.json` in the payload); must agree with the outer one."""

    drop_id: UUID
    sender: InstitutionId
    recipient_kid: KeyId
    files: tuple[InnerFile, ...]


class SubmissionManifest(Closed):
    """What the names in the tree of a submission said, kept beside its two files; `json_size` tells them apart."""

    v: Literal[1] = 1
    form: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}$")]
    submission: Annotated[int, Field(ge=0)]
    json_size: Annotated[int, Field(ge=0)]


class DefinitionManifest(Closed):
    """Which folder a form's definition lay in, kept beside it."""

    v: Literal[1] = 1
    form: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}$")]


@dataclass(frozen=True, repr=False)
class SealedDrop:
    """A drop as it came: the three files of its folder, still sealed by the sender. Memory or quarantine only."""

    drop_uuid: str
    sender: str
    manifest: bytes
    signature: bytes
    payload: bytes


@dataclass(frozen=True, repr=False)
class PlainFile:
    """One decrypted file of a drop; exists in memory only."""

    name: str
    content: bytes


@dataclass(frozen=True, repr=False)
class OpenedDrop:
    """A drop whose signature, digest, envelope and inner manifest all agreed; its files exist in memory only."""

    drop_uuid: str
    manifest: Manifest
    files: tuple[PlainFile, ...]
