"""What waits, for whom, since when and why: counted from the control database, shown at the terminal and as a page."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from enclave.control.database import Control
from enclave.control.drops import FORM_DEFINITION, NETTSKJEMA, Drop, drops_of, unanswered_submissions
from enclave.control.extracts import extracts_of
from enclave.control.form_definitions import Delivered, definitions_of, held_back
from enclave.control.loans import Loan, loans_of
from enclave.control.releases import releases_of
from enclave.control.requests import NEEDS_TWO_PEOPLE, ROTATION, Request, requests_of
from enclave.control.runs import runs_of
from enclave.control.submissions import untaken_of
from enclave.flow import DropState, LoanState, ReleaseState, RequestState
from enclave.folders import WorkingFolder
from enclave.halted import PAUSED, halt_mark
from enclave.settings import read_settings
from enclave.terminal.alarms import alarms_of, facts_of
from enclave.terminal.completeness import deliveries_seen
from enclave.terminal.key_needs import MOVED_BY

CARRIED_OUT_BY: Mapping[str, str] = MappingProxyType(
    {
        "destroy_loan": "destroy",
        "loan_order": "link",
        "own_rows": "give_back",
        "extract": "release",
        "close_extract": "release",
    }
)
"""The job that carries out a kind of request; all others are for `rights`."""
REMIND_DAYS = 14
"""How long before a loan's day its data processor is reminded that it has not been used."""
DATA_PROCESSOR = "data processor"


@dataclass(frozen=True)
class Waiting:
    """Something that does not go on by itself, or not yet. `since` is ISO; `why` names the next step."""

    what: str
    who: str
    since: str
    why: str
    needs_person: bool


@dataclass(frozen=True)
class Status:
    """The state of one registry's road."""

    registry: str
    halted: str
    drops: tuple[tuple[str, int], ...]
    rejected: tuple[tuple[str, int], ...]
    releases: tuple[tuple[str, int], ...]
    loans: tuple[tuple[str, str, str], ...]
    failed_runs: tuple[tuple[str, str, str], ...]
    waiting: tuple[Waiting, ...]

    @property
    def needs_person(self) -> bool:
        """Whether something waits for a person: exit code 1."""
        return bool(self.halted) or any(one.needs_person for one in self.waiting)


def look(folder: WorkingFolder, registry: str, now: datetime) -> Status:
    """The status as of now."""
    control = Control(folder.control)
    zone = ZoneInfo(read_settings(folder.settings).time_zone)
    drops, loans = drops_of(control, registry), loans_of(control, registry)
    definitions = definitions_of(control, registry)
    held = held_back(definitions, [drop for drop in drops if drop.state is DropState.COLLECTED])
    sent = [drop for drop in drops if drop.door != FORM_DEFINITION]
    releases = releases_of(control, registry)
    mark = halt_mark(folder)
    newest = {run.job: run for run in runs_of(control, registry) if run.finished_at is not None}
    stopped = [] if mark is None else [Waiting("server", "two people", mark["at"], f"halted: {mark['code']}", True)]
    paused = folder.locks / PAUSED
    if paused.exists():
        since = datetime.fromtimestamp(paused.stat().st_mtime, UTC).isoformat(timespec="seconds")
        stopped.append(Waiting("server", "data processor", since, "paused: `enclave pause --off`", True))
    waiting = [
        *stopped,
        *(
            Waiting("drop", drop.sender, drop.collected_at, "waits for `admit`", False)
            for drop in drops
            if drop.state is DropState.COLLECTED and drop.drop_uuid not in held
        ),
        *_of_forms(definitions, [drop for drop in drops if drop.drop_uuid in held]),
        *_at_nettskjema(control, registry),
        *(
            Waiting(
                f"release {one.release_id}",
                one.recipient or "everyone",
                one.proposed_at,
                "waits for `release approve`" + ("" if one.recipient else " with the project lead's signature"),
                True,
            )
            for one in releases
            if one.state is ReleaseState.PROPOSED
        ),
        *(
            Waiting(f"package of {one.kind}", one.recipient, one.sealed_at or "", "waits for `deliver`", False)
            for one in releases
            if one.state is ReleaseState.SEALED
        ),
        *(_lent(loan, now) for loan in loans if loan.state in (LoanState.OPEN, LoanState.LINKED)),
        *(
            Waiting(
                f"extract {one.terms.extract_id}",
                one.terms.recipient,
                one.lent_at,
                f"due {one.terms.due}" + (", overdue: ask for the confirmation" if one.is_overdue(now.date()) else ""),
                one.is_overdue(now.date()),
            )
            for one in extracts_of(control, registry)
            if one.state == "lent"
        ),
        *(_requested(one) for one in requests_of(control, registry, RequestState.FILED)),
        *(
            Waiting(one.what, one.institution, one.since, one.why, one.stops)
            for one in (
                *alarms_of(facts_of(control, registry), now, zone),
                *deliveries_seen(folder, registry, now, zone).closing,
            )
        ),
    ]
    return Status(
        registry,
        f"{mark['code']} since {mark['at']}" if mark else "",
        _counted(drop.state for drop in sent),
        _counted(drop.reason for drop in sent if drop.state is DropState.REJECTED),
        _counted(release.state for release in releases),
        tuple((loan.loan_id, loan.state.value, loan.due.isoformat()) for loan in loans),
        tuple((run.job, run.started_at, run.reason) for run in newest.values() if run.outcome != "ok"),
        tuple(waiting),
    )


def _lent(loan: Loan, now: datetime) -> Waiting:
    days = (loan.due - now.date()).days
    if days < 0:
        why, person = f"was due {loan.due}: run `destroy` now", True
    elif loan.review is not None and any("accepted" not in kind for kind in loan.review):
        why, person = f"uncertain links wait for `loan review`; due {loan.due}", True
    elif days <= REMIND_DAYS and loan.state is LoanState.OPEN:
        # Once it is due it is destroyed, linked or not: the last days are the last chance to use it.
        why, person = f"is destroyed in {days} days, on {loan.due}, and has not been linked", True
    else:
        why, person = f"due {loan.due}", False
    return Waiting(f"loan {loan.loan_id}", loan.lender, "", why, person)


FOR_A_PERSON = frozenset(
    {
        "R_SUBMISSIONS_AWAY",
        "E_SUBMISSION_KEY",
        "E_SUBMISSION_FORM",
        "E_SUBMISSION_INCOMPLETE",
        "E_SUBMISSION_SIZE",
    }
)
"""Why what lies at the Nettskjema airlock stays there until somebody does something."""


def _at_nettskjema(control: Control, registry: str) -> list[Waiting]:
    """What is not taken from the Nettskjema airlock, and what was taken of which nobody can be answered."""
    lying = [
        Waiting(f"{one.files} at Nettskjema", DATA_PROCESSOR, one.first_seen, one.reason, one.reason in FOR_A_PERSON)
        for one in untaken_of(control, registry)
    ]
    drops = unanswered_submissions(control, registry)
    nobody = Counter(drop.reason for drop in drops if drop.sender == NETTSKJEMA)
    since = {drop.reason: drop.collected_at for drop in reversed(drops) if drop.sender == NETTSKJEMA}
    answered = Counter(drop.sender for drop in drops if drop.sender != NETTSKJEMA)
    return [
        *lying,
        *(
            Waiting(f"{count} submissions of nobody known", DATA_PROCESSOR, since[reason], reason, True)
            for reason, count in sorted(nobody.items())
        ),
        *(
            Waiting(f"{count} submissions", sender, "", "answered with the next day's digest", False)
            for sender, count in sorted(answered.items())
        ),
    ]


def _of_forms(definitions: Sequence[Delivered], held: Sequence[Drop]) -> list[Waiting]:
    """The definitions that wait for a person, the submissions that wait for them, and what was only added."""
    versions = [
        *(
            Waiting(f"version of form {one.form}", DATA_PROCESSOR, one.kept_at, f"{one.reason}: `registry forms`", True)
            for one in definitions
            if one.state == "waiting"
        ),
        *(
            Waiting(
                f"{one.added} added to form {one.form}",
                DATA_PROCESSOR,
                one.kept_at,
                "nothing waits for it; `registry approve` says that it was seen",
                False,
            )
            for one in definitions
            if one.state == "noted" and one.added
        ),
    ]
    counted = Counter(drop.form for drop in held)
    since = {form: min(drop.collected_at for drop in held if drop.form == form) for form in counted}
    why = "wait for `registry approve`, or for the mended form"
    return [
        *versions,
        *(
            Waiting(f"{count} submissions of form {form}".strip(), DATA_PROCESSOR, since[form], why, True)
            for form, count in sorted(counted.items())
        ),
    ]


def _requested(request: Request) -> Waiting:
    unsigned = request.kind in NEEDS_TWO_PEOPLE and not request.signature
    job = CARRIED_OUT_BY.get(request.kind, "rights")
    if request.kind == ROTATION:
        job = MOVED_BY[request.parameters["key"]]
    why = "waits for the project lead's signature: `request approve`" if unsigned else f"waits for `{job}`"
    return Waiting(f"request {request.kind}", request.filed_by, request.filed_at, why, unsigned)


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(map(str, values)).items()))
