"""What a sender is answered about one drop, before it is worded: the outcome, the counts, the faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from enclave.intake.check import Checked
from enclave.model.fault import Fault
from enclave.model.identified import REFERENCE, ROW

Place = tuple[str, int]
"""(form, row)"""


@dataclass(frozen=True)
class Totals:
    """Rows of a drop; `delivered` = `accepted` + `unchanged` + `rejected`, or ValueError.

    `unchanged` rows were stored already, word for word; `superseded` counts earlier rows that accepted ones replaced.
    """

    delivered: int = 0
    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    superseded: int = 0

    def __post_init__(self) -> None:
        if min(self.delivered, self.accepted, self.unchanged, self.rejected, self.superseded) < 0:
            raise ValueError("a count below zero")
        if self.delivered != self.accepted + self.unchanged + self.rejected:
            raise ValueError("the control totals do not add up")


@dataclass(frozen=True, repr=False)
class Answer:
    """The outcome of one drop for its sender. `references` are the sender's own numbers, so it names people.

    `drop_id` is the sender's own id of the drop, None where its manifest could not be read; `payload_sha256` is ""
    where the payload was not verified. `reason` is the code that the whole drop was rejected with, or "". (`log_id`,
    `audit_seq`) is the newest position of the audit log. `unlisted` counts by kind the faults that `faults` leaves out.
    `language` is that of the feedback (`WORDS`). A drop that was not `signed` is a ZIP placed by hand, where the
    agreement allows it.
    """

    registry: str
    sender: str
    drop_uuid: str
    drop_id: str | None
    payload_sha256: str
    log_id: str
    audit_seq: int
    reason: str = ""
    totals: Totals = Totals()
    faults: tuple[Fault, ...] = ()
    references: Mapping[Place, str] | None = None
    unlisted: Mapping[Fault, int] = field(default_factory=dict)
    language: str = "nb"
    signed: bool = True
    submissions: int = 0
    """where this is one answer to several submissions through Nettskjema: how many; the rows are the submissions"""

    @property
    def status(self) -> str:
        """`admitted`, or `rejected` where nothing of the drop was taken for one reason."""
        return "rejected" if self.reason else "admitted"

    def reference(self, fault: Fault) -> str | None:
        """The sender's own number of the row that a fault is about, where it could be read."""
        return (self.references or {}).get((fault.form, fault.row))


def references_of(checked: Sequence[Checked], faults: Sequence[Fault]) -> dict[Place, str]:
    """The sender's own number of each row that has a fault, whichever stage found it."""
    found: dict[Place, str] = {}
    for of_form in checked:
        form = of_form.records.form
        rows = pl.Series(ROW, sorted({fault.row for fault in faults if fault.form == form}), dtype=pl.Int64)
        named = of_form.references.join(rows.to_frame(), on=ROW, how="semi").drop_nulls(REFERENCE)
        found |= {(form, row): reference for row, reference in named.select(ROW, REFERENCE).iter_rows()}
    return found
