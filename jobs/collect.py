"""Files at the airlock → drops in quarantine, each under a key of its own; a lender's file → `loans/`, as it came.

For each drop: claim it by a new name, read it, seal it to a fresh key, wrap that key to the quarantine's, enter it,
and only then remove the airlock's copy. Whoever holds the airlock login can therefore open nothing.
"""

import hashlib
import shutil
from collections import deque
from datetime import timedelta
from uuid import uuid4

from enclave import durable
from enclave.airlock import rules
from enclave.airlock.collect import pack, survey, take
from enclave.airlock.rules import Limits
from enclave.audit.record import Phase, StoredEntry
from enclave.control.drops import (
    BY_HAND,
    SIGNED,
    Drop,
    add_drop,
    drops_still_at_airlock,
    find_drop,
    keep_sightings,
    mark_cleared,
    sightings_of,
)
from enclave.control.institutions import Institution
from enclave.control.loans import loans_of
from enclave.errors import Halt, Refused, Rejected
from enclave.flow import Act, DropState, LoanState
from enclave.grants import Access, Folder
from enclave.model.drop import SealedDrop
from enclave.settings import Limits as SettingsLimits
from enclave.wiring import Wiring
from jobs import quarantine
from jobs.collect_submissions import collect_submissions
from jobs.turns import Next, Turn, by_least_used, used_today

LEAST_FREE_BYTES = 64 << 20


def collect(wiring: Wiring) -> dict[str, int]:
    """Take what is whole, one drop of each institution after the other; answers how many were taken and refused."""
    for folder in (Folder.QUARANTINE, Folder.DROP_KEYS, Folder.LOANS):
        durable.sweep(wiring.path(folder, Access.WRITE))
    quarantine.sweep_untaken(wiring)
    asked = _settings(wiring)
    limits = Limits(payload=asked.drop_bytes, patience=timedelta(hours=asked.deferred_hours))
    counts = {"taken": 0, "refused": 0, "unreachable": 0}
    _clear_left(wiring)
    used = used_today(wiring)
    turns = deque(Turn(one, used[one.institution_id]) for one in by_least_used(wiring, used))
    # In rounds: whoever floods its folder waits as long for its second drop as everybody else for their first.
    while turns:
        turn = turns.popleft()
        if not _has_room(wiring, limits):
            return counts
        try:
            if turn.waiting is None:
                turn.waiting = _look(wiring, turn, limits)
            goes_on = _take_next(wiring, turn, limits, counts)
        except Refused as away:
            # This institution's folder cannot be read now; the others still have their turn.
            wiring.acts.note("airlock.away", "institution", turn.institution.institution_id, reason=away.code)
            counts["unreachable"] += 1
            continue
        if goes_on:
            turns.append(turn)
    if _has_room(wiring, limits):
        collect_submissions(wiring, counts)
    return counts


def _has_room(wiring: Wiring, limits: Limits) -> bool:
    free = shutil.disk_usage(wiring.folder.root).free
    if free < LEAST_FREE_BYTES + limits.payload:
        # What cannot be kept is left where it is, and the log keeps the room that it needs to say so.
        wiring.acts.note("disk.full", "registry", wiring.registry, counts={"free_mib": free >> 20})
        return False
    return True


def _clear_left(wiring: Wiring) -> None:
    """Remove what earlier runs took and could not remove; what cannot be removed stays with its sender only."""
    stuck: set[str] = set()
    for left in drops_still_at_airlock(wiring.control, wiring.registry):
        if left.sender in stuck:
            continue
        try:
            _clear(wiring, left.sender, left.drop_uuid)
        except Refused:
            # A sender can make a folder that cannot be removed; the act is recorded as failed, the others go on.
            stuck.add(left.sender)


def _look(wiring: Wiring, turn: Turn, limits: Limits) -> deque[Next]:
    """What lies in one institution's folder to be taken in this turn: what a killed run claimed, drops, the rest."""
    name = turn.institution.institution_id
    found = survey(
        wiring.airlock,
        name,
        now=wiring.now,
        sightings=sightings_of(wiring.control, wiring.registry, name),
        sighting_key=wiring.keys.get("airlock-login"),
        limits=limits,
        loose=_may_send_unsigned(wiring, name),
    )
    keep_sightings(wiring.control, wiring.registry, name, {one.key: one.first_seen for one in found.deferred})
    most = _settings(wiring).drops_per_turn
    intents = _intents(wiring) if found.claimed else {}
    claimed, forged = [], []
    for as_name in found.claimed:
        drop_uuid = rules.drop_uuid_of(as_name)
        if drop_uuid not in intents:
            forged.append(as_name)
        elif find_drop(wiring.control, drop_uuid) is None:
            # The verdict was made under the name that is gone now; it stands in the intent.
            claimed.append(Next(as_name, drop_uuid, intents[drop_uuid].reason, was_claimed=True))
    ready = [Next(one.name, str(uuid4()), size=one.payload_size) for one in found.ready[:most]]
    to_refuse = [*((each, "E_DROP_NAME") for each in forged), *((one.name, one.code) for one in found.refused)]
    refused = [Next(each, str(uuid4()), code) for each, code in to_refuse[:most]]
    return deque([*claimed, *ready, *refused])


def _take_next(wiring: Wiring, turn: Turn, limits: Limits, counts: dict[str, int]) -> bool:
    """Take the next drop of a turn; answers whether the turn goes on."""
    if not turn.waiting:
        return False
    following = turn.waiting[0]
    if not following.was_claimed and not turn.used.allows(following.size, _settings(wiring)):
        # It stays where it is, unharmed; when a day has passed, or with the next run, it has its turn.
        left = {"waiting": len(turn.waiting)}
        wiring.acts.note("quota.reached", "institution", turn.institution.institution_id, counts=left)
        return False
    turn.waiting.popleft()
    done = _take_if_there(wiring, turn.institution, following.name, following.drop_uuid, limits, following.code)
    counts["refused" if following.code else "taken"] += done
    if done:
        turn.used.add(following.size)
    return True


def _intents(wiring: Wiring) -> dict[str, StoredEntry]:
    """The intents under which runs claimed names, by drop; a sender can forge such a name, but not the log.

    Read once for each turn: a sender can plant as many such names as it likes.
    """
    return {entry.object_id: entry for entry in wiring.log.entries(Act.DROP_TAKE) if entry.phase is Phase.INTENT}


def _take_if_there(
    wiring: Wiring, institution: Institution, name: str, drop_uuid: str, limits: Limits, code: str
) -> int:
    """Take one drop and answer 1, or 0 where its sender took it back since it was seen: that is no fault of others."""
    try:
        _take(wiring, institution, name, drop_uuid, limits, code)
    except Rejected as gone:
        # The act is recorded as failed; nothing was taken, and there is nothing to answer.
        if gone.code != "E_DROP_GONE":
            raise
        return 0
    return 1


def _take(wiring: Wiring, institution: Institution, name: str, drop_uuid: str, limits: Limits, code: str) -> None:
    """Take one drop under `drop_uuid`; with a `code` it is not read, only claimed and entered for its rejection."""
    sender = institution.institution_id
    with wiring.acts.act(Act.DROP_TAKE, "drop", drop_uuid, reason=code) as act:
        wiring.airlock.claim(sender, name, rules.claimed_name(drop_uuid))
        # A crash from here on leaves the claimed name, which the next run takes up under the same drop_uuid.
        sealed = None
        if not code:
            try:
                loose = _may_send_unsigned(wiring, sender)
                sealed = take(wiring.airlock, sender, drop_uuid, limits, loose=loose)
            except Rejected as why:
                code = why.code
        taken = _keep(wiring, institution, drop_uuid, sealed, code)
        act.add(kib=taken.size // 1024, signed=int(taken.signed))
        if sealed is not None:
            act.digests.update(content=taken.content_digest, stored=taken.stored_sha256)
        with wiring.control.changing(act.position) as connection:
            add_drop(connection, taken)
    _clear(wiring, sender, drop_uuid)


def _keep(wiring: Wiring, institution: Institution, drop_uuid: str, sealed: SealedDrop | None, code: str) -> Drop:
    """Put a drop where its next job finds it, durably and read back, and answer its row."""
    loan_id, size, digest, stored = None, 0, hashlib.sha256(), ""
    seen = rules.peek(b"" if sealed is None else sealed.manifest)
    if sealed is not None:
        for part in (sealed.manifest, sealed.signature, sealed.payload):
            digest.update(part)
            size += len(part)
        loan_id = _loan_of(wiring, institution, seen.recipient_kid)
        keep = _keep_loan if loan_id is not None else quarantine.put
        stored = keep(wiring, sealed)
    return Drop(
        drop_uuid=drop_uuid,
        registry=wiring.registry,
        sender=institution.institution_id,
        state=DropState.COLLECTED if loan_id is None else DropState.LENT,
        loan_id=loan_id,
        content_digest=digest.hexdigest(),
        size=size,
        stored_sha256=stored,
        reason=code,
        attempts=0,
        airlock_copy=True,
        stated_drop_id=seen.drop_id,
        stated_seq=seen.seq,
        stated_at=seen.created_at,
        collected_at=wiring.now.isoformat(),
        settled_at=None,
        door=SIGNED if sealed is None or sealed.manifest else BY_HAND,
    )


def _may_send_unsigned(wiring: Wiring, institution: str) -> bool:
    """Whether the agreement in force now lets an institution place single ZIP files by hand."""
    agreement = wiring.agreement(institution, wiring.now)
    return agreement is not None and agreement.may_send_unsigned


def _loan_of(wiring: Wiring, institution: Institution, key_id: str | None) -> str | None:
    """The open loan that this lender's file is for, told by the key id in its manifest."""
    if institution.role != "lender":
        return None
    open_loans = loans_of(wiring.control, wiring.registry, LoanState.OPEN)
    mine = [loan.loan_id for loan in open_loans if loan.lender == institution.institution_id]
    return key_id if key_id in mine else None


def _keep_loan(wiring: Wiring, sealed: SealedDrop) -> str:
    """Keep a lender's file as it came: its payload is sealed to the loan's own key, and to nothing else."""
    path = wiring.path(Folder.LOANS, Access.WRITE) / f"{sealed.drop_uuid}.drop"
    stored = durable.write(path, pack(sealed))
    if durable.read(path) != pack(sealed):
        raise Halt("H_QUARANTINE", place=path.name)
    return stored


def _clear(wiring: Wiring, sender: str, drop_uuid: str) -> None:
    """Remove the airlock's copy of a drop that is entered."""
    with wiring.acts.act(Act.DROP_CLEAR, "drop", drop_uuid) as act:
        wiring.airlock.remove(sender, rules.claimed_name(drop_uuid))
        with wiring.control.changing(act.position) as connection:
            mark_cleared(connection, drop_uuid)


def _settings(wiring: Wiring) -> SettingsLimits:
    return wiring.settings.registries[wiring.registry].limits
