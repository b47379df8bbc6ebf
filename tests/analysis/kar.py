"""Courses of KAR's own definition in memory: four forms, answers and gaps drawn from a seed."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import polars as pl

from enclave.analysis.courses import Delivery, Scope
from enclave.analysis.tables import result_tables
from enclave.model.purpose import Purpose
from enclave.model.table import ResultTable
from enclave.registry.definition import Definition, Kind
from enclave.registry.expression_polars import DTYPES
from enclave.registry.expressions import TYPES, columns_of
from enclave.registry.load import load

Row = dict[str, object]
PERIOD = (date(2023, 1, 1), date(2023, 12, 31))
CLOSED = date(2025, 1, 1)
BENEFITS = ("sick_pay", "aap", "disability_pension", "social_assistance", "unemployment")
CHANCES = {
    "arrival": (0.55, 0.3, 0.08, 0.04, 0.05),
    "discharge": (0.45, 0.3, 0.08, 0.04, 0.05),
    "follow_up_6": (0.25, 0.25, 0.1, 0.04, 0.05),
    "follow_up_12": (0.15, 0.2, 0.12, 0.04, 0.05),
}
AT_WORK = {"arrival": 0.35, "discharge": 0.45, "follow_up_6": 0.6, "follow_up_12": 0.68}
SICK = {
    "arrival": (0.25, 0.3, 0.45),
    "discharge": (0.3, 0.4, 0.3),
    "follow_up_6": (0.55, 0.3, 0.15),
    "follow_up_12": (0.65, 0.2, 0.15),
}
ABILITY = {"arrival": 4, "discharge": 5, "follow_up_6": 6, "follow_up_12": 6}


@cache
def kar() -> Definition:
    """The definition that ships."""
    return load(Path(__file__).parents[2] / "config" / "registries" / "kar").definition


@dataclass(frozen=True)
class Course:
    """One course: who, where, and the rows that were sent, by form."""

    sender: str
    person: int
    number: int
    rows: dict[str, Row]


@dataclass
class FormReader:
    """Reads the rows of courses from a list; `reserved` bars people from purposes."""

    courses: list[Course]
    reserved: dict[Purpose, set[int]]
    patients: dict[str, int] = field(default_factory=dict)

    def read(self, form: str, *, state: int | None, purpose: Purpose) -> pl.DataFrame:
        """The rows of the form, as `Reader` promises them."""
        del state
        if form == "institution":
            return self._reported()
        barred = self.reserved.get(purpose, set())
        kept = [course for course in self.courses if form in course.rows and course.person not in barred]
        kept.sort(key=lambda course: (course.sender, course.number))
        columns = columns_of(kar().form(form))
        return pl.DataFrame(
            {
                "_sender": pl.Series([course.sender for course in kept], dtype=pl.String),
                "_pseudonym": pl.Series([course.person.to_bytes(16) for course in kept], dtype=pl.Binary),
                "_episode": pl.Series([course.number.to_bytes(16) for course in kept], dtype=pl.Binary),
                "_drop": pl.Series([drop_of(course) for course in kept], dtype=pl.String),
            }
            | {
                name: pl.Series([course.rows[form].get(name) for course in kept], dtype=_dtype(kind))
                for name, kind in columns.items()
            }
        )

    def _reported(self) -> pl.DataFrame:
        """What each institution says of 2023, and of the year before."""
        rows = [(sender, year, people) for sender, people in self.patients.items() for year in (2022, 2023)]
        columns = {"_sender": pl.String, "report_year": pl.Int64, "arr_patients": pl.Int64}
        return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
            arr_patients=pl.when(pl.col("report_year") == 2022).then(1).otherwise("arr_patients")
        )


def drop_of(course: Course) -> str:
    """The drop that a course's rows came in: each institution sent two."""
    return f"{course.sender}-{course.number % 2}"


def _dtype(kind: Kind) -> type[pl.DataType]:
    return DTYPES[TYPES[kind]]


def made_up(
    seed: int, *, people: int = 560, institutions: tuple[str, ...] = ("alfa", "beta", "delta", "eps", "gamma")
) -> list[Course]:
    """Courses that arrived in 2023, most of them answered at every form; some questions are not answered."""
    chance = random.Random(seed)
    courses = []
    for number in range(people):
        arrived = date(2023, 1, 1) + timedelta(days=chance.randrange(365))
        ended = arrived + timedelta(days=chance.randrange(20, 90))
        rows = {
            "arrival": {"arrival_date": arrived, **_answers(chance, "arrival")},
            "discharge": {
                "end_date": ended,
                "completion": chance.choices(["completed", "partly", "interrupted"], [80, 14, 6])[0],
                **_answers(chance, "discharge"),
            },
        }
        for form, days, rate in (("follow_up_6", 182, 0.8), ("follow_up_12", 365, 0.7)):
            if chance.random() < rate:
                rows[form] = {"response_date": ended + timedelta(days=days), **_answers(chance, form)}
        # Of a chance of their own, so that the answers above stay what they are.
        rows = {
            form: row | _of_the_person(random.Random(f"{seed} {number} {form}"), form) for form, row in rows.items()
        }
        courses.append(Course(chance.choice(institutions), number, number, rows))
    return courses


def _answers(chance: random.Random, form: str) -> Row:
    row: Row = {f"benefits_{name}": chance.random() < rate for name, rate in zip(BENEFITS, CHANCES[form], strict=True)}
    row["benefits_none"] = not any(row.values())
    row["work_participation_percent"] = chance.choice([20, 50, 100]) if chance.random() < AT_WORK[form] else 0
    row["sick_leave"] = chance.choices(["none", "partial", "full"], SICK[form])[0]
    row["work_ability"] = min(10, max(0, round(chance.gauss(ABILITY[form], 2))))
    if chance.random() < 0.05:
        row["work_participation_percent"] = row["sick_leave"] = None
    if chance.random() < 0.04:
        row |= {f"benefits_{name}": None for name in (*BENEFITS, "none")}
    return row


def _of_the_person(chance: random.Random, form: str) -> Row:
    employed = chance.choices([True, False, None], [70, 25, 5])[0]
    row: Row = {
        "health": chance.choice([1, 2, 3, 4, 5, None]),
        "employed": employed,
        "position_percent": chance.choice([50, 100, 100, None]) if employed else None,
    }
    if form == "arrival":
        row |= {
            "sex": chance.choices(["female", "male"], [65, 35])[0],
            "education": chance.choice(["primary", "vocational", "upper_secondary", "university_short", "not_stated"]),
            "diagnosis_group": chance.choices(["musculoskeletal", "mental", "other"], [50, 35, 15])[0],
        }
    return row


def tables_of(
    courses: list[Course],
    *,
    only: str | None = None,
    institutions: tuple[str, ...] = ("alfa",),
    reserved: dict[Purpose, set[int]] | None = None,
    definition: Definition | None = None,
    patients: dict[str, int] | None = None,
    deliveries: tuple[Delivery, ...] = (),
) -> list[ResultTable]:
    """The tables of each institution and of everyone, in the definition's order."""
    scope = Scope(PERIOD, institutions, 7, "d" * 64, deliveries)
    reader = FormReader(courses, reserved or {}, patients or {})
    wanted = definition or kar()
    return [
        made
        for table in wanted.tables
        if only in (None, table.id)
        for made in result_tables(reader, wanted, table, scope, closed_on=CLOSED)
    ]
