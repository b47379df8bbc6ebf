"""The outbox → the airlock: by temporary name and rename, read back and compared, one package after the other."""

import hashlib

from enclave import durable
from enclave.airlock.deliver import OutgoingFile
from enclave.airlock.deliver import deliver as place
from enclave.control.releases import Release, mark_delivered, releases_of
from enclave.errors import Halt, Refused, explain
from enclave.flow import Act, ReleaseState
from enclave.grants import Access, Folder
from enclave.wiring import Wiring
from jobs.boxes import box_of

explain(
    "H_OUTBOX_ALTERED",
    "A file in the outbox is missing, or is not the one that was sealed.",
    "Nothing was delivered. Find out who wrote to outbox/, then `enclave recover`.",
)


def deliver(wiring: Wiring) -> dict[str, int]:
    """Deliver every sealed package; an institution that cannot be reached does not hold up the others."""
    counts = {"delivered": 0, "unreachable": 0}
    away: set[str] = set()
    for release in releases_of(wiring.control, wiring.registry, ReleaseState.SEALED):
        if release.recipient in away:
            continue
        try:
            _deliver_one(wiring, release)
            counts["delivered"] += 1
        except Refused:
            away.add(release.recipient)
            counts["unreachable"] += 1
    return counts


def _deliver_one(wiring: Wiring, release: Release) -> None:
    sealed = release.sealed or {}
    outbox = wiring.path(Folder.OUTBOX, Access.READ)
    files = [OutgoingFile(name, durable.read(outbox / name)) for name in sorted(sealed) if (outbox / name).exists()]
    if len(files) != len(sealed) or any(
        hashlib.sha256(file.content).hexdigest() != sealed[file.name] for file in files
    ):
        raise Halt("H_OUTBOX_ALTERED")
    with wiring.acts.act(Act.RELEASE_DELIVER, "release", release.release_id) as act:
        place(wiring.airlock, release.recipient, box_of(release.kind), files)
        with wiring.control.changing(act.position) as connection:
            mark_delivered(connection, release.release_id, wiring.now)
