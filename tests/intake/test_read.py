"""Files: hostile CSV gives faults with row numbers, never an error and never a value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.intake import read as reading
from enclave.intake.read import read
from enclave.intake.rules import FILE_RULES, form_of
from enclave.model.fault import Severity
from tests.intake.forms import ARRIVAL, GOOD, REGISTRY, checked, faults, file_of

HEADER = ";".join(GOOD)
OPTIONAL = ("benefits_new", "late")


def without(*names: str) -> tuple[str, ...]:
    """The header without some columns."""
    return tuple(name for name in GOOD if name not in names)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_file_is_read_with_any_line_end_and_with_or_without_bom(start: bytes, end: str) -> None:
    """BOM and line ends make no difference."""
    assert faults(start + file_of({}, {}, end=end)) == []
    assert checked(start + file_of({}, {}, end=end)).records.frame.height == 2


def test_rows_are_numbered_as_a_spreadsheet_shows_them() -> None:
    """Blank lines count as rows, and a line break inside a quoted field does not."""
    good = file_of({"occupation": '"to\nlinjer"'}).decode()
    content = good + "\r\n" + ";" * (len(GOOD) - 1) + "\r\n" + file_of({"course_id": "B"}).decode().split("\r\n")[1]
    result = checked(content.encode())

    assert result.faults == ()
    assert result.records.frame["_row"].to_list() == [2, 5]
    assert result.delivered == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", [(0, "", "empty_file")]),
        (b"\xef\xbb\xbf\r\n\r\n", [(0, "", "empty_file")]),
        (HEADER.encode(), [(0, "", "empty_file")]),
        (file_of({}).decode().encode("utf-16"), [(0, "", "encoding")]),
        (file_of({}, {"occupation": "blåbær"}).decode().encode("cp850"), [(3, "", "encoding")]),
        (file_of({"occupation": "blåbær"}).decode().encode("mac-roman"), [(2, "", "encoding")]),
        (file_of({"occupation": "bl\u2026"}).decode().encode("cp1252"), [(2, "", "encoding")]),
        (b"\xef\xbb\xbf" + file_of({"occupation": "blå"}).decode().encode("latin-1"), [(2, "", "encoding")]),
        (b"\r\n" + file_of({}).replace(b";", b"|"), [(2, "", "delimiter")]),
        (file_of({}).replace(b";", b"|"), [(1, "", "delimiter")]),
        (file_of({}) + b'"', [(3, "", "unreadable")]),
        (file_of({}, {"occupation": '"a"b'}), [(3, "", "unreadable")]),
        (file_of({}, {"occupation": "x" * 200_000}), [(3, "", "unreadable")]),
        (file_of({}) + b";" * 2_000_000, [(3, "", "unreadable")]),
        (file_of({}, header=without("score")), [(0, "score", "header_missing")]),
        (
            file_of({}, header=without("person_id", "sex")),
            [(0, "person_id", "header_missing"), (0, "sex", "header_missing")],
        ),
        (file_of({}, header=(*GOOD, "score")), [(0, "score", "header_twice")]),
        (file_of({}).replace(b"free", b"fri"), [(0, "", "header_unknown"), (0, "free", "header_missing")]),
    ],
)
def test_row_41_a_fault_of_the_file_keeps_all_its_rows_out(
    content: bytes, expected: list[tuple[int, str, str]]
) -> None:
    """What is wrong with the whole file is told once, and no row of it is taken."""
    assert faults(content) == expected
    assert checked(content).records.frame.height == 0


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (file_of({"occupation": "blåbær"}).decode().encode("latin-1"), "read_as_latin_1"),
        (file_of({"occupation": "blåbær", "weight": "81.5"}).replace(b";", b","), "read_as_comma"),
        (file_of({"occupation": "blåbær", "weight": '"81,5"'}).replace(b";", b","), "read_as_comma"),
        (file_of({"occupation": "blåbær"}).replace(b";", b"\t"), "read_as_tab"),
    ],
)
def test_row_41_another_dialect_is_recognised_and_told(content: bytes, note: str) -> None:
    """Latin-1, commas and tabs give the same rows as the declared dialect, and the sender is told how it was read."""
    result = checked(content)
    declared = checked(file_of({"occupation": "blåbær"}))

    assert [(fault.row, fault.rule, fault.severity) for fault in result.faults] == [(0, note, Severity.WARN)]
    assert result.records.frame.equals(declared.records.frame)
    assert result.records.frame["occupation"].to_list() == ["blåbær"]


def test_a_decimal_comma_between_commas_is_not_guessed_at() -> None:
    """Without quotation marks the row has a field too many, and is refused alone with its number."""
    content = file_of({"weight": "81.5"}, {"weight": "81,5"}).replace(b";", b",")
    assert faults(content) == [(0, "", "read_as_comma"), (3, "", "row_width")]


@pytest.mark.parametrize("day", ["2024-03-01", "01.03.2024"])
@pytest.mark.parametrize("weight", ["81,5", "81.5"])
def test_dates_and_numbers_are_taken_as_norwegians_and_machines_write_them(day: str, weight: str) -> None:
    """Both spellings are the same day and the same number."""
    frame = checked(file_of({"arrival_date": day, "weight": weight})).records.frame
    assert (str(frame["arrival_date"][0]), frame["weight"][0]) == ("2024-03-01", 81.5)


def test_every_rule_of_a_file_has_its_test() -> None:
    """No built-in rule of a file is without a test."""
    recognised = {"read_as_latin_1", "read_as_comma", "read_as_tab"}  # below
    here = recognised | {
        "empty_file",
        "encoding",
        "delimiter",
        "unreadable",
        "header_missing",
        "header_twice",
        "header_unknown",
    }

    of_workbooks = {rule for rule in FILE_RULES if rule.startswith("workbook_")}  # test_spreadsheet_door.py
    assert set(FILE_RULES) - of_workbooks == here | {"too_many_rows", "too_many_faults"}


def test_a_refused_file_is_still_checked() -> None:
    """A file with a fault of its own yields its rows' faults too, so that the sender hears everything at once."""
    content = file_of({"sex": "x"}, {}, header=without("score"))

    assert faults(content) == [(0, "score", "header_missing"), (2, "sex", "code_unknown")]
    assert checked(content).delivered == checked(content).refused_rows == 2


def test_rows_before_an_unreadable_one_are_counted_and_checked() -> None:
    """What could be told apart before reading broke off is delivered, checked and refused."""
    content = file_of({"sex": "x"}, {}, {"occupation": '"åpen'})
    result = checked(content)

    assert [(fault.row, fault.rule) for fault in result.faults] == [(2, "code_unknown"), (4, "unreadable")]
    assert (result.delivered, result.refused_rows) == (2, 2)


def test_a_row_of_another_width_is_refused_alone() -> None:
    """Too few or too many fields refuse that row; the others are taken."""
    first, other = (file_of({"course_id": course}).decode().split("\r\n")[1] for course in ("A", "B"))
    content = "\r\n".join([HEADER, first, "a;b", other, ";" * 40 + "x"])

    assert faults(content.encode()) == [(3, "", "row_width"), (5, "", "row_width")]
    result = checked(content.encode())
    assert result.records.frame["_row"].to_list() == [2, 4]
    assert (result.delivered, result.refused_rows) == (4, 2)


def test_columns_with_validity_dates_may_be_left_out() -> None:
    """A file made before a variable or option was added is whole."""
    content = file_of({}, header=without(*OPTIONAL))

    assert faults(content) == []
    assert checked(content).records.frame["late"].to_list() == [None]


def test_columns_may_come_in_any_order() -> None:
    """The header decides which column is which."""
    content = file_of({}, header=tuple(reversed(GOOD)))

    assert checked(content).records.frame.equals(checked(file_of({})).records.frame)


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit of rows is not taken in part."""
    monkeypatch.setattr(reading, "MOST_ROWS", 2)
    result = checked(file_of({}, {}, {}))

    assert [fault.rule for fault in result.faults] == ["too_many_rows"]
    assert (result.delivered, result.records.frame.height) == (3, 0)


def test_a_header_that_is_data_is_not_repeated() -> None:
    """A file without a header row shows none of its values in its faults."""
    content = b"\r\n".join(file_of({"occupation": "kanarifugl"}).split(b"\r\n")[1:])
    result = checked(content)

    assert result.records.frame.height == 0
    assert "kanarifugl" not in repr(result.faults)
    assert GOOD["person_id"] not in repr(result.faults)


def test_a_file_is_its_form_only_by_its_exact_name() -> None:
    """`FORM_ID.csv`, `FORM_ID.xlsx` and nothing else names a form."""
    assert form_of("arrival.csv", REGISTRY) is form_of("arrival.xlsx", REGISTRY) is ARRIVAL
    for name in ("Arrival.csv", "arrival.CSV", "arrival.xls", "arrival.xlsm", "arrival", "arrival.csv.csv", ""):
        assert form_of(name, REGISTRY) is None


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_faults_and_never_an_error(content: bytes) -> None:
    """Whatever the bytes, reading and checking end, and no row of nonsense is taken."""
    result = checked(content)

    assert result.faults
    assert result.records.frame.height == 0


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_field_gives_at_most_faults(data: st.DataObject) -> None:
    """Whatever stands in a field, the rows add up and a fault never holds the value."""
    name = data.draw(st.sampled_from(list(GOOD)))
    value = data.draw(st.text(st.characters(codec="utf-8"), max_size=30))
    quoted = '"' + value.replace('"', '""') + '"'
    result = checked(file_of({name: quoted}, {}))

    assert result.delivered == result.records.frame.height + result.refused_rows == 2
    for fault in result.faults:
        assert fault.row in (2, 3)
        assert fault.variable in {"", "benefits", *GOOD}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 255))
def test_a_changed_byte_is_survived(place: int, value: int) -> None:
    """A good file with any one byte changed gives rows and faults that add up."""
    content = bytearray(b"\xef\xbb\xbf" + file_of({"occupation": '"a;b"'}, {}, {}))
    content[place % len(content)] = value
    result = checked(bytes(content))

    assert result.records.frame.height + result.refused_rows == result.delivered
    assert read(bytes(content), ARRIVAL).delivered == result.delivered
