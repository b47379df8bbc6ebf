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
YEAR = 2024

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
"""How many participants the smallest institution has: too few to be shown to anybody else."""
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
    courses = [
        course
        for institution, count in _counts(participants).items()
        for course in _courses(institution, count, chance, taken)
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


def _counts(participants: int) -> dict[str, int]:
    rest, total = participants - FEWEST, sum(WEIGHTS.values())
    counts = {SMALLEST: FEWEST} | {name: rest * weight // total for name, weight in WEIGHTS.items()}
    counts["air"] += participants - sum(counts.values())
    return counts


def _courses(institution: str, count: int, chance: Random, taken: set[str]) -> Iterator[Course]:
    # The last arrival is in October, so that the last answer after 12 months is of the next year too.
    arrivals = sorted(date(YEAR, 1, 8) + timedelta(days=chance.randrange(290)) for _ in range(count))
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
        reference=f"{institution.upper()}-{YEAR}-{number:04}",
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


def _follow_up(end: date, days: int, answers: Answers, chance: Random) -> FollowUp:
    return FollowUp(end + timedelta(days=days + chance.randint(-28, 28)), answers)


def _planted(courses: list[Course], chance: Random, taken: set[str]) -> list[Course]:
    """The same courses with each special case made of the first fitting course of an institution, or added."""
    by_institution = {name: [at for at, one in enumerate(courses) if one.institution == name] for name in INSTITUTIONS}

    def change(institution: str, place: int, planted: str, **facts: object) -> Course:
        at = by_institution[institution][place]
        courses[at] = replace(courses[at], planted=planted, **facts)  # type: ignore[arg-type]
        return courses[at]

    def refused(institution: str, place: int, planted: str, **facts: object) -> None:
        change(institution, place, planted, after_6=None, after_12=None, **facts)

    changed = courses[by_institution["hysnes"][3]]
    change("hysnes", 3, "end_before_arrival", end=changed.arrival - timedelta(days=3))
    changed = courses[by_institution["muritunet"][5]]
    wrong = f"{changed.person_id[:-1]}{(int(changed.person_id[-1]) + 1) % 10}"
    refused("muritunet", 5, "wrong_control_digit", person_id=wrong)
    refused("valnesfjord", 4, "no_consent", consent=None)
    changed = courses[by_institution["hernes"][2]]
    young = date(changed.arrival.year - 17, changed.arrival.month, min(changed.arrival.day, 28))
    refused("hernes", 2, "underage", person_id=_fresh(young, changed.sex, chance, taken))
    changed = courses[by_institution["air"][6]]
    early = date(1979, 5, 1 + changed.arrival.day % 9)
    number = _fresh(early, changed.sex, chance, taken)
    refused("air", 6, "lost_zero", person_id=number.removeprefix("0"))
    changed = courses[by_institution["haugland"][1]]
    answered = FollowUp(changed.end + timedelta(days=365), changed.at_discharge)
    change("haugland", 1, "withdrawn", after_12=answered)
    first = courses[by_institution["hernes"][7]]
    change("air", -5, "two_institutions", person_id=first.person_id, sex=first.sex)
    for at, occupation in zip(by_institution["hysnes"][5:], OCCUPATIONS, strict=False):
        courses[at] = replace(courses[at], occupation=occupation)
    return courses
