"""What about an institution asks for attention: its agreement, its keys, its numbering, its silence, unfetched mail.

Computed from the control database alone; nothing here is about people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

from enclave.control.agreements import Agreement, agreements_of
from enclave.control.database import Control
from enclave.control.drops import Drop, drops_of
from enclave.control.institutions import Institution, institutions_of
from enclave.control.releases import Release, releases_of
from enclave.control.sender_keys import KeyOf, SenderKey, keys_of
from enclave.flow import DropState, ReleaseState
from enclave.release.gate import policy_of

WARNED_BEFORE = timedelta(days=60)
"""How long before an agreement or a key ends it is told."""
LONGEST_USE = timedelta(days=730)
"""How long a key is used before a new one is asked for."""
GAPS_SHOWN = timedelta(days=30)
FETCHED_WITHIN = timedelta(days=14)
SILENT_AFTER = timedelta(days=120)
"""An institution under agreement that has sent nothing for this long is asked about."""


@dataclass(frozen=True)
class Alarm:
    """One thing that asks for attention. `stops` tells that something does not go on before a person acts."""

    what: str
    institution: str
    since: str
    why: str
    stops: bool


@dataclass(frozen=True, repr=False)
class Facts:
    """What the control database says of one registry, read once."""

    institutions: tuple[Institution, ...]
    agreements: tuple[Agreement, ...]
    keys: tuple[SenderKey, ...]
    drops: tuple[Drop, ...]
    releases: tuple[Release, ...]

    def agreed(self, institution: str, day: date) -> bool:
        """Whether an agreement with an institution is in force on a day."""
        return any(one.holds_on(day) for one in self.agreements if one.institution_id == institution)


def facts_of(control: Control, registry: str) -> Facts:
    """Everything that the alarms are made from."""
    return Facts(
        institutions_of(control, registry),
        agreements_of(control, registry),
        keys_of(control, registry),
        drops_of(control, registry),
        releases_of(control, registry),
    )


def alarms_of(facts: Facts, now: datetime, zone: ZoneInfo) -> tuple[Alarm, ...]:
    """Every alarm as of now, by kind, then by institution; days are those of the server's time zone."""
    today = now.astimezone(zone).date()
    return (
        *endings(facts, now, zone),
        *(alarm for release in facts.releases for alarm in _held(facts, release, today)),
        *(alarm for one in facts.institutions for alarm in _gaps(one, facts.drops, now)),
        *(alarm for one in facts.institutions for alarm in _silence(facts, one, now, today)),
        *(alarm for release in facts.releases for alarm in _unfetched(release, now)),
    )


def endings(facts: Facts, now: datetime, zone: ZoneInfo) -> tuple[Alarm, ...]:
    """Agreements and keys that are over or soon will be; `doctor` tells these too."""
    today = now.astimezone(zone).date()
    return (
        *(alarm for one in facts.institutions for alarm in _agreement(facts, one, today)),
        *(alarm for one in facts.institutions for kind in get_args(KeyOf) for alarm in _keys(facts, one, kind, now)),
    )


def _agreement(facts: Facts, one: Institution, today: date) -> Iterator[Alarm]:
    known = [each for each in facts.agreements if each.institution_id == one.institution_id]
    last = max((each.valid_to for each in known if each.valid_to is not None), default=None)
    renew = f"renew it with `enclave institution agree {one.institution_id}`"
    if not facts.agreed(one.institution_id, today):
        since = "" if last is None else last.isoformat()
        yield Alarm("agreement", one.institution_id, since, f"none is in force; {renew}", True)
    elif not facts.agreed(one.institution_id, today + WARNED_BEFORE):
        yield Alarm("agreement", one.institution_id, "", f"ends {last}; {renew}", False)


def _keys(facts: Facts, one: Institution, kind: KeyOf, now: datetime) -> Iterator[Alarm]:
    if one.role == "auditor" or (kind == "passphrase" and one.role != "sender"):
        return  # it neither signs nor seals
    theirs = [key for key in facts.keys if (key.institution_id, key.kind) == (one.institution_id, kind)]
    holding = [key for key in theirs if key.holds_at(now)]
    what, rotate = f"{kind} key", f"`enclave institution rotate {one.institution_id}`"
    if not holding:
        yield Alarm(what, one.institution_id, "", f"none is in force; {rotate}", True)
        return
    for key in holding:
        if key.valid_to is not None and key.valid_to - now < WARNED_BEFORE:
            yield Alarm(what, one.institution_id, "", f"the older one ends {key.valid_to:%Y-%m-%d}", False)
    since = max(key.valid_from or datetime.fromisoformat(one.added_at) for key in holding)
    if _aware(since, now) + LONGEST_USE - WARNED_BEFORE < now:
        why = f"in use since {since:%Y-%m-%d}, two years are the most; {rotate}"
        yield Alarm(what, one.institution_id, since.isoformat(), why, False)


def _aware(time: datetime, now: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=now.tzinfo)


def _held(facts: Facts, release: Release, today: date) -> Iterator[Alarm]:
    """An approved release that is not sealed because its recipient has no agreement."""
    waits = release.state is ReleaseState.APPROVED and policy_of(release.kind).needs_agreement
    if not waits or not release.recipient:
        return
    if not facts.agreed(release.recipient, today):
        what = f"package of {release.kind}"
        yield Alarm(what, release.recipient, release.decided_at or "", "not sealed: no agreement is in force", True)


def _gaps(one: Institution, drops: Sequence[Drop], now: datetime) -> Iterator[Alarm]:
    """Numbers that a sender left out: one of its drops may have been withheld on the way."""
    taken = [drop for drop in drops if drop.sender == one.institution_id and drop.stated_seq is not None]
    settled = sorted(
        (drop for drop in taken if drop.state in (DropState.ADMITTED, DropState.EXPIRED) and not drop.reason),
        key=lambda drop: drop.stated_seq or 0,
    )
    for before, after in pairwise(settled):
        missing = (after.stated_seq or 0) - (before.stated_seq or 0) - 1
        if missing > 0 and datetime.fromisoformat(after.collected_at) + GAPS_SHOWN > now:
            why = f"{missing} missing before number {after.stated_seq}; ask whether they were sent"
            yield Alarm("gap in numbering", one.institution_id, after.collected_at, why, False)


def _silence(facts: Facts, one: Institution, now: datetime, today: date) -> Iterator[Alarm]:
    if one.role != "sender" or not facts.agreed(one.institution_id, today):
        return
    times = [drop.collected_at for drop in facts.drops if drop.sender == one.institution_id]
    last = max(times, default=one.added_at)
    days = (now - _aware(datetime.fromisoformat(last), now)).days
    if days >= SILENT_AFTER.days:
        yield Alarm("silence", one.institution_id, last, f"nothing was sent for {days} days", False)


def _unfetched(release: Release, now: datetime) -> Iterator[Alarm]:
    if release.state is not ReleaseState.DELIVERED or release.fetched_at or not release.recipient:
        return
    delivered = datetime.fromisoformat(release.delivered_at or release.proposed_at)
    days = (now - delivered).days
    if days >= FETCHED_WITHIN.days:
        what = f"package of {release.kind}"
        yield Alarm(what, release.recipient, delivered.isoformat(), f"not fetched for {days} days", False)
