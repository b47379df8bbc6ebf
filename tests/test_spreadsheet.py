"""Workbooks and CSV files: same bytes, no formulas, values kept."""

import csv
import io
import subprocess
import sys
import time
import zipfile
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from enclave.spreadsheet import FORMULA_STARTS, csv_bytes, workbook_bytes, write_text

HOSTILE = ["=1+1", "=cmd|' /C calc'!A0", "+47 22 33 44 55", "-1", "@SUM(A1)", "\t=1", "\r=1", "=1+1", "_x003D_1"]


def workbook_of(values: list[str]) -> Workbook:
    """A workbook with one text below the other."""
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row, value in enumerate(values, start=1):
        write_text(sheet.cell(row, 1), value)
    return workbook


def read_csv(content: bytes) -> list[list[str]]:
    """What a program sees that reads the file by its declared dialect."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))


def test_a_workbook_is_the_same_bytes_at_another_time() -> None:
    """Two workbooks of the same content, made seconds apart in different processes, are byte-identical."""
    first = workbook_bytes(workbook_of(["a", "=b"]))
    time.sleep(1.0)

    program = (
        "import sys; from tests.test_spreadsheet import workbook_bytes, workbook_of;"
        "sys.stdout.buffer.write(workbook_bytes(workbook_of(['a', '=b'])))"
    )
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist()[0] == "[Content_Types].xml"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_text_is_never_a_formula_in_a_workbook(value: str) -> None:
    """A cell made from data holds its text unchanged, typed as text, and is quoted when it looks like a formula."""
    content = workbook_bytes(workbook_of([value]))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet_xml = archive.read("xl/worksheets/sheet1.xml")
        styles_xml = archive.read("xl/styles.xml")
    sheet = load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    assert b"<f>" not in sheet_xml
    assert sheet["A1"].data_type == "s"
    if value[0] in FORMULA_STARTS:
        assert b"quotePrefix" in styles_xml
    if not value.startswith(("_", "\r")):
        assert sheet["A1"].value == value


def test_a_text_that_looks_like_an_escape_keeps_its_characters() -> None:
    """`_x003D_`, which Excel would read as `=`, is escaped itself."""
    content = workbook_bytes(workbook_of(["_x003D_1"]))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert b"_x005F_x003D_1" in archive.read("xl/worksheets/sheet1.xml")


def test_no_characters_stop_a_workbook() -> None:
    """Control characters and lone surrogates are replaced and long texts cut; nothing is raised with the value."""
    content = workbook_bytes(workbook_of(["a\x00b", "\ud800", "x" * 40_000]))

    sheet = load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    assert [len(str(sheet.cell(row, 1).value)) for row in (1, 2, 3)] == [3, 1, 32_767]


def test_an_empty_text_and_none_are_empty_cells() -> None:
    """None leaves a cell without a value."""
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    write_text(sheet["A1"], None)

    assert sheet["A1"].value is None


@pytest.mark.parametrize("value", [*HOSTILE[:-1], "  =1", "\u00a0=1", "\n=1"])
def test_a_text_that_looks_like_a_formula_is_guarded_in_csv(value: str) -> None:
    """A CSV text field whose first visible character starts a formula gets a leading apostrophe."""
    assert read_csv(csv_bytes(["a"], [[value]])) == [["a"], ["'" + value]]


def test_values_are_written_as_norwegians_read_them() -> None:
    """Decimal comma, ISO dates, `ja`/`nei`, plain negative numbers; None is empty; lines end with CRLF after a BOM."""
    content = csv_bytes(
        ["tekst", "tall", "desimal", "liten", "dato", "svar", "tom"],
        [['blåbær; "søt"', -5, -1.5, Decimal("0.0000001"), date(2024, 3, 1), True, None]],
    )

    assert content.decode("utf-8") == (
        '\ufeff"tekst";"tall";"desimal";"liten";"dato";"svar";"tom"\r\n'
        '"blåbær; ""søt""";-5;-1,5;0,0000001;2024-03-01;ja;\r\n'
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(number: float) -> None:
    """NaN and infinity raise ValueError."""
    with pytest.raises(ValueError, match="finite"):
        csv_bytes(["a"], [[number]])


def test_a_row_of_another_width_is_refused() -> None:
    """A row with too few fields raises ValueError without its values."""
    with pytest.raises(ValueError, match="as wide as the header"):
        csv_bytes(["a", "b"], [["kanari"]])


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_any_text_comes_back_from_csv(texts: list[str]) -> None:
    """Whatever the texts, the file has one row, and each field is the text itself, guarded at most by an apostrophe."""
    (_, fields) = read_csv(csv_bytes(["x"] * len(texts), [texts]))

    assert len(fields) == len(texts)
    for field, text in zip(fields, texts, strict=True):
        assert field[:1] not in FORMULA_STARTS or not field.strip(" \u00a0")
        assert len(field) - len(text) in (0, 1)
