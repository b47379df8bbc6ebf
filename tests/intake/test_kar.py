"""Files of KAR's six forms at the door: what is taken, what is told, and what a yearly row is known by."""

import json
from pathlib import Path
from typing import Any

import pytest

from enclave.intake.check import Checked, check
from enclave.intake.read import read
from enclave.model.fault import Severity
from enclave.model.identified import PERSON_ID, REFERENCE
from enclave.registry.definition import Definition
from enclave.registry.load import load, load_source

LOADED = load(Path(__file__).parents[2] / "config" / "registries" / "kar")
KAR = LOADED.definition
COURSE = {"person_id": "17912099997", "course_id": "F-1"}
GOOD: dict[str, dict[str, str]] = {
    "arrival": {
        **COURSE,
        "consent_date": "2024-02-28",
        "arrival_date": "01.03.2024",
        "sex": "female",
        "education": "vocational",
        "diagnosis_group": "mental",
        "work_ability": "3",
        "health": "2",
        "sick_leave": "partial",
        "sick_leave_percent": "50",
        "sick_leave_weeks": "20",
        "employed": "ja",
        "position_percent": "100",
        "work_participation_percent": "50",
        "work_demands": "both",
        "work_adapted": "nei",
        "benefits_sick_pay": "ja",
        "benefits_none": "nei",
    },
    "discharge": {**COURSE, "end_date": "2024-03-29", "completion": "completed", "work_ability": "4"},
    "follow_up_6": {**COURSE, "response_date": "2024-09-29", "work_ability": "5", "benefits_none": "1"},
    "follow_up_12": {**COURSE, "response_date": "2025-03-29", "work_participation_percent": "80", "employed": "ja"},
    "institution": {
        "report_year": "2024",
        "reported_date": "2025-01-15",
        "arr_patients": "180",
        "mean_age": "44,5",
        "waiting_days": "60",
    },
    "arr_course": {
        "report_year": "2024",
        "reported_date": "2025-01-15",
        "programme": "Ryggskole",
        "type": "day",
        "group_based": "ja",
        "duration_weeks": "4,5",
        "days_per_week": "5",
        "patients": "90",
    },
}


def judged(form_id: str, *changes: dict[str, str], definition: Definition = KAR, without: str = "") -> Checked:
    """A file of changes to the form's good row, at the door; `without` leaves a column out of it."""
    form = definition.form(form_id)
    identities = (form.person_id or "", form.reference) if form.names_persons else ()
    rows = [{**GOOD[form_id], **change} for change in changes]
    extra = [name for row in rows for name in row if name not in (*identities, *form.columns())]
    header = [name for name in dict.fromkeys((*identities, *form.columns(), *extra)) if name != without]
    lines = [";".join(header), *(";".join(row.get(name, "") for name in header) for row in rows)]
    content = "\r\n".join([*lines, ""]).encode("utf-8-sig")
    return check(form, definition, read(content, form), drop_uuid="0" * 36, sender="klinikk-a")


def told(checked: Checked) -> list[tuple[int, str, str]]:
    """The (row, column, rule) of each fault."""
    return [(fault.row, fault.variable, fault.rule) for fault in checked.faults]


@pytest.mark.parametrize("form", GOOD)
def test_a_good_row_of_each_form_is_taken(form: str) -> None:
    """Each of the six forms takes a row that says what it should, and nothing is told."""
    checked = judged(form, {})

    assert told(checked) == []
    assert checked.records.frame.height == 1


@pytest.mark.parametrize(
    ("form", "shown", "kept"),
    [
        ("institution", "2024", "institution:2024"),
        ("arr_course", "2024/Ryggskole", "arr_course:2024/Ryggskole"),
        ("arrival", "F-1", "F-1"),
    ],
)
def test_a_row_is_known_by_its_key(form: str, shown: str, kept: str) -> None:
    """A sender finds a yearly row by year and programme; the vault keeps it apart from a course of that number."""
    checked = judged(form, {})

    assert checked.references[REFERENCE].to_list() == [shown]
    assert checked.records.frame[REFERENCE].to_list() == [kept]
    assert (PERSON_ID in checked.records.frame.columns) is (form == "arrival")


def test_a_yearly_form_takes_no_person() -> None:
    """A national number in a file about the institution keeps the whole file out, and is not repeated."""
    checked = judged("institution", {"person_id": "17912099997"})

    assert told(checked) == [(0, "", "header_unknown")]
    assert checked.records.frame.is_empty()


@pytest.mark.parametrize(
    ("form", "changes", "faults"),
    [
        ("institution", ({"report_year": ""},), [(2, "report_year", "required")]),
        ("institution", ({"report_year": "2016"},), [(2, "report_year", "below_minimum")]),
        ("institution", ({"waiting_days": "1501"},), [(2, "waiting_days", "above_maximum")]),
        ("institution", ({"arr_patients": "-1"},), [(2, "arr_patients", "below_minimum")]),
        ("institution", ({}, {}), [(3, "report_year", "duplicate_row_in_file")]),
        (
            "institution",
            ({}, {"waiting_days": "61"}),
            [(2, "report_year", "conflicting_rows_in_file"), (3, "report_year", "conflicting_rows_in_file")],
        ),
        # The same year written otherwise is the same year.
        (
            "institution",
            ({}, {"report_year": "+2024"}),
            [(2, "report_year", "conflicting_rows_in_file"), (3, "report_year", "conflicting_rows_in_file")],
        ),
        ("institution", ({}, {"report_year": "2023"}), []),
        ("arr_course", ({}, {"programme": "Poliklinikk", "type": "outpatient"}), []),
        ("arr_course", ({"programme": "x" * 41},), [(2, "programme", "too_long")]),
        ("arr_course", ({"programme": "Ola 17912099997"},), [(2, "programme", "identity_in_text")]),
        ("arr_course", ({"type": "hotel"},), [(2, "type", "code_unknown")]),
        ("arr_course", ({"duration_weeks": "0"},), [(2, "", "arr_course.lasts")]),
        ("institution", ({"reported_date": "2017-01-01", "report_year": "2017"},), [
            (2, "", "institution.year_ended"), (2, "reported_date", "outside_form_validity"),
        ]),
        ("arrival", ({"consent_date": ""},), [(2, "consent_date", "consent_missing")]),
        ("arrival", ({"sex": ""},), [(2, "sex", "required")]),
        ("arrival", ({"education": "undefined"},), [(2, "education", "undefined_literal")]),
        ("arrival", ({"work_ability": "11"},), [(2, "work_ability", "above_maximum")]),
        ("arrival", ({"sick_leave": "none", "sick_leave_percent": "0", "sick_leave_weeks": "53"},), [
            (2, "", "arrival.sick_pay_needs_sick_leave"), (2, "sick_leave_weeks", "above_maximum"),
        ]),
        ("arrival", ({"arrival_date": "02.02.2017", "consent_date": "2017-02-01"},), [
            (2, "arrival_date", "before_legal_basis"), (2, "arrival_date", "outside_form_validity"),
        ]),
        ("discharge", ({"completion": ""},), [(2, "completion", "required")]),
        ("discharge", ({"days_attended": "0"},), [(2, "", "discharge.completed_was_attended")]),
        ("follow_up_6", ({"response_date": ""},), [(2, "response_date", "required")]),
        ("follow_up_12", ({"employed": "nei", "work_adapted": "ja"},), [
            (2, "", "follow_up_12.work_adapted_needs_employment"),
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_row(
    form: str, changes: tuple[dict[str, str], ...], faults: list[tuple[int, str, str]]
) -> None:
    """Each fault names row, column and rule, and only such rows are kept out."""
    checked = judged(form, *changes)
    refused = {fault.row for fault in checked.faults if fault.severity is Severity.REFUSE}

    assert told(checked) == sorted(faults)
    assert checked.records.frame.height == len(changes) - len(refused)


def _changed(**changes: Any) -> Definition:
    tree = json.loads(LOADED.source)
    arrival = {variable["name"]: variable for variable in tree["forms"][0]["variables"]}
    for name, change in changes.items():
        arrival[name].update(change)
    return load_source(json.dumps(tree).encode()).definition


def test_answers_to_an_older_form_are_taken_as_they_were_asked() -> None:
    """A file from before a variable was added has no such column, and is whole; a newer row without it is not."""
    newer = _changed(work_adapted={"valid_from": "2025-01-01", "required": True})

    assert told(judged("arrival", {}, definition=newer, without="work_adapted")) == []
    late = {"arrival_date": "2025-02-01"}
    assert told(judged("arrival", {**late, "work_adapted": ""}, definition=newer)) == [(2, "work_adapted", "required")]
    early = judged("arrival", {}, definition=newer)
    assert told(early) == [(2, "work_adapted", "variable_not_valid_on_date")]


def test_an_answer_that_is_no_longer_offered_holds_for_its_time() -> None:
    """A code is judged by the form's own date, not by when the file came."""
    codes = json.loads(LOADED.source)["forms"][0]["variables"][3]["codes"]
    ended = [{**code, "valid_to": "2024-12-31"} if code["value"] == "vocational" else code for code in codes]
    newer = _changed(education={"codes": ended})

    assert told(judged("arrival", {}, definition=newer)) == []
    late = judged("arrival", {"arrival_date": "2025-01-01"}, definition=newer)
    assert told(late) == [(2, "education", "code_not_valid_on_date")]


def test_a_file_made_for_the_older_arrival_form_is_told_so() -> None:
    """The date of discharge stood in the arrival form once; a file that still has it there is refused whole."""
    checked = judged("arrival", {"end_date": "2024-03-29"})

    assert told(checked) == [(0, "", "header_unknown")]
    assert checked.records.frame.is_empty()
