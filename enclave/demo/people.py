"""Synthetic people and what they answered: the same seed gives the same people, numbers, dates and answers.

Their national numbers are of the tax administration's synthetic kind (month +80), so that no living person has one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from enclave.demo.answers import Answers, first_answers, later_answers

SEED = 20170203
PARTICIPANTS = 1100
YEARS = (2023, 2024)
"""The calendar years of arrivals that are closed: every follow-up had its time."""
OPEN_YEAR = 2026
"""The year of those who are still followed up: some have answered, some are late, some are to be asked now."""
LAST_ANSWER = date(OPEN_YEAR, 10, 31)
"""What was answered later has not been sent."""

INSTITUTIONS = {
    "nkarr": "NKARR",
    "hysnes": "Hysnes Helsefort",
    "hernes": "Hernes Institutt",
    "muritunet": "Muritunet rehabiliteringssenter",
    "valnesfjord": "Valnesfjord Helsesportsenter",
    "air": "Rehabiliteringssenteret AiR",
    "haugland": "Røde Kors Haugland Rehabiliteringssenter",
}
SMALLEST = "nkarr"
FEWEST = 4
"""How many participants the smallest institution has in a year: too few to be shown to anybody else."""
STILL_FOLLOWED = 6
"""How many participants of each other institution arrived in the open year."""
WEIGHTS = {"hysnes": 19, "hernes": 14, "muritunet": 17, "valnesfjord": 15, "air": 22, "haugland": 13}
ANSWERED_AFTER_6, ANSWERED_AFTER_12 = 0.82, 0.76

OCCUPATIONS = (
    "Sykepleier ved Nordlia bosenter",
    "Elektriker hos Fjordkraft montasje",
    "Lærer på Skogheim ungdomstrinn",
    "=1+1 murer i Steinbakken bygg",
    "Bussjåfør på linjen til Granvik",
)


@dataclass(frozen=True)
class FollowUp:
    """A follow-up that was answered, and when."""

    response: date
    answers: Answers


@dataclass(frozen=True, repr=False)
class Course:
    """One participant's course at one institution; `planted` names what was made wrong or special about it."""

    institution: str
    reference: str
    person_id: str
    consent: date | None
    arrival: date
    end: date
    sex: str
    education: str
    occupation: str
    diagnosis: str
    demands: str
    weeks_on_leave: int
    completion: str
    days_attended: int
    expectation: str
    at_arrival: Answers
    at_discharge: Answers
    after_6: FollowUp | None
    after_12: FollowUp | None
    planted: str = ""


def people(participants: int = PARTICIPANTS, seed: int = SEED) -> tuple[Course, ...]:
    """All courses, by institution, then in order of arrival; among them each special case once."""
    chance = Random(seed)
    taken: set[str] = set()
    yearly = _counts(participants)
    courses = [
        course
        for institution in INSTITUTIONS
        for year, counts in yearly.items()
        for course in _courses(institution, year, counts[institution], chance, taken)
    ]
    return tuple(_planted(courses, chance, taken))


def new_number(born: date, sex: str, chance: Random) -> str:
    """A synthetic national number of somebody born that day, its control digits right."""
    first = 500 if born.year >= 2000 else 0
    while True:
        individual = first + 2 * chance.randrange(250) + (sex == "male")
        nine = f"{born.day:02}{born.month + 80:02}{born.year % 100:02}{individual:03}"
        tenth = _control_digit(nine, (3, 7, 6, 1, 8, 9, 4, 5, 2))
        if tenth == 10:
            continue
        last = _control_digit(f"{nine}{tenth}", (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))
        if last != 10:
            return f"{nine}{tenth}{last}"


def _control_digit(digits: str, weights: Sequence[int]) -> int:
    return -sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True)) % 11


def _counts(participants: int) -> dict[int, dict[str, int]]:
    """How many arrive in each year at each institution; the closed years share what the open one leaves."""
    still = {name: STILL_FOLLOWED * (name != SMALLEST) for name in INSTITUTIONS}
    closed = participants - sum(still.values())
    fewer, (first, second) = closed * 12 // 25, YEARS
    return {first: _shared_out(fewer), second: _shared_out(closed - fewer), OPEN_YEAR: still}


def _shared_out(participants: int) -> dict[str, int]:
    rest, total = participants - FEWEST, sum(WEIGHTS.values())
    counts = {SMALLEST: FEWEST} | {name: rest * weight // total for name, weight in WEIGHTS.items()}
    counts["air"] += participants - sum(counts.values())
    return counts


def _courses(institution: str, year: int, count: int, chance: Random, taken: set[str]) -> Iterator[Course]:
    # The last arrival of a closed year is in October, so that the last answer after 12 months is of the next year too.
    days = 130 if year == OPEN_YEAR else 290
    arrivals = sorted(date(year, 1, 8) + timedelta(days=chance.randrange(days)) for _ in range(count))
    for number, arrival in enumerate(arrivals, start=1):
        sex = chance.choices(("female", "male"), (64, 36))[0]
        born = date(chance.randint(1960, 2003), chance.randint(1, 12), chance.randint(1, 28))
        yield _course(institution, number, arrival, (_fresh(born, sex, chance, taken), sex), chance)


def _fresh(born: date, sex: str, chance: Random, taken: set[str]) -> str:
    while (number := new_number(born, sex, chance)) in taken:
        continue
    taken.add(number)
    return number


def _course(institution: str, number: int, arrival: date, person: tuple[str, str], chance: Random) -> Course:
    days = chance.choice((19, 26, 26, 33, 40))
    end = arrival + timedelta(days=days)
    at_arrival = first_answers(chance)
    at_discharge = later_answers(at_arrival, 0, chance)
    months_6, months_12 = later_answers(at_discharge, 6, chance), later_answers(at_discharge, 12, chance)
    completion = chance.choices(("completed", "partly", "interrupted"), (82, 11, 7))[0]
    attended = {"completed": 0.95, "partly": 0.7, "interrupted": 0.35}[completion]
    return Course(
        institution=institution,
        reference=f"{institution.upper()}-{arrival.year}-{number:04}",
        person_id=person[0],
        consent=arrival - timedelta(days=chance.randint(0, 30)),
        arrival=arrival,
        end=end,
        sex=person[1],
        education=chance.choices(
            ("primary", "vocational", "upper_secondary", "university_short", "university_long", "not_stated"),
            (17, 28, 18, 23, 11, 3),
        )[0],
        occupation="",
        diagnosis=chance.choices(("musculoskeletal", "mental", "other"), (52, 36, 12))[0],
        demands=chance.choices(("physical", "mental", "both", "not_stated"), (38, 24, 34, 4))[0],
        weeks_on_leave=chance.randint(6, 52) if at_arrival.sick_leave_percent else chance.randint(0, 12),
        completion=completion,
        days_attended=max(1, round(days * 5 / 7 * attended)),
        expectation=chance.choices(("yes", "unsure", "no", "not_stated"), (56, 29, 11, 4))[0],
        at_arrival=at_arrival,
        at_discharge=at_discharge,
        after_6=_follow_up(end, 182, months_6, chance) if chance.random() < ANSWERED_AFTER_6 else None,
        after_12=_follow_up(end, 365, months_12, chance) if chance.random() < ANSWERED_AFTER_12 else None,
    )


def _follow_up(end: date, days: int, answers: Answers, chance: Random) -> FollowUp | None:
    response = end + timedelta(days=days + chance.randint(-28, 28))
    return FollowUp(response, answers) if response <= LAST_ANSWER else None


def _planted(courses: list[Course], chance: Random, taken: set[str]) -> list[Course]:
    """The same courses with each special case made of one fitting course of an institution and year."""
    first, second = YEARS
    places: dict[tuple[str, int], list[int]] = {}
    for at, one in enumerate(courses):
        places.setdefault((one.institution, one.arrival.year), []).append(at)

    def course(institution: str, year: int, place: int) -> Course:
        return courses[places[institution, year][place]]

    def change(institution: str, year: int, place: int, planted: str, **facts: object) -> None:
        changed = replace(course(institution, year, place), planted=planted, **facts)  # type: ignore[arg-type]
        courses[places[institution, year][place]] = changed

    def refused(institution: str, year: int, place: int, planted: str, **facts: object) -> None:
        change(institution, year, place, planted, after_6=None, after_12=None, **facts)

    changed = course("hysnes", second, 3)
    change("hysnes", second, 3, "end_before_arrival", end=changed.arrival - timedelta(days=3))
    changed = course("muritunet", first, 5)
    wrong = f"{changed.person_id[:-1]}{(int(changed.person_id[-1]) + 1) % 10}"
    refused("muritunet", first, 5, "wrong_control_digit", person_id=wrong)
    refused("valnesfjord", second, 4, "no_consent", consent=None)
    changed = course("hernes", first, 2)
    young = date(changed.arrival.year - 17, changed.arrival.month, min(changed.arrival.day, 28))
    refused("hernes", first, 2, "underage", person_id=_fresh(young, changed.sex, chance, taken))
    changed = course("air", second, 6)
    early = date(1979, 5, 1 + changed.arrival.day % 9)
    number = _fresh(early, changed.sex, chance, taken)
    refused("air", second, 6, "lost_zero", person_id=number.removeprefix("0"))
    changed = course("haugland", second, 1)
    answered = FollowUp(changed.end + timedelta(days=365), changed.at_discharge)
    change("haugland", second, 1, "withdrawn", after_12=answered)
    changed = course("muritunet", second, 8)
    early_answer = FollowUp(changed.arrival + timedelta(days=2), changed.at_discharge)
    change("muritunet", second, 8, "answer_before_discharge", after_6=None, after_12=early_answer)
    other = course("hernes", second, 7)
    change("air", second, -5, "two_institutions", person_id=other.person_id, sex=other.sex)
    for at, occupation in zip(places["hysnes", second][5:], OCCUPATIONS, strict=False):
        courses[at] = replace(courses[at], occupation=occupation)
    return courses
