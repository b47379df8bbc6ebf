"""Loans in the control database: what was agreed and what became of it. Counts only, never a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from enclave.control.database import Control
from enclave.control.states import move
from enclave.control.tables import loan, loan_derived
from enclave.errors import Refused, explain
from enclave.flow import LoanState
from enclave.model.loan import Derived, Level, LoanAgreement

explain("R_LOAN_UNKNOWN", "There is no such loan.", "See `enclave loan list`.")
explain("R_LOAN_EXISTS", "A loan with this id exists already.", "Choose another id; an id is never used twice.")
explain(
    "R_LOAN_STATE",
    "This loan has no key yet, or is used or destroyed already.",
    "See `enclave loan list`; a used loan is destroyed by the next run of `destroy`.",
)


@dataclass(frozen=True)
class Loan:
    """One row of the loan table; `kind` names the loan in the registry's definition."""

    registry: str
    loan_id: str
    state: LoanState
    kind: str
    lender: str
    purpose: str
    case_number: str
    variables: tuple[str, ...]
    due: date
    public_key: str
    report: Mapping[str, object] | None
    destroyed_at: str | None
    overdue_days: int | None
    legal_basis: str
    population: str
    review: Sequence[Mapping[str, object]] | None
    """the kinds of uncertain link, with a decision for each once a person has made it; None where none was asked"""

    @property
    def agreement(self) -> LoanAgreement:
        """What was agreed with the lender."""
        return LoanAgreement(
            self.loan_id,
            self.registry,
            self.lender,
            self.purpose,
            self.case_number,
            self.variables,
            self.due,
            self.legal_basis,
            self.population,
        )


def request_loan(connection: Connection, agreement: LoanAgreement, kind: str) -> None:
    """Enter a loan that waits for its key."""
    which = (loan.c.registry == agreement.registry) & (loan.c.loan_id == agreement.loan_id)
    if connection.execute(select(loan).where(which)).first() is not None:
        raise Refused("R_LOAN_EXISTS")
    facts = {**vars(agreement), "variables": list(agreement.variables)}
    connection.execute(insert(loan).values(**facts, kind=kind, state=LoanState.REQUESTED))


def find_loan(control: Control, registry: str, loan_id: str) -> Loan:
    """The loan with this id; Refused where there is none."""
    found = [one for one in loans_of(control, registry) if one.loan_id == loan_id]
    if not found:
        raise Refused("R_LOAN_UNKNOWN")
    return found[0]


def loans_of(control: Control, registry: str, *states: LoanState) -> tuple[Loan, ...]:
    """Loans in these states (all, when none is named), by id."""
    wanted = select(loan).where(loan.c.registry == registry).order_by(loan.c.loan_id)
    if states:
        wanted = wanted.where(loan.c.state.in_(states))
    with control.reading() as connection:
        return tuple(_loan(row) for row in connection.execute(wanted))


def open_loan(connection: Connection, opened: Loan, public_key: str) -> None:
    """Note that a loan's key exists; from now on its lender can seal to it."""
    move(connection, loan, _which(opened), LoanState.OPEN, public_key=public_key)


def finish_loan(
    connection: Connection, linked: Loan, report: Mapping[str, object], derived: Sequence[Derived] = ()
) -> None:
    """Note that a loan's tables are finished, which they are, and that only destruction is left."""
    move(connection, loan, _which(linked), LoanState.LINKED, report=dict(report))
    where = (loan_derived.c.registry == linked.registry) & (loan_derived.c.loan_id == linked.loan_id)
    connection.execute(delete(loan_derived).where(where))
    for one in derived:
        connection.execute(
            insert(loan_derived).values(
                registry=linked.registry,
                loan_id=one.loan_id,
                table_id=one.table,
                period=one.period,
                level=one.level.value,
                state=one.state,
                definition=one.definition,
                content_sha256=one.content_sha256,
                loan_file_sha256=one.loan_file_sha256,
            )
        )


def derived_of(control: Control, registry: str, loan_id: str) -> tuple[Derived, ...]:
    """What was made of a loan and outlives it, by table and period."""
    which = (loan_derived.c.registry == registry) & (loan_derived.c.loan_id == loan_id)
    wanted = select(loan_derived).where(which).order_by(loan_derived.c.table_id, loan_derived.c.period)
    with control.reading() as connection:
        return tuple(
            Derived(
                row.loan_id,
                row.table_id,
                row.period,
                Level(row.level),
                row.state,
                row.definition,
                row.content_sha256,
                row.loan_file_sha256,
            )
            for row in connection.execute(wanted)
        )


def keep_review(connection: Connection, reviewed: Loan, kinds: Sequence[Mapping[str, object]]) -> None:
    """Keep the kinds of uncertain link of an open loan, decided or not."""
    connection.execute(update(loan).where(_which(reviewed)).values(review=[dict(kind) for kind in kinds]))


def close_loan(connection: Connection, destroyed: Loan, at: datetime, overdue_days: int) -> None:
    """Note that a loan is destroyed."""
    move(
        connection,
        loan,
        _which(destroyed),
        LoanState.DESTROYED,
        destroyed_at=at.isoformat(),
        overdue_days=overdue_days,
    )


def _which(one: Loan) -> ColumnElement[bool]:
    return (loan.c.registry == one.registry) & (loan.c.loan_id == one.loan_id)


def _loan(row: Row[tuple[object, ...]]) -> Loan:
    facts = dict(row._mapping)
    return Loan(**{**facts, "state": LoanState(facts["state"]), "variables": tuple(facts["variables"])})
