"""Result tables and the ledger → drafts, one for each institution and period, that wait for a person's approval.

Research extracts that two people asked for are made here too. The national pages are drafted last, and wait for two
people.
"""

from dataclasses import dataclass

from enclave.audit.record import Purpose as Why
from enclave.control.extracts import CLOSE, EXTRACT
from enclave.control.institutions import find_institution
from enclave.control.releases import propose, released_tables, releases_of
from enclave.control.requests import Request, close_request, requests_of
from enclave.disclosure.difference import PUBLIC, Released, check_against_ledger
from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.disclosure.suppress import withheld_texts
from enclave.errors import Refused
from enclave.flow import Act, RequestState
from enclave.model.draft import Draft, DraftFile, Kind, NamedDraft
from enclave.model.extract import ExtractTerms
from enclave.model.pseudonymous import PSEUDONYM
from enclave.model.table import ReleasableTable, ResultTable, Withheld
from enclave.release.extract import extract_files
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.second_person import verify_second_person
from enclave.wiring import Wiring
from jobs.drafts import sweep_drafts, write_draft
from jobs.extracts import lent_courses, require_as_signed
from jobs.layout import Package, lay_out_all
from jobs.link_rates import link_rates
from jobs.requested import require_state, to_carry_out
from jobs.site import new_site, newest_borrowed


@dataclass(frozen=True)
class Due:
    """A package that is due: the newest tables of an institution and period, what it is shown, and what of it is new.

    `shown` begins with `tables` after disclosure control, in the same order.
    """

    recipient: str
    tables: list[ResultTable]
    shown: list[ReleasableTable]
    new: list[ReleasableTable]


def release(wiring: Wiring) -> dict[str, int]:
    """Draft what is new for each institution; answers how many drafts, and how many tables the ledger forbade."""
    _propose_named(wiring)
    named = {stored.draft.sha256 for stored in wiring.registry_reader.drafts()}
    sweep_drafts(wiring, named | {one.draft_sha256 for one in releases_of(wiring.control, wiring.registry)})
    counts = {"drafts": 0, "repeated": 0, "sites": 0}
    due: list[Due] = []
    # What one institution is shown for one period forbids nothing to another, nor for another year.
    for (recipient, period), tables in _newest_tables(wiring).items():
        shown = _shown(wiring, recipient, period, tables)
        new = [table for table in shown if not _is_repeated(table)]
        counts["repeated"] += len(shown) - len(new)
        if new:
            due.append(Due(recipient, tables, shown, new))
    packages = [_package(wiring, one) for one in due]
    for one, files in zip(due, lay_out_all(packages, wiring.definition.definition), strict=True):
        _draft(wiring, one, files)
        counts["drafts"] += 1
    counts |= _answer_extracts(wiring)
    counts["sites"] = _draft_site(wiring)
    return counts


def _newest_tables(wiring: Wiring) -> dict[tuple[str, str], list[ResultTable]]:
    """The newest tables before disclosure control, by (institution, period), in the definition's order."""
    newest = (wiring.registry_reader.current_state(), wiring.definition.sha256)
    found: dict[tuple[str, str], list[ResultTable]] = {}
    for table in wiring.registry_reader.tables(finished=False):
        if isinstance(table, ResultTable) and table.recipient and (table.state, table.definition) == newest:
            found.setdefault((table.recipient, table.period), []).append(table)
    return dict(sorted(found.items()))


def _shown(wiring: Wiring, recipient: str, period: str, tables: list[ResultTable]) -> list[ReleasableTable]:
    """What this institution may see of its tables, and of the finished tables of loans, for one period."""
    policy = policy_for(wiring.definition.definition)
    own = suppress_together(tables, wiring.definition.definition, "institution", policy)
    borrowed = newest_borrowed(wiring.registry_reader.tables(finished=True), period, tables[0].state)
    released = [Released(*facts) for facts in released_tables(wiring.control, wiring.registry)]
    return [check_against_ledger(table, released, recipient=recipient) for table in (*own, *borrowed)]


def _is_repeated(table: ReleasableTable) -> bool:
    return all(figure.withheld is Withheld.REPEATED for figure in table.figures)


def _package(wiring: Wiring, due: Due) -> Package:
    name = find_institution(wiring.control, wiring.registry, due.recipient).name
    return Package(tuple(due.shown), name, tuple(link_rates(wiring, due.shown)))


def _draft(wiring: Wiring, due: Due, files: tuple[DraftFile, ...]) -> None:
    loaded, state = wiring.definition, due.tables[0].state
    withheld = frozenset().union(
        *(withheld_texts(table, part) for table, part in zip(due.tables, due.shown, strict=False))
    )
    with wiring.acts.act(Act.RELEASE_DRAFT, "institution", due.recipient, counts={"tables": len(due.new)}) as act:
        named_tables = tuple((table.table, table.period) for table in due.new)
        draft = admit_to_release(
            Draft(Kind.RELEASABLE_TABLE, wiring.registry, due.recipient, state, loaded.sha256, files, named_tables),
            recipient=due.recipient,
            institutions=wiring.institution_ids,
            withheld_texts=withheld,
        )
        named = write_draft(wiring, draft)
        wiring.registry_writer.name_drafts([named], act.position)
    _propose(wiring, named)


def _propose_named(wiring: Wiring) -> None:
    """Enter drafts in the ledger that the registry names and a killed run did not enter."""
    known = {one.release_id for one in releases_of(wiring.control, wiring.registry)}
    for stored in wiring.registry_reader.drafts():
        ours = stored.position.log_id == wiring.log.log_id
        if ours and stored.drop_uuid is None and stored.draft.draft_id not in known:
            _propose(wiring, stored.draft)


def _propose(wiring: Wiring, draft: NamedDraft) -> None:
    with wiring.acts.act(Act.RELEASE_PROPOSE, "release", draft.draft_id) as act:
        with wiring.control.changing(act.position) as connection:
            propose(
                connection,
                wiring.registry,
                draft,
                subject="",
                needs_person=policy_of(draft.kind).needs_person,
                at=wiring.now,
            )


def _answer_extracts(wiring: Wiring) -> dict[str, int]:
    """Make what is signed and close what is confirmed deleted; answers how many of each."""
    lent = [one for one in to_carry_out(wiring, EXTRACT, Kind.EXTRACT) if _answer_extract(wiring, one)]
    filed = requests_of(wiring.control, wiring.registry, RequestState.FILED)
    confirmed = [one for one in filed if one.kind == CLOSE]
    for request in confirmed:
        _close(wiring, request, RequestState.DONE, "")
    return {"extracts": len(lent), "closed": len(confirmed)}


def _answer_extract(wiring: Wiring, request: Request) -> bool:
    """Make one extract; without a signature it waits, with a wrong one it is refused."""
    if not request.signature:
        return False
    try:
        verify_second_person(wiring.settings, request.signed_text(), request.signature.encode(), wiring.now)
        terms = ExtractTerms.of(request.parameters)
        recipient = find_institution(wiring.control, wiring.registry, terms.recipient)
        require_as_signed(wiring, terms, recipient)
        _lend(wiring, request, terms)
    except Refused as why:
        if why.code != "R_STATE_MOVED" and request.state is RequestState.FILED:
            _close(wiring, request, RequestState.REFUSED, why.code)
        return False
    return True


def _close(wiring: Wiring, request: Request, state: RequestState, reason: str) -> None:
    with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
        with wiring.control.changing(act.position) as connection:
            close_request(connection, request.request_id, state, reason=reason, at=wiring.now)


def _lend(wiring: Wiring, request: Request, terms: ExtractTerms) -> None:
    why, case, about = Why.RESEARCH, terms.case_number, request.request_id
    with wiring.acts.act(Act.EXTRACT_DRAFT, "request", about, purpose=why, case_number=case) as act:
        state, loaded = wiring.registry_reader.current_state(), wiring.definition
        lent = lent_courses(wiring, terms, state)
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


def _draft_site(wiring: Wiring) -> int:
    """Propose new national pages; 0 where there are none, or the registry moved, and the next run makes them anew."""
    site = new_site(wiring)
    if site is None:
        return 0
    state, tables = site.draft.state, len(site.draft.tables)
    try:
        with wiring.acts.act(Act.SITE_DRAFT, "state", str(state), counts={"tables": tables}) as act:
            draft = admit_to_release(
                site.draft, recipient=PUBLIC, institutions=wiring.institution_ids, withheld_texts=site.withheld
            )
            named = write_draft(wiring, draft)
            with wiring.control.changing(act.position) as connection:
                # Asked in the same transaction: a withdrawal is seen here, or cancels what is proposed here.
                require_state(wiring, state)
                propose(
                    connection,
                    wiring.registry,
                    named,
                    subject=site.subject,
                    needs_person=policy_of(named.kind).needs_person,
                    at=wiring.now,
                )
    except Refused as why:
        if why.code != "R_STATE_MOVED":
            raise
        return 0
    return 1
