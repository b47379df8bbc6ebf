"""The national pages as a draft for everyone: the newest tables of all clinics together, and what is published already.

One site waits for two people at a time. What has been published is shown again as of the state that it was published
as, from the tables that the registry keeps; nothing newer of the same period is shown beside it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from enclave import __version__, durable
from enclave.control.extracts import extracts_of
from enclave.control.institutions import institutions_of
from enclave.control.loans import loans_of
from enclave.control.releases import Release, released_tables, releases_of, tables_of
from enclave.disclosure.difference import PUBLIC, Released, check_against_ledger
from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.disclosure.suppress import withheld_texts
from enclave.errors import Refused
from enclave.flow import LoanState, ReleaseState
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.model.table import ReleasableTable, ResultTable, Withheld
from enclave.registry.load import LoadedDefinition, load_kept
from enclave.report.news import Words, read_words
from enclave.report.site import Borrowed, Period, Project, site_files
from enclave.wiring import Wiring
from jobs.link_rates import linked_percent

SITE = "site-"
"""What the subject of the national pages begins with; the digest of their content follows."""

Table = ResultTable | ReleasableTable
Place = tuple[str, str]
"""(table, period)"""


@dataclass(frozen=True, repr=False)
class NewSite:
    """The national pages before the gate: their draft, its subject in the ledger, and what is withheld from them."""

    draft: Draft
    subject: str
    withheld: frozenset[str]


def new_site(wiring: Wiring) -> NewSite | None:
    """The national pages, where they would say something new and none waits already."""
    public = [one for one in releases_of(wiring.control, wiring.registry) if one.recipient == PUBLIC]
    site = [one for one in public if one.kind is Kind.RELEASABLE_TABLE]
    if any(one.state in (ReleaseState.PROPOSED, ReleaseState.APPROVED) for one in site):
        return None
    state = wiring.registry_reader.current_state()
    published = _published(wiring, site)
    chosen, withheld = _chosen(wiring, published)
    tables = tuple((table.table, table.period) for period in chosen for table in period.tables if _is_shown(table))
    words = _words(wiring)
    if not tables or words is None:
        return None
    files = site_files(
        chosen,
        wiring.definition.definition,
        words=words,
        loans=_loans(wiring),
        projects=_projects(wiring),
        code_version=__version__,
    )
    subject = f"{SITE}{_digest(files)}"
    newest = max((one for one in site if one.state is ReleaseState.DELIVERED), key=_delivered_at, default=None)
    if newest is not None and newest.subject == subject:
        return None
    draft = Draft(Kind.RELEASABLE_TABLE, wiring.registry, PUBLIC, state, wiring.definition.sha256, files, tables)
    return NewSite(draft, subject, withheld)


def newest_borrowed(tables: Iterable[Table], period: str, state: int) -> list[ReleasableTable]:
    """The newest finished table of each loan for a period; where there is only one, it is as of any state.

    Link makes a table once and nothing changes it, so institutions and everyone are given the same one.
    """
    finished = [one for one in tables if isinstance(one, ReleasableTable) and one.period == period]
    kept = [one.table for one in finished]
    newest = {one.table: one for one in finished}
    return [replace(one, state=state) if kept.count(one.table) == 1 else one for one in newest.values()]


def _published(wiring: Wiring, site: Sequence[Release]) -> dict[Place, int]:
    """The state that each published table was first published as."""
    states: dict[Place, int] = {}
    for one in sorted((one for one in site if one.state is ReleaseState.DELIVERED), key=_delivered_at):
        for place in tables_of(wiring.control, one.release_id):
            states.setdefault(place, one.registry_state)
    return states


def _delivered_at(release: Release) -> str:
    return release.delivered_at or ""


def _chosen(wiring: Wiring, published: dict[Place, int]) -> tuple[list[Period], frozenset[str]]:
    """The tables of each period: those published, as they were; in other periods the newest that nothing forbids."""
    kept, finished = wiring.registry_reader.tables(finished=False), wiring.registry_reader.tables(finished=True)
    newest = wiring.registry_reader.current_state()
    periods: list[Period] = []
    withheld: frozenset[str] = frozenset()
    for period in sorted({table.period for table in kept}):
        # Every table of a year but those of loans is published at once, as of one state, the first.
        states = {state for (_, of), state in published.items() if of == period}
        state = min(states, default=newest)
        made = [
            one
            for one in kept
            if isinstance(one, ResultTable) and (one.recipient, one.period, one.state) == (PUBLIC, period, state)
        ]
        # Of one state and several definitions the first was published; the newest is what is published now.
        which = (made[0] if states else made[-1]).definition if made else wiring.definition.sha256
        if not made or (not states and which != wiring.definition.sha256):
            continue
        loaded = load_kept(wiring.lies.definitions, which)
        made = [one for one in made if one.definition == which]
        borrowed = [
            # A loan may be linked after the year was published: its table has a state of its own.
            replace(one, state=published.get((one.table, period), one.state))
            for one in newest_borrowed(finished, period, newest)
        ]
        shown, secret = _shown(wiring, made, borrowed, loaded, published)
        if any(_is_shown(table) for table in shown):
            periods.append(Period(tuple(shown), loaded.definition))
            withheld |= secret
    return periods, withheld


def _shown(
    wiring: Wiring,
    made: list[ResultTable],
    borrowed: list[ReleasableTable],
    loaded: LoadedDefinition,
    published: dict[Place, int],
) -> tuple[list[ReleasableTable], frozenset[str]]:
    """The tables of one period as everyone may see them, and what is withheld from them, written in full."""
    together = suppress_together(made, loaded.definition, "public", policy_for(loaded.definition))
    secret = frozenset().union(*(withheld_texts(*pair) for pair in zip(made, together, strict=True)))
    released = [Released(*facts) for facts in released_tables(wiring.control, wiring.registry)]
    known = {one.id for one in loaded.definition.tables}
    shown = [
        # What everyone has seen is shown again as it was; everything else must not differ from what anybody has had.
        table
        if published.get((table.table, table.period)) == table.state
        else check_against_ledger(table, released, recipient=PUBLIC)
        for table in (*together, *(one for one in borrowed if one.table in known))
    ]
    return shown, secret


def _is_shown(table: ReleasableTable) -> bool:
    return any(figure.withheld is not Withheld.REPEATED for figure in table.figures)


def _words(wiring: Wiring) -> Words | None:
    """The words that people wrote; nothing where there are none yet, or none that can be read."""
    try:
        return read_words(durable.read(wiring.lies.pages))
    except (FileNotFoundError, Refused):
        return None


def _loans(wiring: Wiring) -> list[Borrowed]:
    names = {one.institution_id: one.name for one in institutions_of(wiring.control, wiring.registry)}
    labels = {loan.id: loan for loan in wiring.definition.definition.loans}
    told = []
    for one in loans_of(wiring.control, wiring.registry):
        variables = {each.name: each.label.nb for each in labels[one.kind].variables} if one.kind in labels else {}
        told.append(
            Borrowed(
                one.loan_id,
                names.get(one.lender, one.lender),
                tuple(variables.get(name, name) for name in one.variables),
                one.due,
                date.fromisoformat(one.destroyed_at[:10])
                if one.state is LoanState.DESTROYED and one.destroyed_at
                else None,
                linked_percent(one, policy_for(wiring.definition.definition)),
            )
        )
    return told


def _projects(wiring: Wiring) -> list[Project]:
    """What was lent to research, and to whom; not what two people have only agreed on."""
    names = {one.institution_id: one.name for one in institutions_of(wiring.control, wiring.registry)}
    return [
        Project(
            one.terms.project,
            one.terms.purpose,
            names.get(one.terms.recipient, one.terms.recipient),
            one.terms.legal_basis,
            date.fromisoformat(one.lent_at[:10]),
            one.terms.due,
            date.fromisoformat(one.closed_at[:10]) if one.closed_at else None,
        )
        for one in extracts_of(wiring.control, wiring.registry)
        if one.lent_at
    ]


def _digest(files: Sequence[DraftFile]) -> str:
    parts = [f"{file.name} {hashlib.sha256(file.content).hexdigest()}\n" for file in files]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
