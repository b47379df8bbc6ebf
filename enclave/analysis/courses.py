"""Which courses a table counts, and for whom: each institution's own, the others and all, and the national one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from enclave.analysis.reader import Reader
from enclave.model.pseudonymous import EPISODE, PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import ByInstitution, Figure, Group, ResultTable
from enclave.registry.definition import Definition

COURSE = [SENDER, EPISODE]

Figures = Callable[[Group, pl.DataFrame], Sequence[Figure]]


@dataclass(frozen=True)
class Delivery:
    """How many rows a drop held, of all forms, and how many of them were refused; never which, or why."""

    drop_uuid: str
    sender: str
    rows: int
    refused: int


@dataclass(frozen=True)
class Scope:
    """What every table of one run has in common: its period, the institutions, the state and the definition's hash.

    `deliveries` are the settled drops of the registry.
    """

    period: tuple[date, date]
    institutions: tuple[str, ...]
    state: int
    definition_sha256: str
    deliveries: tuple[Delivery, ...] = ()


def tables_by_group(
    table: str, scope: Scope, courses_of: Callable[[Purpose], pl.DataFrame], figures: Figures
) -> tuple[ResultTable, ...]:
    """One table for each institution (own, others, all), in order of id, and last the national one (recipient "").

    `courses_of` gives a row for each course (`_sender`, `_episode`, `_pseudonym` and what `figures` counts). A course
    is (sender, episode), so a course is never joined through its person to another sender's rows.
    """
    own, shared = own_and_shared(courses_of)
    return tables_for(
        table,
        scope,
        own=lambda institution: figures(Group.OWN, own.filter(pl.col(SENDER) == institution)),
        others=lambda institution: figures(Group.OTHERS, shared.filter(pl.col(SENDER) != institution)),
        everyone=figures(Group.ALL, shared),
    )


def own_and_shared(courses_of: Callable[[Purpose], pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The courses that an institution is shown of its own, and those that count in everybody's others and all."""
    own, compared, national = (
        courses_of(purpose) for purpose in (Purpose.OWN_RESULTS, Purpose.COMPARISON, Purpose.NATIONAL)
    )
    # Who may be compared and who may be counted nationally can differ by one reservation. Two totals that differ by
    # one person would show that person to whoever sees both, so both are made from those who are in both.
    return own, compared.join(national.select(COURSE), on=COURSE, how="semi", maintain_order="left")


def tables_for(
    table: str,
    scope: Scope,
    *,
    own: Callable[[str], Sequence[Figure]],
    others: Callable[[str], Sequence[Figure]],
    everyone: Sequence[Figure],
) -> tuple[ResultTable, ...]:
    """One table for each institution, in order of id, of its own figures, those of the others and of all; and the last.

    The last is the national one (recipient ""), of everyone's figures only.
    """

    def result(recipient: str, *counted: Sequence[Figure]) -> ResultTable:
        return ResultTable(
            table=table,
            period=period_text(scope.period),
            recipient=recipient,
            borrowed=False,
            state=scope.state,
            definition=scope.definition_sha256,
            figures=tuple(figure for group in counted for figure in group),
        )

    institutions = sorted(scope.institutions)
    return (
        *(result(institution, own(institution), others(institution), everyone) for institution in institutions),
        result("", everyone),
    )


def period_text(period: tuple[date, date]) -> str:
    """A period as it is written in tables and ledger: `2024-01-01/2024-12-31`."""
    return f"{period[0].isoformat()}/{period[1].isoformat()}"


def courses_in_period(
    reader: Reader, definition: Definition, *, period: tuple[date, date], state: int, purpose: Purpose
) -> pl.DataFrame:
    """`_sender`, `_episode`, `_pseudonym` of the courses whose period form is dated within `period`, in fixed order."""
    dated_by = definition.form(definition.period_form).dated_by
    frame = reader.read(definition.period_form, state=state, purpose=purpose)
    return frame.filter(pl.col(dated_by).is_between(*period)).select(*COURSE, PSEUDONYM)


def people_by_institution(rows: pl.DataFrame) -> ByInstitution:
    """How many different people each institution's rows are about, sorted by institution."""
    counted = rows.group_by(SENDER).agg(pl.col(PSEUDONYM).n_unique().cast(pl.Int64)).sort(SENDER)
    return tuple(counted.iter_rows())
