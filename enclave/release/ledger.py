"""What the ledger keeps of each draft that the gate admitted: enough to tell later what left, never what it says."""

import hashlib
from dataclasses import dataclass

from enclave.model.draft import Draft, Kind


@dataclass(frozen=True)
class Content:
    """One file of a draft: its name inside the package, SHA-256 (hex) and size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class LedgerRecord:
    """One draft as the gate admitted it; who decided, when, and the sealed package's digest are kept beside it."""

    kind: Kind
    registry: str
    recipient: str
    state: int
    definition: str
    contents: tuple[Content, ...]
    tables: tuple[tuple[str, str], ...]


def ledger_record(draft: Draft) -> LedgerRecord:
    """The record of a draft: digests instead of contents."""
    return LedgerRecord(
        kind=draft.kind,
        registry=draft.registry,
        recipient=draft.recipient,
        state=draft.state,
        definition=draft.definition,
        contents=contents_of(draft),
        tables=draft.tables,
    )


def contents_of(draft: Draft) -> tuple[Content, ...]:
    """The files of a draft, by name."""
    return tuple(
        Content(file.name, hashlib.sha256(file.content).hexdigest(), len(file.content))
        for file in sorted(draft.files, key=lambda file: file.name)
    )
