"""What a loan order is checked against, and whom it asks about: those that the loan's tables count, and no others."""

from datetime import date

import polars as pl

from enclave.analysis.borrowed import population
from enclave.analysis.courses import period_text
from enclave.control.institutions import Institution
from enclave.control.loans import Loan
from enclave.control.releases import released_tables
from enclave.control.requests import Request
from enclave.disclosure.difference import PUBLIC, Released, is_repeated
from enclave.errors import Refused, explain
from enclave.flow import LoanState
from enclave.identity.rules import IdKind
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Loan as LoanKind
from enclave.registry.definition import LoanShareTable
from enclave.release.loan_order import Wanted
from enclave.wiring import Wiring
from jobs.periods import closed_periods

explain(
    "R_ORDER_CHANGED",
    "The loan, its lender or the lender's key is not the one that the project lead signed.",
    "Nothing was ordered. Compare `enclave loan show` and `enclave institution list`; then order again.",
)
explain(
    "R_ORDER_EMPTY",
    "There is nobody to ask the lender about: no closed period without its tables, or nobody who may be linked.",
    "A period closes twelve months after its calendar year; see `enclave release list` for what has left.",
)

ISSUED_BY_HOSPITALS = [IdKind.HNR.value, IdKind.FHNR.value]
"""Numbers that no lender of benefits knows."""


def require_as_signed(request: Request, loan: Loan, lender: Institution, today: date) -> None:
    """Refused R_ORDER_CHANGED unless loan, lender and key are those that the project lead signed; R_LOAN_STATE past it.

    A loan that has no key yet, is used, destroyed or past its day is not ordered.
    """
    standing = {
        "loan_id": loan.loan_id,
        "kind": loan.kind,
        "lender": lender.institution_id,
        "age_key": lender.age_key,
        "case_number": loan.case_number,
    }
    if request.parameters != standing or lender.role != "lender" or not lender.age_key:
        raise Refused("R_ORDER_CHANGED")
    if loan.state is not LoanState.OPEN or loan.due < today:
        raise Refused("R_LOAN_STATE")


def whom_to_ask_about(wiring: Wiring, kind: LoanKind, state: int) -> Wanted:
    """The numbers of those whom the loan's tables of closed periods count, and no others.

    A period that has its tables already is not asked about again: they would be withheld. Numbers that only hospitals
    know are left out. Refused R_ORDER_EMPTY where nobody is left.
    """
    reader, definition = wiring.registry_reader, wiring.definition.definition
    released = [Released(*facts) for facts in released_tables(wiring.control, wiring.registry)]
    tables = [table for table in definition.tables if isinstance(table, LoanShareTable) and table.loan == kind.id]
    counted = [
        population(reader, definition, table, period=period, state=state).with_columns(
            first=pl.col("start").dt.offset_by("1mo"), last=pl.col("start").dt.offset_by(f"{table.months}mo")
        )
        for period in closed_periods(wiring)
        for table in tables
        if not is_repeated(Released(table.id, period_text(period), PUBLIC, state), released)
    ]
    courses = pl.concat(counted) if counted else pl.DataFrame()
    if courses.is_empty():
        raise Refused("R_ORDER_EMPTY")
    known = wiring.vault_reader.identities(courses[PSEUDONYM].unique().to_list())
    numbers = known.filter(~pl.col("kind").is_in(ISSUED_BY_HOSPITALS))["id"]
    if numbers.is_empty():
        raise Refused("R_ORDER_EMPTY")
    first, last = (courses.select(pl.min("first"), pl.max("last"))).row(0)
    return Wanted(tuple(numbers.to_list()), f"{first:%Y-%m}", f"{last:%Y-%m}")
