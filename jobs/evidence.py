"""Did it happen? The evidence of an intent that a killed run left open, as `flow.ACTS` names it."""

from enclave.airlock.deliver import is_delivered
from enclave.audit.checkpoint import verify
from enclave.audit.record import StoredEntry
from enclave.control.releases import find_release
from enclave.flow import ACTS, Act, Evidence, ReleaseState
from enclave.wiring import Wiring
from jobs.boxes import box_of


def happened(act: Act, intent: StoredEntry, wiring: Wiring) -> bool:
    """Whether an act took effect; a place that cannot be asked is Refused: the answer is not known yet."""
    match ACTS[act].evidence:
        case Evidence.CONTROL:
            return wiring.control.has_act(intent.position)
        case Evidence.VAULT:
            return wiring.vault.has_act(intent.position)
        case Evidence.REGISTRY:
            return wiring.registry_writer.has_act(intent.position)
        case Evidence.AIRLOCK:
            return wiring.control.has_act(intent.position) or _arrived(intent.object_id, wiring)
        case Evidence.CHECKPOINT:
            newest = wiring.log.newest_checkpoint()
            return newest is not None and verify(newest, wiring.log.vkey).size > intent.seq


def _arrived(release_id: str, wiring: Wiring) -> bool:
    release = find_release(wiring.control, release_id)
    if release.state is ReleaseState.DELIVERED:
        return True
    sealed = dict(release.sealed or {})
    return bool(sealed) and is_delivered(wiring.airlock, release.recipient, box_of(release.kind), sealed)
