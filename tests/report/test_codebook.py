"""The codebook tells all of a definition, to people and to programs, and the same each time."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner

from enclave.cli.main import app
from enclave.registry.definition import Check, Form, SetCheck, ShareTable
from enclave.registry.load import load, load_source
from enclave.report.codebook import codebook

FOLDER = Path(__file__).parents[2] / "config" / "registries" / "kar"
KAR = load(FOLDER)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """KAR's codebook."""
    return _made()


def _every_check(form: Form) -> tuple[Check | SetCheck, ...]:
    return (*form.checks, *form.set_checks)


def _made(**changes: Any) -> dict[str, bytes]:
    loaded = load_source(json.dumps({**json.loads(KAR.source), **changes}).encode()) if changes else KAR
    return {file.name: file.content for file in codebook(loaded.definition, loaded.sha256)}


class _Page(HTMLParser):
    """The texts, tags and identifiers of a page."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the tag, its id and where it leads."""
        self.tags.add(tag)
        facts = dict(attrs)
        self.ids += [str(facts["id"])] if "id" in facts else []
        self.links += [str(facts[name]) for name in ("href", "src") if name in facts]

    def handle_data(self, data: str) -> None:
        """Collect what is shown."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """Everything that is shown, spaces joined."""
        return re.sub(r"\s+", " ", " ".join(self.texts))


def _sheets(content: bytes) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return {sheet.title: [tuple(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


def test_the_page_tells_every_part_of_the_definition(files: dict[str, bytes]) -> None:
    """Each form, column, answer, label, expression and check stands on the page, and its hash."""
    shown = _Page(files["kodebok.html"]).text

    assert KAR.sha256 in shown
    for form in KAR.definition.forms:
        labels = [form.label, *(part.label for part in form.variables), *(one.label for one in _every_check(form))]
        labels += [code.label for variable in form.variables for code in variable.codes]
        for label in labels:
            assert re.sub(r"\s+", " ", label.nb) in shown
            assert label.en in shown
        assert all(column in shown for column in form.columns())
        assert all(re.sub(r"\s+", " ", check.holds) in shown for check in form.checks)
        assert all(check.id in shown for check in _every_check(form))


def test_that_the_variable_list_is_proposed_is_told(files: dict[str, bytes]) -> None:
    """A proposed list is told on the page and in the workbook; a published one is not called a proposal."""
    told = "Variabellisten er vårt eget forslag"
    published = _made(proposed=False)

    assert told in _Page(files["kodebok.html"]).text
    assert any(told in str(cell) for row in _sheets(files["kodebok.xlsx"])["Om registeret"] for cell in row)
    assert told not in _Page(published["kodebok.html"]).text
    assert not any(told in str(cell) for row in _sheets(published["kodebok.xlsx"])["Om registeret"] for cell in row)


def test_due_dates_and_keys_are_told(files: dict[str, bytes]) -> None:
    """A reader sees when a form falls due, what a row is known by, and since when it is used."""
    shown = _Page(files["kodebok.html"]).text

    assert "12 måneder etter Opplysninger ved avslutning (discharge.end_date), 42 dager til hver side" in shown
    assert "innen 1.3. året etter" in shown
    assert "report_year, programme" in shown
    assert "fra 03.02.2017" in shown
    assert "due: response_date = discharge.end_date + 6 måneder ± 42 dager" in shown
    assert "overlap: arrival_date – discharge.end_date" in shown
    assert "window: end_date − arrival.arrival_date ≤ 366 dager" in shown


def test_results_say_what_they_measure(files: dict[str, bytes]) -> None:
    """Each table of results is told with its forms and, for a share, each category's expression."""
    shown, sheet = _Page(files["kodebok.html"]).text, _sheets(files["kodebok.xlsx"])["Resultater"][1:]

    assert {line[0] for line in sheet} == {table.id for table in KAR.definition.tables}
    for table in KAR.definition.tables:
        assert table.label.nb in shown
        for category in table.categories if isinstance(table, ShareTable) else ():
            assert category.holds in shown
            assert (table.id, category.holds) in {(line[0], line[8]) for line in sheet}


def test_a_form_about_the_institution_is_not_called_personal(files: dict[str, bytes]) -> None:
    """Only what is asked about a person has a sensitivity."""
    header, *lines = _sheets(files["kodebok.xlsx"])["Variabler"]
    told = {(line[0], line[header.index("Følsomhet")]) for line in lines}
    about_persons = {form.id for form in KAR.definition.forms if form.subject == "person"}

    assert {form for form, sensitivity in told if sensitivity is None} == {"institution", "arr_course"}
    assert {form for form, sensitivity in told if sensitivity} == about_persons


def test_the_page_runs_nothing_and_reaches_nothing(files: dict[str, bytes]) -> None:
    """No script, no image, no address but places on the page itself, each of which is there once."""
    page = _Page(files["kodebok.html"])

    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert b"default-src 'none'" in files["kodebok.html"]


def test_a_label_cannot_write_the_page() -> None:
    """What a definition says is text: no tag of it runs in a page, no formula in a workbook."""
    tree = json.loads(KAR.source)
    label = {"nb": "=1+1 <script>alert(1)</script>", "en": "@x <b>"}
    tree["forms"][0]["variables"][2]["label"] = label
    made = _made(forms=tree["forms"])

    assert "script" not in _Page(made["kodebok.html"]).tags
    book = openpyxl.load_workbook(io.BytesIO(made["kodebok.xlsx"]))
    cells = [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
    assert label["nb"] in {cell.value for cell in cells}
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}


def test_the_workbook_has_a_line_for_each_answer(files: dict[str, bytes]) -> None:
    """The variables' sheet has every column of the registry, in the order of the forms, a line for each answer."""
    sheets = _sheets(files["kodebok.xlsx"])
    header, *lines = sheets["Variabler"]

    assert header[:3] == ("Skjema", "Kolonne", "Variabel")
    told = list(dict.fromkeys((line[0], line[1]) for line in lines))
    assert told == [(form.id, column) for form in KAR.definition.forms for column in form.columns()]
    assert ("arrival", "sex", "sex", "Kjønn", "Sex", "ett svar", "male", "Mann", "Male") in {line[:9] for line in lines}
    checks = {(line[0], line[1]) for line in sheets["Kontroller"][1:]}
    assert checks == {(form.id, one.id) for form in KAR.definition.forms for one in _every_check(form)}


def test_validity_dates_are_told() -> None:
    """A code that is no longer used says so on the page and in its line of the workbook."""
    tree = json.loads(KAR.source)
    tree["forms"][0]["variables"][2]["codes"][0] |= {"valid_from": "2018-01-01", "valid_to": "2020-12-31"}
    tree["forms"][0]["checks"][0]["valid_to"] = "2019-06-30"
    made = _made(forms=tree["forms"])

    assert "01.01.2018–31.12.2020" in _Page(made["kodebok.html"]).text
    assert "til 30.06.2019" in _Page(made["kodebok.html"]).text
    assert any("01.01.2018–31.12.2020" in str(line) for line in _sheets(made["kodebok.xlsx"])["Variabler"])


def test_the_same_definition_gives_the_same_bytes(files: dict[str, bytes]) -> None:
    """Neither clock nor chance shows in a codebook."""
    assert _made() == files


def test_the_command_writes_both_files(tmp_path: Path, files: dict[str, bytes]) -> None:
    """`registry document OUT --folder F` needs no server, and makes the folder."""
    out = tmp_path / "codebook"
    ended = CliRunner().invoke(app, ["registry", "document", str(out), "--folder", str(FOLDER)])

    assert ended.exit_code == 0, ended.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files
