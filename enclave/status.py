"""What waits, for whom, since when and why: counted from the control database, shown at the terminal and as a page."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from enclave.control.database import Control
from enclave.control.drops import drops_of
from enclave.control.loans import loans_of
from enclave.control.releases import releases_of
from enclave.control.requests import Request, requests_of
from enclave.control.runs import runs_of
from enclave.flow import DropState, LoanState, ReleaseState, RequestState
from enclave.folders import WorkingFolder
from enclave.halted import halt_mark

CARRIED_OUT_BY: Mapping[str, str] = MappingProxyType(
    {"destroy_loan": "destroy", "loan_order": "link", "own_rows": "give_back"}
)
"""The job that carries out a kind of request; all others are for `rights`."""
NEEDS_TWO_PEOPLE = frozenset({"loan_order", "merge", "split", "reidentify"})


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
    drops, loans = drops_of(control, registry), loans_of(control, registry)
    releases = releases_of(control, registry)
    mark = halt_mark(folder)
    newest = {run.job: run for run in runs_of(control, registry) if run.finished_at is not None}
    halted = [] if mark is None else [Waiting("server", "two people", mark["at"], f"halted: {mark['code']}", True)]
    waiting = [
        *halted,
        *(
            Waiting("drop", drop.sender, drop.collected_at, "waits for `admit`", False)
            for drop in drops
            if drop.state is DropState.COLLECTED
        ),
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
        *(
            Waiting(f"loan {loan.loan_id}", loan.lender, "", f"due {loan.due}", loan.due < now.date())
            for loan in loans
            if loan.state in (LoanState.OPEN, LoanState.LINKED)
        ),
        *(_requested(one) for one in requests_of(control, registry, RequestState.FILED)),
    ]
    return Status(
        registry,
        f"{mark['code']} since {mark['at']}" if mark else "",
        _counted(drop.state for drop in drops),
        _counted(drop.reason for drop in drops if drop.state is DropState.REJECTED),
        _counted(release.state for release in releases),
        tuple((loan.loan_id, loan.state.value, loan.due.isoformat()) for loan in loans),
        tuple((run.job, run.started_at, run.reason) for run in newest.values() if run.outcome != "ok"),
        tuple(waiting),
    )


def _requested(request: Request) -> Waiting:
    unsigned = request.kind in NEEDS_TWO_PEOPLE and not request.signature
    job = CARRIED_OUT_BY.get(request.kind, "rights")
    why = "waits for the project lead's signature: `request approve`" if unsigned else f"waits for `{job}`"
    return Waiting(f"request {request.kind}", request.filed_by, request.filed_at, why, unsigned)


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(map(str, values)).items()))
