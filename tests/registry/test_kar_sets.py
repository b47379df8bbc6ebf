"""KAR's checks across time points and resubmissions: each with a course that passes and one that fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enclave.model.fault import Severity
from enclave.model.pseudonymous import EPISODE, PSEUDONYM, ROW
from enclave.registry.definition import Form, SetCheck
from enclave.registry.load import load
from enclave.store.bulk import row_schema
from enclave.store.rules import ROW_ID, judge

KAR = load(Path(__file__).parents[2] / "config" / "registries" / "kar").definition
Rows = Sequence[Mapping[str, Any]]
Forms = Mapping[str, Rows]

ARRIVAL = {"arrival_date": date(2024, 3, 1), "sex": "female", "diagnosis_group": "mental", "work_ability": 3}
DISCHARGE = {"end_date": date(2024, 3, 29), "completion": "completed"}
SIX = {"response_date": date(2024, 9, 29)}
TWELVE = {"response_date": date(2025, 3, 29)}
YEAR = {"report_year": 2024, "reported_date": date(2025, 1, 10), "arr_patients": 120, "course": "institution:2024"}
PROGRAMME = {**YEAR, "programme": "Rygg", "type": "day", "duration_weeks": 4.0, "course": "arr_course:2024/Rygg"}
del PROGRAMME["arr_patients"]
KNOWN: Forms = {"arrival": [ARRIVAL], "discharge": [DISCHARGE]}


@dataclass(frozen=True)
class Case:
    """What is stored, what comes, and in which rows (2 …) of which forms one check finds fault."""

    check: str
    new: Forms
    stored: Forms = field(default_factory=dict)
    broken: tuple[tuple[str, int], ...] = ()


def _named(form: Form, rows: Rows, numbers: str, first: int) -> pl.DataFrame:
    """Rows as `store` sees them; a row's person and course are p1 and c1 unless it says otherwise."""
    columns = pl.Schema({numbers: pl.Int64(), **row_schema(form)})
    filled = [
        {
            **row,
            numbers: first + number,
            PSEUDONYM: sha256(str(row.get("person", "p1")).encode()).digest()[:16],
            EPISODE: sha256(str(row.get("course", "c1")).encode()).digest()[:16],
        }
        for number, row in enumerate(rows)
    ]
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in filled], schema=columns)


def _found(new: Forms, stored: Forms) -> dict[str, list[tuple[str, int]]]:
    """The (form, row) of each fault, by check."""
    frames = {name: _named(KAR.form(name), rows, ROW, 2) for name, rows in new.items()}
    before = {form.id: _named(form, stored.get(form.id, ()), ROW_ID, 1) for form in KAR.forms}
    _, faults = judge(KAR, frames, before)
    found: dict[str, list[tuple[str, int]]] = {}
    for fault in faults:
        found.setdefault(fault.rule, []).append((fault.form, fault.row))
    return found


def _follow_up_cases(form: str, on_time: date, early: date, late: date) -> list[Case]:
    """What holds of both follow-ups: known course, one a day, after arrival and discharge, and when it is due."""
    answer = {"response_date": on_time}
    return [
        Case(f"{form}.arrival_known", {form: [answer]}, KNOWN),
        Case(f"{form}.arrival_known", {form: [answer], "arrival": [ARRIVAL]}),
        Case(f"{form}.arrival_known", {form: [answer]}, {"discharge": [DISCHARGE]}, ((form, 2),)),
        Case(f"{form}.arrival_known", {form: [answer]}, {"arrival": [{**ARRIVAL, "course": "c2"}]}, ((form, 2),)),
        Case(
            f"{form}.one_response_a_day",
            {form: [answer, {"response_date": on_time.replace(day=1), "course": "c2"}]},
            {"arrival": [ARRIVAL, {**ARRIVAL, "course": "c2", "arrival_date": date(2024, 5, 1)}]},
        ),
        Case(
            f"{form}.one_response_a_day",
            {form: [answer, {**answer, "course": "c2"}]},
            {"arrival": [ARRIVAL, {**ARRIVAL, "course": "c2", "arrival_date": date(2024, 5, 1)}]},
            ((form, 2), (form, 3)),
        ),
        Case(f"{form}.response_after_arrival", {form: [{"response_date": date(2024, 3, 1)}]}, {"arrival": [ARRIVAL]}),
        Case(
            f"{form}.response_after_arrival",
            {form: [{"response_date": date(2024, 2, 29)}]},
            {"arrival": [ARRIVAL]},
            ((form, 2),),
        ),
        Case(f"{form}.response_after_discharge", {form: [{"response_date": date(2024, 3, 29)}]}, KNOWN),
        Case(f"{form}.response_after_discharge", {form: [{"response_date": date(2024, 3, 28)}]}, KNOWN, ((form, 2),)),
        # The discharge comes after the answer that it contradicts: it is the one refused.
        Case(
            f"{form}.response_after_discharge",
            {"discharge": [{**DISCHARGE, "end_date": date(2026, 1, 1)}]},
            {"arrival": [ARRIVAL], form: [answer]},
            (("discharge", 2),),
        ),
        Case(f"{form}.response_on_time", {form: [{"response_date": early}]}, KNOWN),
        Case(f"{form}.response_on_time", {form: [{"response_date": late}]}, KNOWN),
        Case(f"{form}.response_on_time", {form: [{"response_date": early}]}, {"arrival": [ARRIVAL]}),
        Case(
            f"{form}.response_on_time",
            {form: [{"response_date": date.fromordinal(early.toordinal() - 1)}]},
            KNOWN,
            ((form, 2),),
        ),
        Case(
            f"{form}.response_on_time",
            {form: [{"response_date": date.fromordinal(late.toordinal() + 1)}]},
            KNOWN,
            ((form, 2),),
        ),
    ]


CASES = [
    Case("arrival.one_arrival_a_day", {"arrival": [ARRIVAL, {**ARRIVAL, "course": "c2", "person": "p2"}]}),
    Case("arrival.one_arrival_a_day", {"arrival": [{**ARRIVAL, "course": "c2"}]}, KNOWN, (("arrival", 2),)),
    Case(
        "arrival.courses_apart",
        {"arrival": [{**ARRIVAL, "course": "c2", "arrival_date": date(2024, 3, 30)}]},
        KNOWN,
    ),
    Case(
        "arrival.courses_apart",
        {"arrival": [{**ARRIVAL, "course": "c2", "arrival_date": date(2024, 3, 29)}]},
        KNOWN,
        (("arrival", 2),),
    ),
    # A discharge that reaches into the next course is told at the discharge, whose arrival is stored.
    Case(
        "arrival.courses_apart",
        {"discharge": [DISCHARGE]},
        {"arrival": [ARRIVAL, {**ARRIVAL, "course": "c2", "arrival_date": date(2024, 3, 10)}]},
        (("discharge", 2),),
    ),
    Case(
        "arrival.courses_apart",
        {"discharge": [DISCHARGE]},
        {"arrival": [ARRIVAL, {**ARRIVAL, "course": "c2", "person": "p2", "arrival_date": date(2024, 3, 10)}]},
    ),
    Case("arrival.sex_and_diagnosis_steady", {"arrival": [{**ARRIVAL, "work_ability": 5}]}, KNOWN),
    Case("arrival.sex_and_diagnosis_steady", {"arrival": [ARRIVAL]}, {}),
    Case("arrival.sex_and_diagnosis_steady", {"arrival": [{**ARRIVAL, "sex": "male"}]}, KNOWN, (("arrival", 2),)),
    Case(
        "arrival.sex_and_diagnosis_steady",
        {"arrival": [{**ARRIVAL, "diagnosis_group": "other"}]},
        KNOWN,
        (("arrival", 2),),
    ),
    Case(
        "arrival.sex_and_diagnosis_steady",
        {"arrival": [{**ARRIVAL, "sex": "male", "diagnosis_group": "other"}]},
        KNOWN,
        (("arrival", 2), ("arrival", 2)),
    ),
    Case("arrival.work_ability_missing", {"arrival": [{**ARRIVAL, "health": 2}]}, KNOWN),
    Case("arrival.work_ability_missing", {"arrival": [{**ARRIVAL, "work_ability": None}]}, KNOWN, (("arrival", 0),)),
    Case("discharge.arrival_known", {"discharge": [DISCHARGE]}, {"arrival": [ARRIVAL]}),
    Case("discharge.arrival_known", {"arrival": [ARRIVAL], "discharge": [DISCHARGE]}),
    Case("discharge.arrival_known", {"discharge": [DISCHARGE]}, {}, (("discharge", 2),)),
    Case("discharge.end_after_arrival", {"discharge": [{**DISCHARGE, "end_date": date(2024, 3, 1)}]}, KNOWN),
    Case(
        "discharge.end_after_arrival",
        {"discharge": [{**DISCHARGE, "end_date": date(2024, 2, 29)}]},
        KNOWN,
        (("discharge", 2),),
    ),
    Case(
        "discharge.end_after_arrival",
        {"arrival": [{**ARRIVAL, "arrival_date": date(2024, 4, 1)}]},
        KNOWN,
        (("arrival", 2),),
    ),
    Case("discharge.course_length", {"discharge": [{**DISCHARGE, "end_date": date(2025, 3, 2)}]}, KNOWN),
    Case(
        "discharge.course_length",
        {"discharge": [{**DISCHARGE, "end_date": date(2025, 3, 3)}]},
        KNOWN,
        (("discharge", 2),),
    ),
    Case("discharge.completion_steady", {"discharge": [{**DISCHARGE, "days_attended": 20}]}, KNOWN),
    Case(
        "discharge.completion_steady",
        {"discharge": [{**DISCHARGE, "completion": "interrupted"}]},
        KNOWN,
        (("discharge", 2),),
    ),
    *_follow_up_cases("follow_up_6", date(2024, 9, 29), date(2024, 8, 18), date(2024, 11, 10)),
    *_follow_up_cases("follow_up_12", date(2025, 3, 29), date(2025, 2, 15), date(2025, 5, 10)),
    Case("follow_up_12.response_after_six_months", {"follow_up_12": [TWELVE]}, {**KNOWN, "follow_up_6": [SIX]}),
    Case(
        "follow_up_12.response_after_six_months",
        {"follow_up_12": [{"response_date": date(2024, 9, 28)}]},
        {**KNOWN, "follow_up_6": [SIX]},
        (("follow_up_12", 2),),
    ),
    Case("institution.patients_steady", {"institution": [{**YEAR, "waiting_days": 40}]}, {"institution": [YEAR]}),
    Case(
        "institution.patients_steady",
        {"institution": [{**YEAR, "arr_patients": 121, "report_year": 2025, "course": "institution:2025"}]},
        {"institution": [YEAR]},
    ),
    Case(
        "institution.patients_steady",
        {"institution": [{**YEAR, "arr_patients": 121}]},
        {"institution": [YEAR]},
        (("institution", 2),),
    ),
    Case("arr_course.programme_steady", {"arr_course": [{**PROGRAMME, "patients": 4}]}, {"arr_course": [PROGRAMME]}),
    Case(
        "arr_course.programme_steady",
        {"arr_course": [{**PROGRAMME, "type": "outpatient"}]},
        {"arr_course": [PROGRAMME]},
        (("arr_course", 2),),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}-{'fails' if case.broken else 'passes'}")
def test_each_check_passes_and_fails(case: Case) -> None:
    """What agrees with a check, or leaves it unknown, passes; what breaks it is told at the row that came."""
    assert tuple(_found(case.new, case.stored).get(case.check, ())) == case.broken


def test_every_set_check_has_a_course_that_passes_and_one_that_fails() -> None:
    """No check across time points or resubmissions is without both."""
    checks = {f"{form.id}.{check.id}" for form in KAR.forms for check in form.set_checks}

    assert {case.check for case in CASES if not case.broken} == checks
    assert {case.check for case in CASES if case.broken} == checks


def test_a_whole_course_in_any_order_of_files_has_no_fault() -> None:
    """Four forms of one course in one drop agree with each other, whatever order their files stand in."""
    course: dict[str, Rows] = {
        "follow_up_12": [TWELVE],
        "follow_up_6": [SIX],
        "discharge": [DISCHARGE],
        "arrival": [ARRIVAL],
    }

    assert _found(course, {}) == {}


def test_a_course_whose_arrival_is_refused_brings_nothing_in() -> None:
    """An arrival that a check refuses takes its later forms with it: without it no consent is known."""
    second = {**ARRIVAL, "course": "c2"}
    found = _found({"arrival": [second], "discharge": [{**DISCHARGE, "course": "c2"}]}, {"arrival": [ARRIVAL]})

    assert found["arrival.one_arrival_a_day"] == [("arrival", 2)]
    assert found["discharge.arrival_known"] == [("discharge", 2)]


def test_a_course_at_another_clinic_is_unknown() -> None:
    """A clinic that sends answers to a course that it never began is refused; only its own rows are looked at."""
    # What another clinic stored is not among the rows that are judged against, whoever the person is.
    assert _found({"follow_up_12": [TWELVE]}, {}) == {"follow_up_12.arrival_known": [("follow_up_12", 2)]}


def test_warnings_keep_no_row_out() -> None:
    """A changed sex, a course above a year and a late answer are told, and stored."""
    late = {"response_date": date(2025, 8, 1)}
    new: dict[str, Rows] = {"arrival": [{**ARRIVAL, "sex": "male"}], "follow_up_12": [late]}
    frames = {name: _named(KAR.form(name), rows, ROW, 2) for name, rows in new.items()}
    before = {form.id: _named(form, KNOWN.get(form.id, ()), ROW_ID, 1) for form in KAR.forms}
    judged, faults = judge(KAR, frames, before)

    assert {fault.severity for fault in faults} == {Severity.WARN}
    assert {each.form: (each.fresh.height, each.rejected) for each in judged} == {
        "arrival": (1, 0),
        "follow_up_12": (1, 0),
    }


def test_the_checks_of_resubmission_name_what_they_compare() -> None:
    """Sex and diagnosis group are what a resubmission is not expected to change."""
    steady: list[SetCheck] = [check for check in KAR.form("arrival").set_checks if check.kind == "steady"]

    assert [check.columns for check in steady] == [("sex", "diagnosis_group")]
