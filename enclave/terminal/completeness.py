"""What was expected from each institution and what came, in drops: by form and year, by day, and faults year on year.

Counted from the control database and the definition in force; nothing here is about people.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from enclave.control.database import Control
from enclave.control.deliveries import Delivery, deliveries_of
from enclave.control.drops import FORM_DEFINITION
from enclave.control.runs import current_definition
from enclave.flow import DropState
from enclave.folders import WorkingFolder
from enclave.registry.definition import Definition
from enclave.registry.load import load_kept
from enclave.terminal.alarms import Alarm, Facts, facts_of

DAYS_DRAWN = 60
CLOSES_WITHIN = timedelta(days=30)


@dataclass(frozen=True)
class Expected:
    """A form that an institution under agreement is expected to send in a year; `came` counts the drops that held it.

    `due` is the day on which the figures of a yearly form are due in that year; None for other forms, and where the
    institution was not there yet, or has no agreement on that day.
    """

    institution: str
    form: str
    year: int
    due: date | None
    came: int


@dataclass(frozen=True)
class Traffic:
    """Drops taken and packages seen fetched, by day from `first` on."""

    first: date
    submitted: tuple[int, ...]
    fetched: tuple[int, ...]


@dataclass(frozen=True)
class Year:
    """The drops of one year: admitted without a fault, admitted with faults, and rejected."""

    year: int
    without_fault: int
    with_faults: int
    rejected: int


@dataclass(frozen=True)
class Deliveries:
    """Everything that the status page tells of deliveries."""

    expected: tuple[Expected, ...]
    traffic: Traffic
    years: tuple[Year, ...]
    closing: tuple[Alarm, ...]


def deliveries_seen(folder: WorkingFolder, registry: str, now: datetime, zone: ZoneInfo) -> Deliveries:
    """What came and what did not, as of now, by the server's calendar."""
    control = Control(folder.control)
    facts, delivered = facts_of(control, registry), deliveries_of(control, registry)
    sha256 = current_definition(control, registry)
    expected: tuple[Expected, ...] = ()
    today = now.astimezone(zone).date()
    if sha256 is not None:
        definition = load_kept(folder.registry(registry).definitions, sha256).definition
        expected = tuple(expected_of(facts, delivered, definition, today, zone))
    return Deliveries(
        expected, traffic_of(facts, today, zone), years_of(facts, delivered, zone), tuple(closing_of(expected, today))
    )


def expected_of(
    facts: Facts, delivered: tuple[Delivery, ...], definition: Definition, today: date, zone: ZoneInfo
) -> Iterator[Expected]:
    """Each form of each sender, for last year and this, where an agreement was in force on a day of the year."""
    drops = {drop.drop_uuid: drop for drop in facts.drops}
    came = Counter(
        (drops[one.drop_uuid].sender, one.form, _day(drops[one.drop_uuid].collected_at, zone).year)
        for one in delivered
        if one.drop_uuid in drops and not drops[one.drop_uuid].reason
    )
    for institution in facts.institutions:
        if institution.role != "sender":
            continue
        added = _day(institution.added_at, zone)
        for year in (today.year - 1, today.year):
            if year < added.year or not _agreed_in(facts, institution.institution_id, year):
                continue
            for form in definition.forms:
                due = form.yearly.due(year - 1) if form.yearly else None
                if due is not None and (due < added or not facts.agreed(institution.institution_id, due)):
                    due = None
                count = came[institution.institution_id, form.id, year]
                yield Expected(institution.institution_id, form.id, year, due, count)


def _agreed_in(facts: Facts, institution: str, year: int) -> bool:
    """Whether an agreement was or is in force on any day of a year."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    return any(
        (one.valid_from is None or one.valid_from <= last) and (one.valid_to is None or one.valid_to >= first)
        for one in facts.agreements
        if one.institution_id == institution
    )


def closing_of(expected: tuple[Expected, ...], today: date) -> Iterator[Alarm]:
    """Yearly forms that did not come this year and are due within thirty days, or were due."""
    for one in expected:
        if one.due is None or one.came or one.year != today.year or one.due - today > CLOSES_WITHIN:
            continue
        why = f"{one.form} of {one.year - 1} " + (f"is due {one.due}" if today <= one.due else f"was due {one.due}")
        yield Alarm("closing window", one.institution, "", why, False)


def traffic_of(facts: Facts, today: date, zone: ZoneInfo) -> Traffic:
    """The last sixty days, today included."""
    first = today - timedelta(days=DAYS_DRAWN - 1)
    submitted = Counter(_day(drop.collected_at, zone) for drop in facts.drops if drop.door != FORM_DEFINITION)
    fetched = Counter(_day(one.fetched_at, zone) for one in facts.releases if one.fetched_at)
    days = [first + timedelta(days=number) for number in range(DAYS_DRAWN)]
    return Traffic(first, tuple(submitted[day] for day in days), tuple(fetched[day] for day in days))


def years_of(facts: Facts, delivered: tuple[Delivery, ...], zone: ZoneInfo) -> tuple[Year, ...]:
    """Settled drops by the year in which they were collected, without lenders' files, replays and what forms ask."""
    faulty = {one.drop_uuid for one in delivered if one.faults}
    counted: dict[int, Counter[str]] = {}
    for drop in facts.drops:
        if drop.loan_id is not None or drop.settled_at is None or drop.state is DropState.REPLAYED:
            continue
        if drop.door == FORM_DEFINITION:
            continue
        what = "rejected" if drop.reason else "with_faults" if drop.drop_uuid in faulty else "without_fault"
        counted.setdefault(_day(drop.collected_at, zone).year, Counter())[what] += 1
    return tuple(
        Year(year, one["without_fault"], one["with_faults"], one["rejected"]) for year, one in sorted(counted.items())
    )


def _day(time: str, zone: ZoneInfo) -> date:
    return datetime.fromisoformat(time).astimezone(zone).date()
