"""Lineage: what was made of a loan and outlives it, from which file, by which definition, as of which state."""

from collections.abc import Sequence

from enclave.errors import Halt, explain
from enclave.model.loan import Derived, Level
from enclave.model.table import ReleasableTable

explain(
    "H_LOAN_ROW_LEVEL",
    "Something that was made of a loan tells of single people, and would outlive it.",
    "Nothing of it leaves. Find out which code made it; only finished tables may outlive a loan.",
)


def level_of(made: object) -> Level:
    """Only a finished table tells of many; whatever else was made of a loan counts as telling of single people."""
    finished = isinstance(made, ReleasableTable) and made.borrowed and not made.recipient
    return Level.AGGREGATE if finished else Level.ROW


def lineage(made: Sequence[tuple[ReleasableTable, str]], loan_id: str, loan_file_sha256: str) -> tuple[Derived, ...]:
    """What was made, (table, SHA-256 of what is kept) each; Halt H_LOAN_ROW_LEVEL where it tells of single people."""
    derived = tuple(
        Derived(
            loan_id,
            table.table,
            table.period,
            level_of(table),
            table.state,
            table.definition,
            content_sha256,
            loan_file_sha256,
        )
        for table, content_sha256 in made
    )
    require_aggregates(derived, loan_id)
    return derived


def require_aggregates(derived: Sequence[Derived], loan_id: str) -> None:
    """Halt H_LOAN_ROW_LEVEL where something of a loan would outlive it that tells of single people."""
    if any(one.level is not Level.AGGREGATE for one in derived):
        raise Halt("H_LOAN_ROW_LEVEL", place=loan_id)
