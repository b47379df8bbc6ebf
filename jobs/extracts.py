"""Research extracts: a signed request → the de-identified courses that it asks for, sealed to the project's key.

Carried out by `release`, which sees the registry and no vault. Read for the purpose `research`, so that who is reserved
against it or has withdrawn is not in it; who withdraws before it is sealed is taken out, and it is made again.
"""

import polars as pl

from enclave.analysis.courses import COURSE, courses_in_period
from enclave.audit.record import Purpose as Why
from enclave.control.extracts import CLOSE, EXTRACT
from enclave.control.institutions import Institution, find_institution
from enclave.control.releases import propose
from enclave.control.requests import Request, close_request, requests_of
from enclave.disclosure.anonymity import anonymous
from enclave.disclosure.policy import policy_for
from enclave.errors import Refused, explain
from enclave.flow import Act, RequestState
from enclave.model.draft import Draft, Kind
from enclave.model.extract import ExtractTerms
from enclave.model.pseudonymous import EPISODE, PSEUDONYM
from enclave.model.purpose import Purpose
from enclave.registry.definition import Kind as Type
from enclave.release.extract import Lent, columns_of, extract_files, lendable
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.second_person import verify_second_person
from enclave.wiring import Wiring
from jobs.drafts import write_draft
from jobs.requested import require_state, to_carry_out

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


def answer_extracts(wiring: Wiring) -> dict[str, int]:
    """Make what is signed and close what is confirmed deleted; answers how many of each."""
    lent = [one for one in to_carry_out(wiring, EXTRACT, Kind.EXTRACT) if _answer(wiring, one)]
    filed = requests_of(wiring.control, wiring.registry, RequestState.FILED)
    confirmed = [one for one in filed if one.kind == CLOSE]
    for request in confirmed:
        _close(wiring, request, RequestState.DONE, "")
    return {"extracts": len(lent), "closed": len(confirmed)}


def _answer(wiring: Wiring, request: Request) -> bool:
    """Make one extract; without a signature it waits, with a wrong one it is refused."""
    if not request.signature:
        return False
    try:
        verify_second_person(wiring.settings, request.signed_text(), request.signature.encode(), wiring.now)
        terms = ExtractTerms.of(request.parameters)
        recipient = find_institution(wiring.control, wiring.registry, terms.recipient)
        _require_as_signed(wiring, terms, recipient)
        _lend(wiring, request, terms)
    except Refused as why:
        if why.code != "R_STATE_MOVED" and request.state is RequestState.FILED:
            _close(wiring, request, RequestState.REFUSED, why.code)
        return False
    return True


def _require_as_signed(wiring: Wiring, terms: ExtractTerms, recipient: Institution) -> None:
    asked = set(terms.variables) <= set(lendable(wiring.definition.definition))
    same = recipient.role == "researcher" and recipient.age_key == terms.age_key
    if not (asked and same and terms.due > wiring.now.date()):
        raise Refused("R_EXTRACT_CHANGED")


def _close(wiring: Wiring, request: Request, state: RequestState, reason: str) -> None:
    with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
        with wiring.control.changing(act.position) as connection:
            close_request(connection, request.request_id, state, reason=reason, at=wiring.now)


def _lend(wiring: Wiring, request: Request, terms: ExtractTerms) -> None:
    why, case, about = Why.RESEARCH, terms.case_number, request.request_id
    with wiring.acts.act(Act.EXTRACT_DRAFT, "request", about, purpose=why, case_number=case) as act:
        state, loaded = wiring.registry_reader.current_state(), wiring.definition
        lent = _lent(wiring, terms, state)
        act.add(courses=lent.courses.height, people=lent.courses[PSEUDONYM].n_unique(), left_out=lent.left_out)
        files = extract_files(lent, terms, loaded.definition)
        draft = admit_to_release(
            Draft(Kind.EXTRACT, wiring.registry, terms.recipient, state, loaded.sha256, files),
            recipient=terms.recipient,
            institutions=wiring.institution_ids,
        )
        named = write_draft(wiring, draft)
        act.digests.update(draft=named.sha256)
        with wiring.control.changing(act.position) as connection:
            require_state(wiring, state)
            if request.state is RequestState.FILED:
                close_request(connection, about, RequestState.DONE, reason="", at=wiring.now)
            propose(
                connection,
                wiring.registry,
                named,
                subject=about,
                needs_person=policy_of(draft.kind).needs_person,
                at=wiring.now,
            )


def _lent(wiring: Wiring, terms: ExtractTerms, state: int) -> Lent:
    """The courses, de-identified: dates coarse, and nobody who looks like too few."""
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
