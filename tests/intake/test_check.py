"""Rows: every fault has a row that has it and a row that has not."""

from collections import Counter
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from enclave.intake import read as reading
from enclave.intake.check import MOST_FAULTS
from enclave.intake.rules import ROW_RULES
from enclave.model.fault import Severity
from enclave.registry.definition import LegalBasis
from tests.intake.forms import ARRIVAL, GOOD, REGISTRY, UNIT, checked, faults, file_of

# (changes to the good row, the one fault that they make)
BROKEN: list[tuple[dict[str, str], str, str]] = [
    ({"score": "\x07" + "3"}, "score", "control_character"),
    ({"course_id": "undefined"}, "course_id", "undefined_literal"),
    ({"person_id": "Undefined"}, "person_id", "undefined_literal"),
    ({"occupation": "fi\u200bsker"}, "occupation", "control_character"),
    ({"course_id": "F\x00"}, "course_id", "control_character"),
    ({"person_id": "179120\u202e99997"}, "person_id", "control_character"),
    ({"score": "undefined"}, "score", "undefined_literal"),
    ({"occupation": "NaN"}, "occupation", "undefined_literal"),
    ({"aid": "#VERDI!"}, "aid", "undefined_literal"),
    ({"score": "3,0"}, "score", "type"),
    ({"score": "1 0"}, "score", "type"),
    ({"score": "٣"}, "score", "type"),
    ({"score": "1e1"}, "score", "type"),
    ({"free": "99999999999999999999"}, "free", "type"),
    ({"free": "2147483648"}, "free", "above_maximum"),
    ({"free": "-2147483648"}, "free", "below_minimum"),
    ({"weight": "1.000,5"}, "weight", "type"),
    ({"weight": "inf"}, "weight", "type"),
    ({"weight": "nan"}, "weight", "undefined_literal"),
    ({"employed": "yes"}, "employed", "type"),
    ({"employed": "2"}, "employed", "type"),
    ({"benefits_aap": "x"}, "benefits_aap", "type"),
    ({"arrival_date": "2024-02-30"}, "arrival_date", "type"),
    ({"arrival_date": "45352"}, "arrival_date", "type"),
    ({"arrival_date": "1.3.2024"}, "arrival_date", "type"),
    ({"arrival_date": "2024-03-01T00:00:00"}, "arrival_date", "type"),
    ({"consent_date": "1799-12-31"}, "consent_date", "type"),
    ({"consent_date": "0000-01-01"}, "consent_date", "type"),
    ({"sex": "Female"}, "sex", "code_unknown"),
    ({"sex": "kvinne"}, "sex", "code_unknown"),
    ({"aid": "old"}, "aid", "code_not_valid_on_date"),
    ({"benefits_new": "1"}, "benefits_new", "code_not_valid_on_date"),
    ({"late": "3"}, "late", "variable_not_valid_on_date"),
    ({"score": "-1"}, "score", "below_minimum"),
    ({"score": "11"}, "score", "above_maximum"),
    ({"weight": "20,4"}, "weight", "below_minimum"),
    ({"weight": "300.01"}, "weight", "above_maximum"),
    ({"occupation": "x" * 21}, "occupation", "too_long"),
    ({"course_id": "x" * 65}, "course_id", "too_long"),
    ({"occupation": "17912099997"}, "occupation", "identity_in_text"),
    ({"occupation": "se 179120 99997"}, "occupation", "identity_in_text"),
    ({"sex": ""}, "sex", "required"),
    ({"arrival_date": "  "}, "arrival_date", "required"),
    ({"benefits_none": "", "benefits_aap": ""}, "benefits", "required"),
    ({"person_id": ""}, "person_id", "person_id_missing"),
    ({"course_id": " "}, "course_id", "reference_missing"),
    ({"consent_date": ""}, "consent_date", "consent_missing"),
    ({"arrival_date": "2017-02-02", "consent_date": "2017-02-01"}, "arrival_date", "before_legal_basis"),
    ({"arrival_date": "2031-01-01"}, "arrival_date", "outside_form_validity"),
    ({"consent_date": "2024-03-02"}, "", "arrival.consent_first"),
    ({"benefits_none": "ja"}, "", "arrival.one_kind"),
    ({"arrival_date": "2017-03-01", "consent_date": "2017-03-01", "score": "3"}, "", "arrival.old_rule"),
]

WHOLE: list[dict[str, str]] = [
    {"arrival_date": "2024-03-01"},
    {"arrival_date": "2017-02-03", "consent_date": "2017-02-03", "aid": "old"},
    {"arrival_date": "2024-06-01", "benefits_new": "1", "late": "3"},
    {"benefits_new": "nei"},
    {"score": "0"},
    {"score": "+8"},
    {"score": ""},
    {"weight": "20.5"},
    {"weight": "300"},
    {"employed": "NEI"},
    {"employed": "1"},
    {"aid": "none"},
    {"aid": ""},
    {"occupation": "x" * 20},
    {"occupation": "=cmd|' /C calc'!A0"},
    {"occupation": "tlf 22 33 44 55"},
    {"occupation": '"sjef; ""stor"""'},
    {"free": "-2147483647"},
    {"sex": " male "},
    {"score": "3"},
]


@pytest.mark.parametrize(("changes", "variable", "rule"), BROKEN)
def test_a_broken_row_has_exactly_its_fault_and_stays_out(changes: dict[str, str], variable: str, rule: str) -> None:
    """A row with one thing wrong has one fault, at its line and variable, and only that row is refused."""
    content = file_of({}, changes)

    assert faults(content) == [(3, variable, rule)]
    assert checked(content).records.frame["_row"].to_list() == [2]


@pytest.mark.parametrize("changes", WHOLE)
def test_a_whole_row_has_no_fault(changes: dict[str, str]) -> None:
    """Values at their limits, in every permitted writing, pass."""
    assert faults(file_of(changes)) == []
    assert checked(file_of(changes)).records.frame.height == 1


def test_every_rule_of_a_row_has_a_broken_row() -> None:
    """No built-in rule of a row is without a test."""
    shown = {rule for _, _, rule in BROKEN} | {"row_width", "duplicate_row_in_file", "conflicting_rows_in_file"}

    assert set(ROW_RULES) <= shown | {"attachment_refused"}  # test_nettskjema.py


def test_records_are_typed_and_ordered_as_the_definition_says() -> None:
    """The frame has the row, the person, the course and the definition's columns, each of its type."""
    frame = checked(file_of({}, {"weight": "-0", "score": ""})).records.frame
    again = checked(file_of({"weight": "100.0", "employed": "0", "occupation": "blåbærplukker"})).records.frame

    assert frame.columns == ["_row", "_person_id", "_reference", *ARRIVAL.columns()]
    assert frame.schema["_row"] == pl.Int64
    assert frame.row(0, named=True) == {
        "_row": 2,
        "_person_id": GOOD["person_id"],
        "_reference": "F-1",
        "consent_date": date(2024, 2, 28),
        "arrival_date": date(2024, 3, 1),
        "sex": "female",
        "aid": "none",
        "score": 7,
        "weight": 81.5,
        "employed": True,
        "benefits_none": False,
        "benefits_aap": True,
        "benefits_new": None,
        "late": None,
        "occupation": "fisker",
        "free": -3,
    }
    assert again.select("weight", "employed", "occupation").row(0) == (100.0, False, "blåbærplukker")
    assert frame.schema == again.schema


def test_an_empty_file_gives_the_same_schema() -> None:
    """A file without rows that pass has a frame of the same columns and types."""
    assert checked(file_of({"sex": "x"})).records.frame.schema == checked(file_of({})).records.frame.schema
    assert checked(b"").records.frame.schema == checked(file_of({})).records.frame.schema


def test_all_faults_of_a_row_are_found() -> None:
    """A row with many things wrong has all its faults at once, in the order of variable and rule."""
    found = faults(file_of({"person_id": "", "sex": "?", "score": "99", "occupation": "17912099997 " + "x" * 30}))

    assert found == [
        (2, "occupation", "identity_in_text"),
        (2, "occupation", "too_long"),
        (2, "person_id", "person_id_missing"),
        (2, "score", "above_maximum"),
        (2, "sex", "code_unknown"),
    ]


def test_a_warning_keeps_the_row() -> None:
    """A check of severity warn tells the sender and lets the row in."""
    result = checked(file_of({"score": "9"}))

    assert [(fault.rule, fault.severity) for fault in result.faults] == [("arrival.low_score", Severity.WARN)]
    assert result.records.frame.height == 1
    assert result.refused_rows == 0


def test_an_unknown_check_passes() -> None:
    """A check over a missing answer, or over one that has a fault of its own, adds no fault."""
    assert faults(file_of({"score": ""})) == []
    assert faults(file_of({"consent_date": "2024-13-01"})) == [(2, "consent_date", "type")]


def test_a_row_without_a_readable_date_is_refused() -> None:
    """Where the date that rules are judged by cannot be read, the row stays out and no rule of dates is guessed."""
    assert faults(file_of({"arrival_date": "x", "aid": "old", "late": "3"})) == [(2, "arrival_date", "type")]


def test_consent_is_not_asked_where_another_basis_is_in_force() -> None:
    """From the day that a regulation replaces consent, a row without a date of consent passes."""
    bases = (*REGISTRY.legal_bases, LegalBasis(kind="mandatory", source="tests", valid_from=date(2024, 3, 1)))
    definition = REGISTRY.model_copy(update={"legal_bases": bases})

    assert faults(file_of({"consent_date": ""}), definition=definition) == []
    before = file_of({"consent_date": "", "arrival_date": "2024-02-29"})
    assert faults(before, definition=definition) == [(2, "consent_date", "consent_missing")]


def test_a_registry_without_a_basis_takes_nobody() -> None:
    """Without any legal basis every row about a person is refused."""
    definition = REGISTRY.model_copy(update={"legal_bases": ()})

    assert faults(file_of({}), definition=definition) == [(2, "arrival_date", "before_legal_basis")]


def test_a_form_about_an_institution_needs_no_person_and_no_basis() -> None:
    """Its rows have a reference and a date, and no column for a person."""
    result = checked(b"unit_id;counted;beds\r\nE1;2001-01-01;12\r\n", UNIT)

    assert result.faults == ()
    assert result.records.frame.columns == ["_row", "_reference", "counted", "beds"]
    assert faults(b"unit_id;counted;beds\r\nE1;;12\r\n", UNIT) == [(2, "counted", "required")]


def test_an_equal_row_is_taken_once() -> None:
    """Of rows that say the same the first is taken and each later one is told of."""
    same = {"course_id": "F-1"}
    content = file_of(same, same, {}, same)

    assert faults(content) == [
        (3, "course_id", "duplicate_row_in_file"),
        (5, "course_id", "duplicate_row_in_file"),
    ]
    assert checked(content).records.frame["_row"].to_list() == [2, 4]


def test_rows_of_one_course_that_differ_are_all_refused() -> None:
    """Nobody knows which of two differing rows is right, so neither is taken."""
    content = file_of({"course_id": "A"}, {"course_id": "A", "score": "5"}, {})

    assert faults(content) == [
        (2, "course_id", "conflicting_rows_in_file"),
        (3, "course_id", "conflicting_rows_in_file"),
    ]
    assert checked(content).records.frame["_row"].to_list() == [4]


def test_rows_without_a_course_number_are_not_compared() -> None:
    """Two rows without a reference are each told that it is missing, and nothing else."""
    content = file_of({"course_id": ""}, {"course_id": ""})

    assert [rule for _, _, rule in faults(content)] == ["reference_missing", "reference_missing"]


def test_references_cover_refused_rows() -> None:
    """The sender's own number is known for each row that could be told apart."""
    result = checked(file_of({}, {"sex": "x"}))

    assert result.references.rows() == [(2, "F-1"), (3, "F-2")]


def test_listed_faults_have_an_end_and_no_row_slips_in() -> None:
    """Above the cap the sender is told that there are more, and the unlisted rows stay out all the same."""
    rows = MOST_FAULTS // 5 + 10
    line = b";;;;x;x;x;x;x;;;;;;\r\n"  # ten faults
    result = checked(";".join(GOOD).encode() + b"\r\n" + line * rows)

    assert result.records.frame.height == 0
    assert result.refused_rows == rows
    assert len(result.faults) <= MOST_FAULTS + 1
    assert any(fault.rule == "too_many_faults" for fault in result.faults)


def test_every_fault_counts_also_beyond_the_list() -> None:
    """Listed and unlisted faults of each kind together are all that the file has, to the last one."""
    line, few, many = b";;;;x;x;x;x;x;;;;;;\r\n", 7, 7 * (MOST_FAULTS // 30)
    small, large = (checked(";".join(GOOD).encode() + b"\r\n" + line * rows) for rows in (few, many))

    told = Counter(replace(fault, row=0) for fault in large.faults if fault.row)
    every = Counter(replace(fault, row=0) for fault in small.faults)
    assert small.unlisted == {}
    assert large.unlisted
    assert told + Counter(large.unlisted) == Counter({kind: count * many // few for kind, count in every.items()})


def test_rows_of_another_width_count_also_beyond_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their faults are listed up to the cap and counted behind it."""
    monkeypatch.setattr(reading, "MOST_LISTED", 2)
    result = checked(file_of({}) + b"a;b\r\n" * 5)

    assert [fault.row for fault in result.faults if fault.rule == "row_width"] == [3, 4]
    assert [(kind.rule, count) for kind, count in result.unlisted.items()] == [("row_width", 3)]
    assert (result.delivered, result.records.frame.height) == (6, 1)


def test_nothing_shows_its_content() -> None:
    """The repr of what intake hands on holds no value of a row."""
    result = checked(file_of({"occupation": "kanarifugl"}))

    assert "kanarifugl" not in repr(result) + repr(result.records) + repr(result.faults)
