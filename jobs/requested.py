"""Requests whose answer is a draft: which are to be carried out, and that nothing moved while the draft was made."""

from enclave.audit.record import Position
from enclave.control.releases import propose, releases_of
from enclave.control.requests import Request, close_request, requests_of
from enclave.errors import Refused, explain
from enclave.flow import ReleaseState, RequestState
from enclave.model.draft import Kind, NamedDraft
from enclave.release.gate import policy_of
from enclave.wiring import Wiring

explain(
    "R_STATE_MOVED",
    "The registry changed while this was made from it; somebody may have withdrawn.",
    "Nothing was released. The job's next run makes it anew.",
)


def to_carry_out(wiring: Wiring, what: str, kind: Kind) -> tuple[Request, ...]:
    """Filed requests of this kind, and those whose draft a withdrawal cancelled, which are made again without it."""
    states: dict[str, set[ReleaseState]] = {}
    for release in releases_of(wiring.control, wiring.registry):
        if release.kind is kind:
            states.setdefault(release.subject, set()).add(release.state)
    cancelled = {subject for subject, found in states.items() if found == {ReleaseState.CANCELLED}}
    asked = requests_of(wiring.control, wiring.registry, RequestState.FILED, RequestState.DONE)
    return tuple(
        request
        for request in asked
        if request.kind == what and (request.state is RequestState.FILED or request.request_id in cancelled)
    )


def answer(wiring: Wiring, request: Request, draft: NamedDraft, state: int, position: Position) -> None:
    """Close a request with the draft that answers it, in one commit; Refused R_STATE_MOVED as `require_state`."""
    with wiring.control.changing(position) as connection:
        require_state(wiring, state)
        if request.state is RequestState.FILED:
            close_request(connection, request.request_id, RequestState.DONE, reason="", at=wiring.now)
        propose(
            connection,
            wiring.registry,
            draft,
            subject=request.request_id,
            needs_person=policy_of(draft.kind).needs_person,
            at=wiring.now,
        )


def require_state(wiring: Wiring, state: int) -> None:
    """Refused R_STATE_MOVED unless the registry is still in this state.

    Asked inside the transaction that proposes a draft: a withdrawal is in the registry before it cancels what is
    unsealed, so either it is seen here, or its cancelling waits for this transaction and finds the draft.
    """
    if wiring.registry_reader.current_state() != state:
        raise Refused("R_STATE_MOVED")
