"""What one line of the audit log may say: a closed, typed schema without free text, and its canonical bytes.

Every field is an enum, a pattern, a bounded integer or a digest. Texts are further refused when they could carry a
person: a run of digits long enough for a national id, or 32 hexadecimal digits (a pseudonym).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Phase(StrEnum):
    """Where an act stands: `intent` comes before it, one of the four outcomes after it; a `note` has no effect."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    RECOVERED = "recovered"
    ABANDONED = "abandoned"
    NOTE = "note"


OUTCOMES = frozenset({Phase.DONE, Phase.FAILED, Phase.RECOVERED, Phase.ABANDONED})


class Purpose(StrEnum):
    """Why, as a code: the purposes of a read (`store.read`), the rights of a person, and the server's own upkeep."""

    NONE = ""
    OWN_RESULTS = "own_results"
    COMPARISON = "comparison"
    NATIONAL = "national"
    LINKAGE = "linkage"
    RESEARCH = "research"
    OWN_ROWS = "own_rows"
    ACCESS = "access"
    WITHDRAW = "withdraw"
    RESERVE = "reserve"
    CORRECT = "correct"
    ERASE = "erase"
    REIDENTIFY = "reidentify"
    OPERATION = "operation"
    RECOVERY = "recovery"
    SUPERVISION = "supervision"


class Position(NamedTuple):
    """Where a record stands: which log, and its sequence number there (0 is the first line)."""

    log_id: str
    audit_seq: int


_PERSON = re.compile(r"[0-9]{10}|[0-9]{6}[^0-9]?[0-9]{5}|[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-")


def _carries_no_person(text: str) -> str:
    """Refuse a text in which a national id (also one that lost its zero) or a pseudonym could hide."""
    if _PERSON.search(text):
        raise ValueError("could carry a person")
    return text


_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _object_id(text: str) -> str:
    """A UUIDv4 or SHA-256 of ours, or a name (institution, loan, job, table, key, small number); anything else no."""
    if not text or _UUID4.fullmatch(text) or _SHA256.fullmatch(text):
        return text
    if not _NAME.fullmatch(text):
        raise ValueError("not an id of ours")
    return _carries_no_person(text)


def _time(text: str) -> str:
    """A UTC time to the microsecond in the one spelling that the log uses."""
    if not re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z", text):
        raise ValueError("not a time")
    datetime.fromisoformat(text)
    return text


Act = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,30}\.[a-z_]{1,40}$")]
Word = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]{0,29})?$"), AfterValidator(_carries_no_person)]
Run = Annotated[str, StringConstraints(pattern=rf"^({_UUID4.pattern})?$")]
ObjectId = Annotated[str, StringConstraints(max_length=64), AfterValidator(_object_id)]
Actor = Annotated[
    str,
    StringConstraints(pattern=r"^(server|job:[a-z_]{1,30}|(person|institution):[a-z][a-z0-9-]{0,39})$"),
    AfterValidator(_carries_no_person),
]
Reason = Annotated[str, StringConstraints(pattern=r"^([A-Z][A-Z0-9_]{0,59})?$"), AfterValidator(_carries_no_person)]
CaseNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/-]{0,40}$"), AfterValidator(_carries_no_person)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_carries_no_person)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=10**9, strict=True)]  # below any national id, also one that lost its zero
Timestamp = Annotated[str, AfterValidator(_time)]
Sequence = Annotated[int, Field(ge=0, strict=True)]


class Entry(BaseModel):
    """What a caller states about an act; unknown fields, free text and values that could be a person are refused.

    `intent_seq` names the intent that an outcome resolves. `reason` is a code of `enclave.errors`. `counts` are
    numbers of things, each below 10⁹ (state large sizes in KiB); `digests` are SHA-256 in hex.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    act: Act
    phase: Phase
    registry: Word = ""
    job: Word = ""
    run: Run = ""
    object_kind: Word = ""
    object_id: ObjectId = ""
    actor: Actor
    intent_seq: Sequence | None = None
    reason: Reason = ""
    purpose: Purpose = Purpose.NONE
    case_number: CaseNumber = ""
    counts: Mapping[Key, Count] = Field(default_factory=dict)
    digests: Mapping[Key, Digest] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _outcomes_name_their_intent(self) -> Self:
        if (self.phase in OUTCOMES) != (self.intent_seq is not None):
            raise ValueError("an outcome names its intent, and nothing else does")
        return self


class StoredEntry(Entry):
    """One line of the log: an entry, where it stands, what stands before it, and when it was written.

    `prev` is the leaf hash of the line before (64 zeros for the first); `ts` is UTC; `mono` is the kernel's monotonic
    clock in nanoseconds, which orders lines within one `boot`.
    """

    v: Literal[1]
    log: Annotated[str, StringConstraints(pattern=rf"^{_UUID4.pattern}$")]
    seq: Sequence
    prev: Digest
    ts: Timestamp
    boot: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    mono: Sequence

    @property
    def position(self) -> Position:
        """The log and the sequence number of this line."""
        return Position(self.log, self.seq)


class Audit(Protocol):
    """The port through which every stage records."""

    def record(self, entry: Entry) -> Position:
        """Append an entry; durable once this returns. If it cannot be written it raises Halt and nothing may happen."""
        ...


FIRST_PREV = "0" * 64


def canonical(stored: StoredEntry) -> bytes:
    """The one way to write a line: sorted keys, ASCII, integers, no spaces, closed by one newline."""
    content = stored.model_dump(mode="json")
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def leaf_hash(line: bytes) -> bytes:
    """RFC 6962 leaf hash of a line without its newline: SHA-256(0x00 ‖ line)."""
    return hashlib.sha256(b"\x00" + line).digest()
