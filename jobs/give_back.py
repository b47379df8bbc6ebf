"""An institution's own rows, when asked for; what is due of its courses, each month → drafts under its own references.

Both read the registry by sender for the purpose `own_rows`, and the vault for the sender's own references only. Own
rows wait for a person's approval; a reminder goes as it is. A withdrawal cancels both while they are not sealed, and
the next run makes them again without that person.
"""

import polars as pl

from enclave.audit.record import Purpose as Why
from enclave.control.institutions import Institution, find_institution, institutions_of
from enclave.control.releases import REMINDER, propose, releases_of
from enclave.control.requests import Request, close_request
from enclave.errors import Halt, Refused, explain
from enclave.flow import Act, ReleaseState, RequestState
from enclave.model.draft import Draft, DraftFile, Kind, NamedDraft
from enclave.model.pseudonymous import EPISODE
from enclave.model.purpose import Purpose
from enclave.registry.definition import Form
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.release.own_records import OwnRows, own_files, own_rows
from enclave.release.reminder import FollowUp, Standing, Yearly, follow_ups, owed, reminder_files
from enclave.wiring import Wiring
from jobs.drafts import sweep_drafts, write_draft
from jobs.requested import answer, require_state, to_carry_out

explain(
    "R_NO_OWN_ROWS",
    "The registry holds no row of this institution that may be given back to it.",
    "See `enclave drop list`; the institution's drops may be rejected or not admitted yet.",
)

OWN_ROWS = "own_rows"


def give_back(wiring: Wiring) -> dict[str, int]:
    """Draft what was asked for and what is due; answers how many of each, and how many requests were refused."""
    sweep_drafts(wiring, (release.draft_sha256 for release in releases_of(wiring.control, wiring.registry)))
    counts = {"given": 0, "refused": 0, "reminders": 0}
    for request in to_carry_out(wiring, OWN_ROWS, Kind.OWN_RECORDS):
        outcome = _answer(wiring, request)
        counts[outcome] = counts.get(outcome, 0) + 1
    reminded = _reminded(wiring)
    for institution in institutions_of(wiring.control, wiring.registry, "sender"):
        if institution.institution_id not in reminded:
            counts["reminders"] += _remind(wiring, institution)
    return counts


def _answer(wiring: Wiring, request: Request) -> str:
    """`given`, `refused` with its code, or `waiting` for the next run."""
    try:
        institution = find_institution(wiring.control, wiring.registry, request.parameters["institution_id"])
        state = wiring.registry_reader.current_state()
        _give(wiring, request, institution, _own_forms(wiring, institution, state), state)
    except Refused as why:
        if why.code == "R_STATE_MOVED" or request.state is RequestState.DONE:
            return "waiting"  # the next run makes it; or everyone in it has withdrawn, and there is nothing to make
        with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
            with wiring.control.changing(act.position) as connection:
                close_request(connection, request.request_id, RequestState.REFUSED, reason=why.code, at=wiring.now)
        return "refused"
    return "given"


def _own_forms(wiring: Wiring, institution: Institution, state: int) -> list[OwnRows]:
    """Every form of which the institution has rows, in the definition's order."""
    forms = []
    for form in wiring.definition.definition.forms:
        rows = _read(wiring, form, institution, state)
        if not rows.is_empty():
            references = _references(wiring, form, rows)
            forms.append(own_rows(form, rows, references, institution=institution.institution_id))
    if not forms:
        raise Refused("R_NO_OWN_ROWS")
    return forms


def _read(wiring: Wiring, form: Form, institution: Institution, state: int) -> pl.DataFrame:
    return wiring.registry_reader.read(
        form.id, state=state, purpose=Purpose.OWN_ROWS, sender=institution.institution_id
    )


def _references(wiring: Wiring, form: Form, rows: pl.DataFrame) -> pl.DataFrame:
    """What the vault keeps of these courses; nothing is asked where a form's rows are told apart by its own answers."""
    return wiring.vault_reader.references([] if form.key else rows[EPISODE].unique(maintain_order=True).to_list())


def _give(wiring: Wiring, request: Request, institution: Institution, forms: list[OwnRows], state: int) -> None:
    case, about = request.parameters["case_number"], request.request_id
    with wiring.acts.act(Act.ROWS_GIVE, "request", about, purpose=Why.OWN_ROWS, case_number=case) as act:
        files = own_files(forms, wiring.definition.definition, recipient_name=institution.name, state=state)
        named = _draft(wiring, Kind.OWN_RECORDS, institution, state, files)
        act.add(rows=sum(len(each.rows) for each in forms), hidden=sum(each.hidden for each in forms))
        answer(wiring, request, named, state, act.position)


def _draft(
    wiring: Wiring, kind: Kind, institution: Institution, state: int, files: tuple[DraftFile, ...]
) -> NamedDraft:
    recipient = institution.institution_id
    draft = Draft(kind, wiring.registry, recipient, state, wiring.definition.sha256, files)
    return write_draft(wiring, admit_to_release(draft, recipient=recipient, institutions=wiring.institution_ids))


def _month(wiring: Wiring) -> str:
    return f"{REMINDER}{wiring.now:%Y-%m}"


def _reminded(wiring: Wiring) -> set[str]:
    """The institutions that have this month's reminder already; a cancelled one is made again."""
    return {
        release.recipient
        for release in releases_of(wiring.control, wiring.registry)
        if release.subject == _month(wiring) and release.state is not ReleaseState.CANCELLED
    }


def _remind(wiring: Wiring, institution: Institution) -> int:
    """Draft one institution's reminder of this month; answers 1, or 0 where nothing is due or the registry moved."""
    state, today = wiring.registry_reader.current_state(), wiring.now.date()
    listed = [one for form in wiring.definition.definition.forms for one in _due(wiring, form, institution, state)]
    owes = [one for form in wiring.definition.definition.forms for one in _owed(wiring, form, institution, state)]
    files = reminder_files(listed, owes, wiring.definition.definition, recipient_name=institution.name, today=today)
    if not files:
        return 0
    try:
        with wiring.acts.act(Act.REMINDER_DRAFT, "institution", institution.institution_id) as act:
            named = _draft(wiring, Kind.NOTICE, institution, state, files)
            overdue = sum(one.standing is Standing.OVERDUE for one in listed)
            act.add(listed=len(listed), overdue=overdue, yearly=len(owes))
            with wiring.control.changing(act.position) as connection:
                require_state(wiring, state)
                propose(
                    connection,
                    wiring.registry,
                    named,
                    subject=_month(wiring),
                    needs_person=policy_of(named.kind).needs_person,
                    at=wiring.now,
                )
    except Refused as why:
        if why.code != "R_STATE_MOVED":
            raise
        return 0
    return 1


def _due(wiring: Wiring, form: Form, institution: Institution, state: int) -> tuple[FollowUp, ...]:
    """The institution's courses that this form is due of and that have no row of it."""
    if form.due is None:
        return ()
    after = wiring.definition.definition.form(form.due.form)
    answered = _read(wiring, form, institution, state).select(EPISODE)
    courses = _read(wiring, after, institution, state).select(EPISODE, _anchor=form.due.column)
    waiting = courses.drop_nulls("_anchor").join(answered, on=EPISODE, how="anti", maintain_order="left")
    references = _references(wiring, after, waiting).filter(pl.col("sender") == institution.institution_id)
    named = waiting.join(references, left_on=EPISODE, right_on="episode", how="inner", maintain_order="left")
    if named.height != waiting.height:
        raise Halt("H_NOT_OWN", place=after.id)
    anchors = dict(named.select("reference", "_anchor").iter_rows())
    return follow_ups(form, anchors, wiring.now.date())


def _owed(wiring: Wiring, form: Form, institution: Institution, state: int) -> tuple[Yearly, ...]:
    """The yearly figures that the institution has not sent, of a year in which it had courses."""
    if form.yearly is None:
        return ()
    period = wiring.definition.definition.form(wiring.definition.definition.period_form)
    reported = _read(wiring, form, institution, state)[form.yearly.year].drop_nulls().unique().to_list()
    active = _read(wiring, period, institution, state)[period.dated_by].dt.year().drop_nulls().unique().to_list()
    return owed(form, reported, active, wiring.now.date())
