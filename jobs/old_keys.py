"""What is still under the old key of a pair that others seal to, and the end of its rotation.

What cannot be moved without being changed – a draft that was approved, a request that was signed – and what the job
that opens it may not write – the wrapped key of a drop – goes its way under the old key, and is waited for: nothing new
comes under it once the next is drawn, since no job is at work while that happens.
"""

from collections.abc import Callable

from enclave import durable
from enclave.control.releases import drafts_over
from enclave.control.requests import ROTATION, close_request, requests_of
from enclave.crypto import age
from enclave.crypto.keystore import Keystore
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import Act, ReleaseState, RequestState
from enclave.grants import Access, Folder
from enclave.release.drafts import count_under
from enclave.wiring import Wiring


def go_on(wiring: Wiring, key: str, left: Callable[[Wiring], int]) -> int:
    """Close the rotation of a key once nothing is left under the old one; answers how much still is."""
    filed = requests_of(wiring.control, wiring.registry, RequestState.FILED)
    rotations = [one for one in filed if one.kind == ROTATION and one.parameters["key"] == key]
    if not rotations:
        return 0
    state, reason, waiting = RequestState.DONE, "", 0
    if wiring.keys.next(key) is None:
        state, reason = RequestState.REFUSED, "R_NO_NEXT_KEY"
    else:
        waiting = left(wiring)
    for request in rotations if waiting == 0 else ():
        with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
            with wiring.control.changing(act.position) as connection:
                close_request(connection, request.request_id, state, reason=reason, at=wiring.now)
    return waiting


def is_under(keys: Keystore, name: str, key: Secret) -> bool:
    """Whether a key is there that this one unwraps; one that is destroyed, or begins to be, is not."""
    try:
        return age.is_sealed_to(keys.get(name), key)
    except Refused:
        return False


def drop_keys_left(wiring: Wiring) -> int:
    """How many keys of drops only the old key of the quarantine unwraps; each is destroyed with its drop in time."""
    keys, old = wiring.keystore(Folder.DROP_KEYS, Access.READ), wiring.keys.get("quarantine")
    return sum(is_under(keys, name, old) for name in keys.names())


def drafts_left(wiring: Wiring) -> int:
    """How many drafts that were not sealed yet only the old key of `seal` opens."""
    drafts, old = wiring.path(Folder.DRAFTS, Access.READ), wiring.keys.get("drafts")
    over = drafts_over(wiring.control, wiring.registry, ReleaseState.PROPOSED, ReleaseState.APPROVED)
    return count_under(drafts, old, over)


def requests_left(wiring: Wiring) -> int:
    """How many requests that wait, for a signature or for their turn, only the old key of `rights` opens."""
    folder, old = wiring.path(Folder.REQUESTS, Access.READ), wiring.keys.get("rights")
    filed = requests_of(wiring.control, wiring.registry, RequestState.FILED)
    sealed = [folder / f"{one.request_id}.age" for one in filed if one.sealed_sha256]
    return sum(age.is_sealed_to(durable.read(path), old) for path in sealed if path.exists())
