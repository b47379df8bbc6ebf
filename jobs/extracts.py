"""What a research extract is checked against, and which courses are in it: de-identified, and of nobody who stands out.

Read for the purpose `research`, so that who is reserved against it or has withdrawn is not in it.
"""

import polars as pl

from enclave.analysis.courses import COURSE, courses_in_period
from enclave.control.institutions import Institution
from enclave.disclosure.anonymity import anonymous
from enclave.disclosure.policy import policy_for
from enclave.errors import Refused, explain
from enclave.model.extract import ExtractTerms
from enclave.model.pseudonymous import EPISODE, PSEUDONYM
from enclave.model.purpose import Purpose
from enclave.registry.definition import Kind as Type
from enclave.release.extract import Lent, columns_of, lendable
from enclave.wiring import Wiring

explain(
    "R_EXTRACT_CHANGED",
    "The project's institution or its key is not the one that the project lead signed, or the due date is past.",
    "Nothing was lent. Compare `enclave institution list`; then open the extract again under another id.",
)
explain(
    "R_EXTRACT_SMALL",
    "Too few people are left who look like enough others in what was asked for.",
    "Nothing was lent. Ask for fewer variables that others may know of people, or for a longer period.",
)


def require_as_signed(wiring: Wiring, terms: ExtractTerms, recipient: Institution) -> None:
    """Refused R_EXTRACT_CHANGED unless recipient and key are those that were signed, and the day is ahead."""
    asked = set(terms.variables) <= set(lendable(wiring.definition.definition))
    same = recipient.role == "researcher" and recipient.age_key == terms.age_key
    if not (asked and same and terms.due > wiring.now.date()):
        raise Refused("R_EXTRACT_CHANGED")


def lent_courses(wiring: Wiring, terms: ExtractTerms, state: int) -> Lent:
    """The courses, de-identified: dates coarse, and nobody who looks like too few; Refused R_EXTRACT_SMALL."""
    definition, policy = wiring.definition.definition, policy_for(wiring.definition.definition)
    known = lendable(definition)
    arrival = f"{definition.period_form}.{definition.form(definition.period_form).dated_by}"
    courses = _courses(wiring, terms, state, arrival)
    columns = [column for name in terms.variables for column in columns_of(known[name], name)]
    quasi = [
        column
        for name in terms.variables
        if known[name].sensitivity == "quasi" or known[name].kind is Type.DATE
        for column in columns_of(known[name], name)
    ]
    dates = [arrival] if arrival in columns else []
    found = anonymous(courses.select(*COURSE, PSEUDONYM, *columns), quasi, dates, least=policy.minimum_count)
    if found.people - found.left_out < policy.minimum_denominator:
        raise Refused("R_EXTRACT_SMALL")
    kept = found.courses.select(EPISODE, PSEUDONYM, *columns)
    return Lent(kept, tuple(columns), found.step, policy.minimum_count, found.left_out)


def _courses(wiring: Wiring, terms: ExtractTerms, state: int, arrival: str) -> pl.DataFrame:
    """A row for each course that arrived in the period, with the columns `FORM.COLUMN` that are asked for.

    A date but that of arrival is told as whole calendar months after it.
    """
    reader, definition, why = wiring.registry_reader, wiring.definition.definition, Purpose.RESEARCH
    known, period = lendable(definition), (terms.first, terms.last)
    courses = courses_in_period(reader, definition, period=period, state=state, purpose=why)
    for form in definition.forms:
        wanted = {name: known[name] for name in terms.variables if name.partition(".")[0] == form.id}
        asked = {column: column.partition(".")[2] for name in wanted for column in columns_of(wanted[name], name)}
        if form.id == definition.period_form:
            asked[arrival] = form.dated_by
        if asked:
            rows = reader.read(form.id, state=state, purpose=why).select(*COURSE, **asked)
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
    later = [name for name in terms.variables if known[name].kind is Type.DATE and name != arrival]
    return courses.with_columns((_months(pl.col(name)) - _months(pl.col(arrival))).alias(name) for name in later)


def _months(day: pl.Expr) -> pl.Expr:
    return day.dt.year().cast(pl.Int64) * 12 + day.dt.month().cast(pl.Int64)
