"""What would leave: a draft of a closed set of kinds, before it is sealed to its recipient."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The closed set of kinds that may leave (law 6)."""

    RELEASABLE_TABLE = "releasable_table"
    OWN_RECORDS = "own_records"
    ACCESS_REPLY = "access_reply"
    EXTRACT = "extract"
    LOAN_ORDER = "loan_order"
    FEEDBACK = "feedback"
    RECEIPT = "receipt"
    CERTIFICATE = "certificate"
    CHECKPOINT = "checkpoint"
    NOTICE = "notice"
    KIT = "kit"


@dataclass(frozen=True, repr=False)
class DraftFile:
    """One file of a draft. `name` is a path inside the bundle (`csv/resultater.csv`)."""

    name: str
    content: bytes


@dataclass(frozen=True, repr=False)
class Draft:
    """The content of one package to one recipient; at rest only encrypted to `seal` and to the viewing key.

    `tables` lists (table, period) of every releasable table inside, for the ledger.
    """

    kind: Kind
    registry: str
    recipient: str
    state: int
    definition: str
    files: tuple[DraftFile, ...]
    tables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NamedDraft:
    """A draft at rest: its ciphertext's SHA-256 is its file name in `drafts/`."""

    draft_id: str
    kind: Kind
    recipient: str
    sha256: str
    state: int
    tables: tuple[tuple[str, str], ...] = ()
