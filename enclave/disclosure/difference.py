"""What earlier releases forbid. Until differences between releases are computed, a table leaves once for a period.

Two releases of one table whose periods overlap differ by few people – a late answer, a withdrawal, a month more –
whose numbers follow by subtraction. So a table that a recipient has had for any day of the period, itself or in a
public release, is withheld whole. Release once, completely, after the period is closed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from enclave.model.table import ReleasableFigure, ReleasableTable, Withheld

PUBLIC = ""


@dataclass(frozen=True)
class Released:
    """One table that has left or shall leave: to whom (`PUBLIC`: everyone), for which period, as of which state."""

    table: str
    period: str
    recipient: str
    state: int


def check_against_ledger(table: ReleasableTable, released: Iterable[Released], *, recipient: str) -> ReleasableTable:
    """The table as it is, or with every figure withheld as repeated when an earlier release to `recipient` forbids it.

    A table for everyone (borrowed, say) is checked once for each recipient whose bundle it is to be part of.
    """
    candidate = Released(table.table, table.period, recipient, table.state)
    if not is_repeated(candidate, released):
        return table
    return replace(table, figures=tuple(_withhold(figure) for figure in table.figures))


def is_repeated(candidate: Released, released: Iterable[Released]) -> bool:
    """Whether someone who sees the candidate has seen the same table for an overlapping period.

    The public table and an institution's table of one period and one state are one release: neither forbids the other.
    """
    return any(
        earlier.table == candidate.table
        and _overlap(earlier.period, candidate.period)
        and _seen_by_one(earlier.recipient, candidate.recipient)
        and not _one_release(earlier, candidate)
        for earlier in released
    )


def _seen_by_one(one: str, other: str) -> bool:
    return one == other or PUBLIC in {one, other}


def _one_release(one: Released, other: Released) -> bool:
    return one.recipient != other.recipient and one.period == other.period and one.state == other.state


def _overlap(one: str, other: str) -> bool:
    first, second = _days(one), _days(other)
    return first[0] <= second[1] and second[0] <= first[1]


def _days(period: str) -> tuple[date, date]:
    start, end = (date.fromisoformat(day) for day in period.split("/"))
    return start, end


def _withhold(figure: ReleasableFigure) -> ReleasableFigure:
    return replace(figure, value=None, low=None, high=None, count=None, denominator=None, withheld=Withheld.REPEATED)
