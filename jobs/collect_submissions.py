"""The part of `collect` that takes submissions from the Nettskjema airlock, of which nothing can be renamed or removed.

A submission is taken when both of its files looked the same in two runs and are whole. What was taken is in the ledger
in control.db, by a keyed digest of its name: the number of a submission could lead to a person.
"""

import hashlib
import hmac
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from enclave.airlock.nettskjema import Submission, as_drop
from enclave.control.drops import NETTSKJEMA, Drop, add_drop, last_number
from enclave.control.submissions import Seen, keep_seen, keep_untaken, mark_taken, submissions_of
from enclave.crypto import openpgp
from enclave.errors import Refused
from enclave.flow import Act, DropState
from enclave.settings import Nettskjema
from enclave.wiring import Wiring
from jobs import quarantine

WAITING, OVERDUE = "E_SUBMISSION_GROWING", "E_SUBMISSION_INCOMPLETE"


def collect_submissions(wiring: Wiring, counts: dict[str, int]) -> None:
    """Take what is whole and was not taken, the longest seen first; what is not taken is counted, by code."""
    asked = wiring.nettskjema
    if asked is None:
        keep_untaken(wiring.control, wiring.registry, {}, wiring.now)
        return
    try:
        untaken = _take_found(wiring, asked, counts)
    except Refused as away:
        wiring.acts.note("airlock.away", "registry", wiring.registry, reason=away.code)
        counts["unreachable"] += 1
        untaken = Counter({away.code: 1})
    keep_untaken(wiring.control, wiring.registry, +untaken, wiring.now)


def _take_found(wiring: Wiring, asked: Nettskjema, counts: dict[str, int]) -> Counter[str]:
    """Take what looks as it did in the run before and was not taken so; answers what is not taken, by code."""
    own_key = openpgp.key_id(wiring.public_key("nettskjema"))
    found = wiring.submissions.look(own_key, asked.forms, asked.submission_bytes)
    untaken = Counter(found.untaken)
    ledger = submissions_of(wiring.control, wiring.registry)
    changed: list[Seen] = []
    steady: list[tuple[Seen, Submission]] = []
    for submission in found.submissions:
        name = _name_digest(wiring, submission)
        before = ledger.get(name, Seen(name, "", wiring.now))
        if before.facts != submission.facts:
            # New or changed: how long it is waited for begins anew where something was taken before.
            since = wiring.now if before.drop_uuid else before.first_seen
            changed.append(replace(before, facts=submission.facts, first_seen=since))
        elif before.taken_facts != submission.facts:
            steady.append((before, submission))
    keep_seen(wiring.control, wiring.registry, changed)
    untaken[WAITING] += len(changed)
    _take_in_turn(wiring, asked, steady, {one.content_digest for one in ledger.values()}, counts, untaken)
    return untaken


def _name_digest(wiring: Wiring, submission: Submission) -> str:
    secret = wiring.keys.get("airlock-login").reveal()
    return hmac.new(secret, submission.name.encode(), hashlib.sha256).hexdigest()


def _take_in_turn(
    wiring: Wiring,
    asked: Nettskjema,
    steady: list[tuple[Seen, Submission]],
    taken_before: set[str],
    counts: dict[str, int],
    untaken: Counter[str],
) -> None:
    patience = timedelta(hours=wiring.settings.registries[wiring.registry].limits.deferred_hours)
    turn = asked.submissions_per_turn
    looked_into: list[Seen] = []
    for seen, submission in sorted(steady, key=lambda one: (one[0].first_seen, one[1].number, one[1].form)):
        if turn == 0:
            untaken[WAITING] += 1
            continue
        is_new = submission.is_pair and seen.broken_facts != submission.facts
        both = wiring.submissions.read(submission, asked.submission_bytes) if is_new else None
        turn -= is_new
        if both is None or not all(map(openpgp.is_whole, both)):
            untaken[OVERDUE if wiring.now - seen.first_seen > patience else WAITING] += 1
            if both is not None:
                # What looks the same again need not be read again: a tree of such files costs no more than a listing.
                looked_into.append(replace(seen, broken_facts=submission.facts))
            continue
        content = hashlib.sha256(b"".join(both)).hexdigest()
        if content in taken_before:
            # Only the time of a file changed, or the ledger was kept under a login key that was replaced since.
            looked_into.append(replace(seen, taken_facts=submission.facts, content_digest=content))
        else:
            _take(wiring, seen, submission, both, content)
            counts["taken"] += 1
    # A crash before this only means that they are read once more.
    keep_seen(wiring.control, wiring.registry, looked_into)


def _take(wiring: Wiring, seen: Seen, submission: Submission, both: tuple[bytes, bytes], content: str) -> None:
    drop_uuid = str(uuid4())
    with wiring.acts.act(Act.DROP_TAKE, "drop", drop_uuid, counts={"signed": 0}) as act:
        # A crash from here on leaves ciphertext and key that no row names: the next run destroys both, and takes anew.
        stored = quarantine.put(wiring, as_drop(drop_uuid, NETTSKJEMA, submission, *both))
        size = sum(map(len, both))
        act.add(kib=size // 1024)
        act.digests.update(content=content, stored=stored)
        taken = replace(seen, taken_facts=submission.facts, content_digest=content, drop_uuid=drop_uuid)
        with wiring.control.changing(act.position) as connection:
            add_drop(
                connection,
                Drop(
                    drop_uuid=drop_uuid,
                    registry=wiring.registry,
                    sender=NETTSKJEMA,
                    state=DropState.COLLECTED,
                    loan_id=None,
                    content_digest=content,
                    size=size,
                    stored_sha256=stored,
                    reason="",
                    attempts=0,
                    airlock_copy=False,
                    stated_drop_id=None,
                    # Ours, in the order of taking: the number that Nettskjema gave is in the quarantine only.
                    stated_seq=last_number(connection, wiring.registry) + 1,
                    stated_at=None,
                    collected_at=wiring.now.isoformat(),
                    settled_at=None,
                    door=NETTSKJEMA,
                    taken_before=seen.drop_uuid,
                ),
            )
            mark_taken(connection, wiring.registry, taken)
