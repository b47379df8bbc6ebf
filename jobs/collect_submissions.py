"""The part of `collect` that takes submissions from the Nettskjema airlock, of which nothing can be renamed or removed.

A submission is taken when both of its files looked the same in two runs and are whole; so is what a form asks, which
goes before the form's submissions. What was taken is in the ledger in control.db, by a keyed digest of its name: the
number of a submission could lead to a person.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from enclave.airlock.nettskjema import DefinitionFile, Submission, as_definition, as_drop
from enclave.control.drops import FORM_DEFINITION, NETTSKJEMA, Drop, add_drop, last_number
from enclave.control.submissions import Seen, keep_seen, keep_untaken, mark_taken, submissions_of
from enclave.crypto import openpgp
from enclave.errors import Refused
from enclave.flow import Act, DropState
from enclave.model.drop import SealedDrop
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
    own_keys = [openpgp.key_id(half) for half in wiring.public_halves("nettskjema")]
    found = wiring.submissions.look(own_keys, asked.forms, asked.submission_bytes)
    untaken = Counter(found.untaken)
    ledger = submissions_of(wiring.control, wiring.registry)
    taken_before = {one.content_digest for one in ledger.values()}
    # First: what was answered to a changed form must not be in the registry before the change is seen.
    behind = _take_definitions(wiring, asked, found.definitions, ledger, taken_before, untaken)
    changed: list[Seen] = []
    steady: list[tuple[Seen, Submission]] = []
    for submission in found.submissions:
        before = _before(wiring, ledger, submission)
        if before.facts != submission.facts:
            changed.append(_seen_now(wiring, before, submission.facts))
        elif before.taken_facts != submission.facts:
            steady.append((before, submission))
    keep_seen(wiring.control, wiring.registry, changed)
    held = [one for one in steady if one[1].form in behind]
    untaken[WAITING] += len(changed) + len(held)
    ready = [one for one in steady if one[1].form not in behind]
    _take_in_turn(wiring, asked, ready, taken_before, counts, untaken)
    return untaken


def _before(wiring: Wiring, ledger: Mapping[str, Seen], file: Submission | DefinitionFile) -> Seen:
    secret = wiring.keys.get("airlock-login").reveal()
    name = hmac.new(secret, file.name.encode(), hashlib.sha256).hexdigest()
    return ledger.get(name, Seen(name, "", wiring.now))


def _seen_now(wiring: Wiring, before: Seen, facts: str) -> Seen:
    # How long a file is waited for begins anew where something was taken before.
    return replace(before, facts=facts, first_seen=wiring.now if before.drop_uuid else before.first_seen)


def _why_untaken(wiring: Wiring, seen: Seen) -> str:
    patience = timedelta(hours=wiring.settings.registries[wiring.registry].limits.deferred_hours)
    return OVERDUE if wiring.now - seen.first_seen > patience else WAITING


def _take_definitions(
    wiring: Wiring,
    asked: Nettskjema,
    found: Sequence[DefinitionFile],
    ledger: Mapping[str, Seen],
    taken_before: set[str],
    untaken: Counter[str],
) -> frozenset[str]:
    """Take what the forms ask, by form and file; answers the forms of which something could not be taken yet."""
    behind: set[str] = set()
    noted: list[Seen] = []
    turn = asked.submissions_per_turn
    for definition in found:
        before = _before(wiring, ledger, definition)
        if not definition.facts:
            behind.add(definition.form)  # counted when it was looked at
        elif before.facts != definition.facts:
            noted.append(_seen_now(wiring, before, definition.facts))
            untaken[WAITING] += 1
            behind.add(definition.form)
        elif before.taken_facts != definition.facts:
            content = wiring.submissions.read_definition(definition, asked.submission_bytes) if turn else None
            turn = max(0, turn - 1)
            if content is None or not openpgp.is_whole(content):
                untaken[_why_untaken(wiring, before)] += 1
                behind.add(definition.form)
                continue
            digest = hashlib.sha256(content).hexdigest()
            taken = replace(before, taken_facts=definition.facts, content_digest=digest)
            if digest in taken_before:
                noted.append(taken)
            else:
                drop_uuid = str(uuid4())
                sealed = as_definition(drop_uuid, NETTSKJEMA, definition, content)
                _take(wiring, taken, sealed, definition.form, FORM_DEFINITION)
    keep_seen(wiring.control, wiring.registry, noted)
    return frozenset(behind)


def _take_in_turn(
    wiring: Wiring,
    asked: Nettskjema,
    steady: list[tuple[Seen, Submission]],
    taken_before: set[str],
    counts: dict[str, int],
    untaken: Counter[str],
) -> None:
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
            untaken[_why_untaken(wiring, seen)] += 1
            if both is not None:
                # What looks the same again need not be read again: a tree of such files costs no more than a listing.
                looked_into.append(replace(seen, broken_facts=submission.facts))
            continue
        content = hashlib.sha256(b"".join(both)).hexdigest()
        taken = replace(seen, taken_facts=submission.facts, content_digest=content)
        if content in taken_before:
            # Only the time of a file changed, or the ledger was kept under a login key that was replaced since.
            looked_into.append(taken)
        else:
            sealed = as_drop(str(uuid4()), NETTSKJEMA, submission, *both)
            _take(wiring, taken, sealed, submission.form, NETTSKJEMA)
            counts["taken"] += 1
    # A crash before this only means that they are read once more.
    keep_seen(wiring.control, wiring.registry, looked_into)


def _take(wiring: Wiring, taken: Seen, sealed: SealedDrop, form: str, door: str) -> None:
    """Put into quarantine what was taken, and enter the drop; until then `taken` names the one before, if any."""
    with wiring.acts.act(Act.DROP_TAKE, "drop", sealed.drop_uuid, counts={"signed": 0}) as act:
        # A crash from here on leaves ciphertext and key that no row names: the next run destroys both, and takes anew.
        stored = quarantine.put(wiring, sealed)
        act.add(kib=len(sealed.payload) // 1024)
        act.digests.update(content=taken.content_digest, stored=stored)
        with wiring.control.changing(act.position) as connection:
            add_drop(
                connection,
                Drop(
                    drop_uuid=sealed.drop_uuid,
                    registry=wiring.registry,
                    sender=NETTSKJEMA,
                    state=DropState.COLLECTED,
                    loan_id=None,
                    content_digest=taken.content_digest,
                    size=len(sealed.payload),
                    stored_sha256=stored,
                    reason="",
                    attempts=0,
                    airlock_copy=False,
                    stated_drop_id=None,
                    # Ours, in the order of taking: the number that Nettskjema gave is in the quarantine only.
                    stated_seq=last_number(connection, wiring.registry, door) + 1,
                    stated_at=None,
                    collected_at=wiring.now.isoformat(),
                    settled_at=None,
                    door=door,
                    taken_before=taken.drop_uuid,
                    form=form,
                ),
            )
            mark_taken(connection, wiring.registry, replace(taken, drop_uuid=sealed.drop_uuid))
