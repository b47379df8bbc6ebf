"""The registry's six forms as a clinic's export writes them, typed from synthetic courses."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date

from enclave.demo.answers import CODES, Answers
from enclave.demo.people import INSTITUTIONS, YEARS, Course, FollowUp

LINE_END = "\r\n"
PROGRAMMES = (
    ("Døgn 4 uker", "residential", "4", "5"),
    ("Dag 5 uker", "day", "5", "3"),
    ("Poliklinisk 12 uker", "outpatient", "12", "1"),
)
"""Name, type, weeks and days a week."""

Row = dict[str, str]


def arrivals(courses: Iterable[Course]) -> list[Row]:
    """Rows of the form `arrival`."""
    return [
        {
            **_key(one),
            "consent_date": one.consent.isoformat() if one.consent else "",
            "arrival_date": one.arrival.isoformat(),
            "sex": one.sex,
            "education": one.education,
            "occupation": one.occupation,
            "diagnosis_group": one.diagnosis,
            **_state(one.at_arrival),
            "sick_leave_weeks": str(one.weeks_on_leave),
            **_work(one.at_arrival),
            "work_demands": one.demands if one.at_arrival.position_percent else "",
            "work_adapted": _answer(one.at_arrival.adapted),
            **_options(one.at_arrival.benefits),
        }
        for one in courses
    ]


def discharges(courses: Iterable[Course]) -> list[Row]:
    """Rows of the form `discharge`."""
    return [
        {
            **_key(one),
            "end_date": one.end.isoformat(),
            "completion": one.completion,
            "days_attended": str(one.days_attended),
            **_state(one.at_discharge),
            **_work(one.at_discharge),
            "work_expectation": one.expectation,
            **_options(one.at_discharge.benefits),
        }
        for one in courses
    ]


def follow_ups_6(courses: Iterable[Course]) -> list[Row]:
    """Rows of the form `follow_up_6`, of those who answered."""
    return [_follow_up(one, one.after_6) for one in courses if one.after_6]


def follow_ups_12(courses: Iterable[Course]) -> list[Row]:
    """Rows of the form `follow_up_12`, of those who answered."""
    return [_follow_up(one, one.after_12) for one in courses if one.after_12]


def institutions(courses: Sequence[Course]) -> list[Row]:
    """Rows of the form `institution`, one for each closed year, of the institution whose courses these are."""
    place = list(INSTITUTIONS).index(courses[0].institution)
    return [
        {
            **_of_the_year(year),
            "arr_patients": str(_patients(arrived)),
            "mean_age": f"{sum(ages) / len(ages):.1f}".replace(".", ","),
            "waiting_days": str(35 + 11 * place - 4 * (year - YEARS[0])),
        }
        for year, arrived in _by_year(courses)
        for ages in [[year - _born(one.person_id) for one in arrived if len(one.person_id) == 11]]
    ]


def arr_courses(courses: Sequence[Course]) -> list[Row]:
    """Rows of the form `arr_course`: the one to three programmes of the institution in each closed year."""
    place = list(INSTITUTIONS).index(courses[0].institution)
    offered = PROGRAMMES[: 1 + place % len(PROGRAMMES)]
    return [
        {
            **_of_the_year(year),
            "programme": name,
            "type": kind,
            "group_based": _answer(kind != "outpatient"),
            "duration_weeks": weeks,
            "days_per_week": days,
            "patients": str(len(range(at, _patients(arrived), len(offered)))),
        }
        for year, arrived in _by_year(courses)
        for at, (name, kind, weeks, days) in enumerate(offered)
    ]


def _by_year(courses: Sequence[Course]) -> Iterable[tuple[int, list[Course]]]:
    return ((year, [one for one in courses if one.arrival.year == year]) for year in YEARS)


def _of_the_year(year: int) -> Row:
    """The year that an institution reports, and when it did."""
    return {"report_year": str(year), "reported_date": date(year + 1, 2, 3).isoformat()}


def _patients(arrived: Sequence[Course]) -> int:
    """Some patients consent to no registry."""
    return len(arrived) + len(arrived) // 8


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """Rows as a spreadsheet program saves them: semicolons, UTF-8 with BOM, CRLF."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=";", lineterminator=LINE_END)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def _follow_up(course: Course, given: FollowUp) -> Row:
    return {
        **_key(course),
        "response_date": f"{given.response:%d.%m.%Y}",
        **_state(given.answers),
        **_work(given.answers),
        "work_adapted": _answer(given.answers.adapted),
        **_options(given.answers.benefits),
    }


def _key(course: Course) -> Row:
    return {"person_id": course.person_id, "course_id": course.reference}


def _state(answers: Answers) -> Row:
    percent = answers.sick_leave_percent
    return {
        "work_ability": _text(answers.work_ability),
        "health": str(answers.health),
        "sick_leave": {0: "none", 100: "full"}.get(percent, "partial"),
        "sick_leave_percent": str(percent),
    }


def _work(answers: Answers) -> Row:
    return {
        "employed": _answer(answers.position_percent is not None),
        "position_percent": _text(answers.position_percent),
        "work_participation_percent": str(answers.participation),
    }


def _options(ticked: frozenset[str]) -> Row:
    return {f"benefits_{code}": _answer(code in ticked) for code in CODES}


def _born(person_id: str) -> int:
    return int(person_id[4:6]) + (2000 if int(person_id[6:9]) >= 500 else 1900)


def _answer(value: bool) -> str:
    return "ja" if value else "nei"


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
