"""The outbox → the airlock: by temporary name and rename, read back and compared, one package after the other."""

import hashlib
from itertools import groupby

from enclave import durable
from enclave.airlock.deliver import OutgoingFile
from enclave.airlock.deliver import deliver as place
from enclave.control.releases import Release, mark_delivered, note_fetched, releases_of
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
    """Deliver every sealed package, and notice those fetched; who cannot be reached does not hold up the others."""
    counts = {"delivered": 0, "fetched": 0, "unreachable": 0}
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
    counts["fetched"] = _notice_fetched(wiring, away)
    return counts


def _notice_fetched(wiring: Wiring, away: set[str]) -> int:
    """Note in the ledger which packages their institution has moved to `fetched/`; answers how many are new."""
    delivered = releases_of(wiring.control, wiring.registry, ReleaseState.DELIVERED)
    waiting = [one for one in delivered if one.recipient and one.sealed and one.fetched_at is None]
    seen = 0
    for recipient, theirs in groupby(waiting, key=lambda one: one.recipient):
        packages = {min(one.sealed or {}, key=len): one for one in theirs}
        try:
            fetched = frozenset() if recipient in away else wiring.airlock.find_fetched(recipient, tuple(packages))
        except Refused:
            continue  # asked again by the next run
        for name in sorted(fetched):
            # Killed between the two, it is noted again: the ledger keeps the first time, the log tells of both.
            wiring.acts.note("release.fetched", "release", packages[name].release_id)
            note_fetched(wiring.control, packages[name].release_id, wiring.now)
        seen += len(fetched)
    return seen


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
