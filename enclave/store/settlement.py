"""The decision on one drop: what became of it and of its rows."""

import re
from dataclasses import dataclass
from enum import StrEnum

from enclave.audit.record import Position


class Outcome(StrEnum):
    """What became of a drop."""

    ADMITTED = "admitted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Counts:
    """Rows of a drop: `delivered` = `accepted` + `unchanged` + `rejected`.

    `unchanged` rows were stored already, word for word; `superseded` counts earlier rows that accepted ones replaced.
    """

    delivered: int
    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    superseded: int = 0

    def __post_init__(self) -> None:
        if self.delivered != self.accepted + self.unchanged + self.rejected:
            raise ValueError("the control totals do not add up")


@dataclass(frozen=True)
class Settlement:
    """The decision on one drop. `reason` is a code, "" for an admitted drop; `counts` covers every stage's faults."""

    drop_uuid: str
    sender: str
    outcome: Outcome
    reason: str
    counts: Counts

    def __post_init__(self) -> None:
        pattern = r"" if self.outcome is Outcome.ADMITTED else r"[A-Z][A-Z0-9_]*"
        if not re.fullmatch(pattern, self.reason):
            raise ValueError("the reason is not a code that fits the outcome")


@dataclass(frozen=True)
class Settled:
    """A settlement as the registry remembers it: the drop's number in the registry, and the state after it."""

    settlement: Settlement
    drop_number: int
    state: int
    position: Position
