"""Every workbook as LibreOffice opens it: no repair, texts stay texts, numbers stay numbers, nothing is computed."""

import subprocess
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from enclave.intake.workbook import look_through
from tests.demo.done import Done

pytestmark = pytest.mark.timeout(1200)
SOFFICE = "/usr/bin/soffice"
WORKBOOKS = ("results", "own_rows", "feedback", "reminder", "codebook", "arrival")
ANSWERS = {
    "person_id": "01815512345",
    "course_id": "0042",
    "consent_date": date(2024, 3, 1),
    "arrival_date": date(2024, 3, 4),
    "sex": "female",
    "occupation": "=1+1 murer",
    "work_ability": 7,
}


@pytest.fixture(scope="session")
def workbooks(done: Done, pages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The workbooks that a clinic meets, one of them a sample form that somebody has filled in."""
    folder = tmp_path_factory.mktemp("workbooks")
    files = done.summary["files"]
    found = {
        "results": done.folder / files["workbook"],
        **{name: done.folder / files[name] for name in ("own_rows", "feedback", "reminder")},
        "codebook": pages["codebook"].with_suffix(".xlsx"),
        "arrival": folder / "filled.xlsx",
    }
    sample = openpyxl.load_workbook(done.folder / files["kit"] / "skjema" / "arrival.xlsx")
    form = sample.worksheets[0]
    columns = {cell.value: cell.column for cell in form[1]}
    for name, value in ANSWERS.items():
        cell = form.cell(2, columns[name], value)
        if isinstance(value, str):
            cell.data_type = "s"
    sample.save(found["arrival"])
    for name, path in found.items():
        (folder / f"{name}.xlsx").write_bytes(path.read_bytes())
    return {name: folder / f"{name}.xlsx" for name in found}


@pytest.fixture(scope="session")
def saved(workbooks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same workbooks, opened and saved by LibreOffice with a profile that nobody has used."""
    out, profile = tmp_path_factory.mktemp("saved"), tmp_path_factory.mktemp("profile")
    done = subprocess.run(
        [
            *(SOFFICE, "--headless", "--norestore", f"-env:UserInstallation={profile.as_uri()}"),
            *("--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(out)),
            *(str(path) for path in workbooks.values()),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in out.iterdir()} == set(WORKBOOKS), done.stdout + done.stderr
    return {name: out / f"{name}.xlsx" for name in WORKBOOKS}


def cells_of(sheet: Worksheet) -> dict[str, tuple[str, object]]:
    """What each cell holds, and of which type."""
    return {
        cell.coordinate: (cell.data_type, cell.value)
        for row in sheet.iter_rows()
        for cell in row
        if cell.value is not None
    }


@pytest.mark.parametrize("name", WORKBOOKS)
def test_libreoffice_reads_what_we_wrote(workbooks: dict[str, Path], saved: dict[str, Path], name: str) -> None:
    """Sheet for sheet and cell for cell the same values of the same types; no cell is a formula."""
    ours, theirs = openpyxl.load_workbook(workbooks[name]), openpyxl.load_workbook(saved[name])
    assert theirs.sheetnames == ours.sheetnames
    for sheet in ours.worksheets:
        written, read = cells_of(sheet), cells_of(theirs[sheet.title])
        assert written
        assert read == written
        assert not {kind for kind, _ in read.values()} & {"f", "e"}


def test_there_are_texts_and_numbers_to_lose(workbooks: dict[str, Path]) -> None:
    """The workbooks hold numbers, days, texts of digits with leading zeros, and a text that looks like a formula."""
    results = openpyxl.load_workbook(workbooks["results"])
    assert sum(kind == "n" for sheet in results.worksheets for kind, _ in cells_of(sheet).values()) > 100
    filled = {value for _, value in cells_of(openpyxl.load_workbook(workbooks["arrival"]).worksheets[0]).values()}
    assert {"0042", "=1+1 murer", 7} <= filled


def test_a_form_that_libreoffice_saved_is_taken_at_the_door(saved: dict[str, Path]) -> None:
    """A clinic that fills in the sample form with LibreOffice can send what LibreOffice wrote."""
    opened = look_through(saved["arrival"].read_bytes())
    assert opened.faults == []
    assert opened.delivered == 1
