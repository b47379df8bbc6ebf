"""Loans in the control database: what was agreed and what became of it. Counts only, never a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.sql.elements import ColumnElement

from enclave.control.database import Control
from enclave.control.states import move
from enclave.control.tables import loan
from enclave.errors import Refused, explain
from enclave.flow import LoanState
from enclave.model.loan import LoanAgreement

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

    @property
    def agreement(self) -> LoanAgreement:
        """What was agreed with the lender."""
        return LoanAgreement(
            self.loan_id, self.registry, self.lender, self.purpose, self.case_number, self.variables, self.due
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


def finish_loan(connection: Connection, linked: Loan, report: Mapping[str, object]) -> None:
    """Note that a loan's tables are finished and that only destruction is left."""
    move(connection, loan, _which(linked), LoanState.LINKED, report=dict(report))


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
