"""KAR: what its public description says, and each check within a row with rows that pass and rows that fail."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enclave.model.fault import Severity
from enclave.registry.definition import Check, Due, Form, Kind, SetCheck, Yearly
from enclave.registry.expressions import columns_of, parse, to_polars
from enclave.registry.load import load
from tests.registry.engines import POLARS

KAR = load(Path(__file__).parents[2] / "config" / "registries" / "kar").definition
DAY = date(2024, 3, 1)
NO_BENEFIT = {f"benefits_{name}": False for name in ("sick_pay", "aap", "disability_pension", "social_assistance")}
COURSE = ("arrival", "discharge", "follow_up_6", "follow_up_12")
ANSWERED_LATER = COURSE[1:]
YEARLY = ("institution", "arr_course")

Cases = tuple[list[dict[str, Any]], list[dict[str, Any]]]

AT_EVERY_TIME_POINT: dict[str, Cases] = {
    "no_sick_leave_no_percent": (
        [
            {"sick_leave": "none"},
            {"sick_leave": "none", "sick_leave_percent": 0},
            {"sick_leave": "full", "sick_leave_percent": 9},
            {"sick_leave_percent": 9},
        ],
        [{"sick_leave": "none", "sick_leave_percent": 1}],
    ),
    "partial_sick_leave_percent": (
        [{"sick_leave": "partial", "sick_leave_percent": 99}, {"sick_leave": "partial"}, {"sick_leave_percent": 0}],
        [{"sick_leave": "partial", "sick_leave_percent": 0}, {"sick_leave": "partial", "sick_leave_percent": 100}],
    ),
    "full_sick_leave_percent": (
        [{"sick_leave": "full", "sick_leave_percent": 100}, {"sick_leave": "full"}, {"sick_leave": "partial"}],
        [{"sick_leave": "full", "sick_leave_percent": 99}],
    ),
    "benefits_none_alone": (
        [{"benefits_none": True, **NO_BENEFIT}, {"benefits_none": False, "benefits_aap": True}, {}],
        [{"benefits_none": True, "benefits_aap": True}, {"benefits_none": True, "benefits_unemployment": True}],
    ),
    "sick_pay_needs_sick_leave": (
        [
            {"benefits_sick_pay": True, "sick_leave": "partial"},
            {"benefits_sick_pay": True},
            {"benefits_sick_pay": False, "sick_leave": "none"},
        ],
        [{"benefits_sick_pay": True, "sick_leave": "none"}],
    ),
    "position_needs_employment": (
        [{"employed": True, "position_percent": 50}, {"employed": False}, {"position_percent": 50}],
        [{"employed": False, "position_percent": 50}],
    ),
    "work_and_sick_leave": (
        [{"work_participation_percent": 60, "sick_leave_percent": 40}, {"work_participation_percent": 100}],
        [{"work_participation_percent": 60, "sick_leave_percent": 41}],
    ),
}
SOMETHING_ANSWERED: Cases = (
    [{"work_ability": 0}, {"sick_leave_percent": 0}, {"work_participation_percent": 0}],
    [{}, {"health": 3}],
)
WORK_ADAPTED: Cases = (
    [{"employed": True, "work_adapted": True}, {"employed": False, "work_adapted": False}, {"work_adapted": True}],
    [{"employed": False, "work_adapted": True}],
)
YEAR_BEGUN: Cases = (
    [{"report_year": 2024, "reported_date": date(2024, 12, 31)}, {"report_year": 2024}],
    [{"report_year": 2025, "reported_date": date(2024, 12, 31)}],
)
YEAR_ENDED: Cases = (
    [{"report_year": 2024, "reported_date": date(2025, 1, 1)}, {"reported_date": date(2025, 1, 1)}],
    [{"report_year": 2024, "reported_date": date(2024, 12, 31)}],
)
ROWS: dict[str, Cases] = {
    **{f"{form}.{check}": cases for form in COURSE for check, cases in AT_EVERY_TIME_POINT.items()},
    **{f"{form}.something_answered": SOMETHING_ANSWERED for form in ANSWERED_LATER},
    **{f"{form}.work_adapted_needs_employment": WORK_ADAPTED for form in ("arrival", "follow_up_6", "follow_up_12")},
    **{f"{form}.year_begun": YEAR_BEGUN for form in YEARLY},
    **{f"{form}.year_ended": YEAR_ENDED for form in YEARLY},
    "arrival.consent_before_arrival": (
        [{"consent_date": DAY, "arrival_date": DAY}, {"arrival_date": DAY}],
        [{"consent_date": date(2024, 3, 2), "arrival_date": DAY}],
    ),
    "arrival.work_demands_need_employment": (
        [
            {"employed": True, "work_demands": "both"},
            {"employed": False, "work_demands": "not_stated"},
            {"employed": False},
            {"work_demands": "mental"},
        ],
        [{"employed": False, "work_demands": "physical"}],
    ),
    "discharge.completed_was_attended": (
        [
            {"completion": "completed", "days_attended": 1},
            {"completion": "interrupted", "days_attended": 0},
            {"completion": "completed"},
        ],
        [{"completion": "completed", "days_attended": 0}],
    ),
    "institution.patients_have_an_age": (
        [{"arr_patients": 40, "mean_age": 44.5}, {"arr_patients": 0}, {"mean_age": 44.5}],
        [{"arr_patients": 40}],
    ),
    "institution.age_needs_patients": (
        [{"arr_patients": 1, "mean_age": 44.5}, {"arr_patients": 0}],
        [{"arr_patients": 0, "mean_age": 44.5}],
    ),
    "arr_course.lasts": ([{"duration_weeks": 0.2}, {}], [{"duration_weeks": 0.0}]),
    "arr_course.residential_week": (
        [{"type": "residential", "days_per_week": 3}, {"type": "day", "days_per_week": 1}, {"type": "residential"}],
        [{"type": "residential", "days_per_week": 2}],
    ),
}


def _every_check(form: Form) -> tuple[Check | SetCheck, ...]:
    return (*form.checks, *form.set_checks)


def _holds(form: Form, check_id: str, rows: list[dict[str, Any]]) -> list[bool | None]:
    kinds = columns_of(form)
    schema = {name: POLARS[kind] for name, kind in kinds.items()}
    frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in kinds}, schema=schema)
    check = next(check for check in form.checks if check.id == check_id)
    return frame.select(to_polars(parse(check.holds, kinds)))[:, 0].to_list()


def test_every_check_has_rows() -> None:
    """No check of the definition is without a row that passes and one that fails."""
    assert set(ROWS) == {f"{form.id}.{check.id}" for form in KAR.forms for check in form.checks}


@pytest.mark.parametrize("name", ROWS)
def test_each_check_passes_and_fails(name: str) -> None:
    """The rows that agree with a check, or leave it unknown, pass; those that break it do not."""
    form_id, check_id = name.split(".")
    passing, failing = ROWS[name]

    assert False not in _holds(KAR.form(form_id), check_id, passing)
    assert set(_holds(KAR.form(form_id), check_id, failing)) == {False}


def test_kar_is_what_its_description_says() -> None:
    """Consent from 3 February 2017, people of 18 and over, and a variable list that is told to be a proposal."""
    (basis,) = KAR.legal_bases

    assert (basis.kind, basis.valid_from, basis.valid_to) == ("consent", date(2017, 2, 3), None)
    assert {form.minimum_age for form in KAR.forms if form.subject == "person"} == {18}
    assert {form.valid_from for form in KAR.forms} == {date(2017, 2, 3)}
    assert KAR.form("arrival").consent == "consent_date"
    assert KAR.proposed


def test_kar_has_six_forms_and_four_time_points() -> None:
    """Four forms about a person, each at its own time point, and two about the institution, once a year."""
    assert [(form.id, form.subject, form.time_point) for form in KAR.forms] == [
        *((name, "person", name) for name in COURSE),
        *((name, "institution", "year") for name in YEARLY),
    ]


@pytest.mark.parametrize(
    ("group", "variables"),
    {
        "sex": {"sex": ("arrival",)},
        "education": {"education": ("arrival",)},
        "diagnosis": {"diagnosis_group": ("arrival",)},
        "health": {"health": COURSE},
        "sick leave": {"sick_leave": COURSE, "sick_leave_percent": COURSE, "sick_leave_weeks": ("arrival",)},
        "work conditions": {
            "employed": COURSE,
            "position_percent": COURSE,
            "work_demands": ("arrival",),
            "work_adapted": ("arrival", "follow_up_6", "follow_up_12"),
        },
        "work participation": {"work_participation_percent": COURSE},
        "work ability": {"work_ability": COURSE},
        "completion": {"completion": ("discharge",), "days_attended": ("discharge",)},
        "benefits": {"benefits": COURSE},
        "patients a year": {"arr_patients": ("institution",)},
        "mean age": {"mean_age": ("institution",)},
        "waiting time": {"waiting_days": ("institution",)},
        "type of rehabilitation": {"type": ("arr_course",)},
        "duration of rehabilitation": {"duration_weeks": ("arr_course",)},
    }.items(),
)
def test_every_published_group_of_variables_is_asked_for(group: str, variables: dict[str, tuple[str, ...]]) -> None:
    """Each group that the registry has published has its variables, in the forms of the time points it is asked at."""
    held_by = {
        name: tuple(form.id for form in KAR.forms if name in {variable.name for variable in form.variables})
        for name in variables
    }

    assert held_by == variables, group


def test_follow_ups_fall_due_after_discharge() -> None:
    """Six and twelve months after the end, six weeks to either side; the yearly forms in the spring after."""
    due = {form.id: form.due or form.yearly for form in KAR.forms}

    assert due == {
        "arrival": None,
        "discharge": None,
        "follow_up_6": Due(form="discharge", column="end_date", months=6, tolerance_days=42),
        "follow_up_12": Due(form="discharge", column="end_date", months=12, tolerance_days=42),
        "institution": Yearly(year="report_year", month=3, day=1),
        "arr_course": Yearly(year="report_year", month=3, day=1),
    }


@pytest.mark.parametrize(
    ("anchor", "months", "day"),
    [
        (date(2024, 1, 15), 6, date(2024, 7, 15)),
        (date(2024, 7, 31), 6, date(2025, 1, 31)),
        (date(2024, 8, 31), 6, date(2025, 2, 28)),
        (date(2023, 8, 30), 6, date(2024, 2, 29)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2024, 12, 1), 12, date(2025, 12, 1)),
        (date(2024, 12, 1), 120, date(2034, 12, 1)),
    ],
)
def test_a_due_day_is_counted_in_calendar_months(anchor: date, months: int, day: date) -> None:
    """A month that is too short gives its last day, in Python as in Polars."""
    due = Due(form="discharge", column="end_date", months=months, tolerance_days=10)
    frame = pl.DataFrame({"anchor": [anchor]}).select(pl.col("anchor").dt.offset_by(f"{months}mo"))

    assert due.day(anchor) == day == frame.item()
    first, last = due.window(anchor)
    assert ((day - first).days, (last - day).days) == (10, 10)


def test_yearly_figures_fall_due_in_the_year_after() -> None:
    """The figures of a year are due on one day of the next."""
    assert Yearly(year="report_year", month=3, day=1).due(2024) == date(2025, 3, 1)


def test_forms_about_institutions_hold_no_person() -> None:
    """A yearly form has neither national number, course number nor consent; a year, or year and programme, names it."""
    for name, key in {"institution": ("report_year",), "arr_course": ("report_year", "programme")}.items():
        form = KAR.form(name)
        assert (form.key, form.consent, form.minimum_age, form.names_persons) == (key, None, None, False)


def test_every_kind_of_variable_is_used() -> None:
    """KAR exercises each kind of variable, free text too."""
    assert {variable.kind for form in KAR.forms for variable in form.variables} == set(Kind)


def test_every_label_is_in_both_languages() -> None:
    """Each form, variable, code and check says in Norwegian and in English what it is; no two alike in one form."""
    for form in KAR.forms:
        for language in ("nb", "en"):
            labels = [getattr(variable.label, language) for variable in form.variables]
            assert len(set(labels)) == len(labels)
            assert all(getattr(check.label, language).endswith(".") for check in _every_check(form))


def test_warnings_never_refuse() -> None:
    """What depends on when a form was answered only warns; what contradicts itself refuses."""
    severities = {f"{form.id}.{check.id}": check.severity for form in KAR.forms for check in _every_check(form)}

    assert severities["follow_up_12.response_on_time"] is Severity.WARN
    assert severities["arrival.sex_and_diagnosis_steady"] is Severity.WARN
    assert severities["discharge.end_after_arrival"] is Severity.REFUSE
    assert severities["follow_up_12.response_after_discharge"] is Severity.REFUSE
    assert {severities[f"{form}.arrival_known"] for form in ANSWERED_LATER} == {Severity.REFUSE}
