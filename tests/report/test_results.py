"""The page, the workbook and the CSV files say the same, the same way every time, and nothing more."""

import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pytest

from enclave.disclosure.suppress import withheld_texts
from enclave.model.table import Group, ReleasableTable, Statistic, Withheld
from enclave.report.results import result_files
from enclave.report.sheet import MISSING, REPEATED, WITHHELD, Cell, Format, short_labels
from enclave.report.view import lay_out
from tests.analysis.example import DEFINITION
from tests.report.example import CODE, files, made_up, releasable

ROOT = Path(__file__).parents[2]
SECRET_VALUE = 987.654321


@pytest.fixture(scope="module")
def package() -> dict[str, bytes]:
    """The files of one package."""
    return files()


def _made_of(*tables: ReleasableTable, name: str = "Alfa") -> dict[str, bytes]:
    made = result_files(tables, DEFINITION, recipient_name=name, code_version=CODE)
    return {file.name: file.content for file in made}


def _csv_rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))


def _texts_within(content: bytes) -> Iterator[str]:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name).decode()
    else:
        yield content.decode()


class _Numbers(HTMLParser):
    """Collects the rows of the page's tables."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell: str | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self._cell = ""
        elif self._cell is not None:
            self._cell += " "

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None:
            self.rows[-1].append(self._cell)
            self._cell = None


def test_a_package_has_a_page_a_workbook_and_a_csv_file_for_each_table(package: dict[str, bytes]) -> None:
    """The names are those that the gate admits."""
    assert list(package) == ["rapport.html", "resultater.xlsx", "csv/work_ability.csv", "csv/benefits_by_month.csv"]


def test_the_same_tables_give_the_same_bytes_in_another_process(package: dict[str, bytes], tmp_path: Path) -> None:
    """Neither clock, hash seed, locale nor working directory shows in any file."""
    program = (
        "import hashlib; from tests.report.example import files\n"
        "print({name: hashlib.sha256(content).hexdigest() for name, content in files().items()})"
    )
    expected = str({name: hashlib.sha256(content).hexdigest() for name, content in package.items()})
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 30\n")
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == expected


def test_page_workbook_and_csv_agree_on_every_number(package: dict[str, bytes]) -> None:
    """Each line of the table of change reads alike in all three."""
    parser = _Numbers()
    parser.feed(package["rapport.html"].decode())
    book = openpyxl.load_workbook(io.BytesIO(package["resultater.xlsx"]))
    sheet = book["Selvvurdert arbeidsevne"]
    rows = _csv_rows(package["csv/work_ability.csv"])
    assert len(rows) == 1 + 9
    on_page = _means_on_page(parser.rows)
    assert len(on_page) == len(rows) - 1
    for index, (measure, group, *written) in enumerate(row[:6] for row in rows[1:]):
        moment = measure.split(" → ")[-1]
        numbers = [float(number.replace(",", ".")) for number in written]
        assert on_page["→" in measure, group, moment] == [*numbers[1:], numbers[0]]
        in_book = [sheet.cell(4 + index, column).value for column in range(3, 7)]
        assert in_book == numbers


def _means_on_page(rows: list[list[str]]) -> dict[tuple[bool, str, str], list[float]]:
    """Number, interval and n by (whether it is a change, group, time point), of the first table of the page."""
    moments = rows[0][2:]
    table = rows[1 : next(at for at, row in enumerate(rows[1:], 1) if len(row) > 2 + len(moments))]
    found, is_change = {}, False
    for row in table:
        if len(row) == 2 + len(moments):
            is_change = row.pop(0).startswith("Endring")
        for moment, cell in zip(moments, row[1:], strict=True):
            if cell:
                numbers = re.findall(r"[+−]?\d+(?:,\d+)?", cell.replace("–", " "))
                found[is_change, row[0], moment] = [float(one.replace(",", ".").replace("−", "-")) for one in numbers]
    return found


def test_the_numbers_are_those_of_the_releasable_table(package: dict[str, bytes]) -> None:
    """What is read in the CSV file is what disclosure control let through."""
    own, _, borrowed = releasable()
    rows = _csv_rows(package["csv/benefits_by_month.csv"])[1:]
    for figure, row in zip(borrowed.figures, rows, strict=True):
        if figure.withheld is None:
            assert figure.value is not None
            assert [row[2], row[3]] == [str(figure.count), str(figure.denominator)]
            assert float(row[4].replace(",", ".")) == pytest.approx(100 * figure.value)
        else:
            assert set(row[2:7]) == {WITHHELD}
    assert any(figure.withheld for figure in borrowed.figures)
    assert not any(figure.withheld for figure in own.figures)


def test_a_withheld_number_is_nowhere(package: dict[str, bytes]) -> None:
    """Not in a sheet, a page, a figure, an alternative text or a part of the workbook, in full or rounded."""
    results = made_up()
    exact = withheld_texts(results[2], releasable()[2])
    assert exact
    for content in package.values():
        for within in _texts_within(content):
            assert not any(text in within for text in exact)
    own = releasable()[0]
    planted = replace(
        own,
        figures=tuple(
            replace(figure, withheld=Withheld.SMALL, value=SECRET_VALUE, low=SECRET_VALUE, high=SECRET_VALUE)
            if figure.group is not Group.OWN
            else figure
            for figure in own.figures
        ),
    )
    without = replace(
        planted,
        figures=tuple(
            figure if figure.withheld is None else replace(figure, value=None, low=None, high=None, denominator=None)
            for figure in planted.figures
        ),
    )
    for content in _made_of(without).values():
        assert not any("987" in within for within in _texts_within(content))


def test_withheld_missing_and_zero_never_look_alike() -> None:
    """Three signs for three meanings, and a fourth for what was released before."""
    cells = [
        Cell(None, Format.NUMBER, 1, Withheld.SMALL),
        Cell(None, Format.NUMBER, 1, Withheld.REPEATED),
        Cell(None, Format.NUMBER, 1),
        Cell(0.0, Format.NUMBER, 1),
        Cell(0, Format.COUNT),
    ]
    assert [cell.shown() for cell in cells] == [WITHHELD, REPEATED, MISSING, "0,0", "0"]
    assert Cell(-0.4, Format.CHANGE, 1).shown() == "−0,4"
    assert Cell(1.25, Format.CHANGE, 1).shown() in {"+1,2", "+1,3"}


def test_no_reader_can_tell_a_small_number_from_its_complement() -> None:
    """Knowing which of the two is small would bound it."""
    own, everyone, _ = releasable()
    hidden = {
        reason: replace(
            everyone,
            figures=tuple(
                replace(f, value=None, low=None, high=None, denominator=None, withheld=reason) for f in everyone.figures
            ),
        )
        for reason in (Withheld.SMALL, Withheld.COMPLEMENT)
    }
    small, complement = (_made_of(hidden[reason], name="") for reason in hidden)
    assert small == complement
    assert own.recipient == "alfa"


def test_a_table_without_numbers_is_still_a_page() -> None:
    """Every figure withheld or missing: no figure is drawn and the page says so."""
    own, _, borrowed = releasable()
    empty = [
        replace(
            table,
            figures=tuple(
                replace(f, value=None, low=None, high=None, count=None, denominator=None, withheld=Withheld.REPEATED)
                for f in table.figures
            ),
        )
        for table in (own, borrowed)
    ]
    made = _made_of(*empty)
    text = made["rapport.html"].decode()
    assert "<svg" not in text
    assert "Det er ingen tall å tegne" in text
    assert REPEATED in text


def test_the_page_has_no_script_no_link_out_and_no_markup_from_labels() -> None:
    """A strict content policy, nothing to fetch, and a label with markup stays text, in the figure too."""
    label = DEFINITION.tables[0].label.model_copy(update={"nb": "<script>alert(1)</script> & <b>"})
    tables = (DEFINITION.tables[0].model_copy(update={"label": label}), *DEFINITION.tables[1:])
    definition = DEFINITION.model_copy(update={"tables": tables})
    [made, *_] = result_files(releasable()[:1], definition, recipient_name="<i>Alfa</i>", code_version=CODE)
    page = made.content.decode()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "<i>" not in page
    assert "<b>" not in page
    outward = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)([^"')\s>]+)""", page)
    assert outward == []


def test_a_figure_is_named_and_described_and_followed_by_its_numbers(package: dict[str, bytes]) -> None:
    """Who cannot see the figure hears its name, and finds the same numbers in the table below; ids are unique."""
    page = package["rapport.html"].decode()
    assert page.count('role="img"') == 2
    for name in ("work_ability", "benefits_by_month"):
        assert f'<title id="figur-{name}-title">' in page
        assert f'aria-labelledby="figur-{name}-title figur-{name}-desc"' in page
        assert page.index(f"figur-{name}-desc") < page.index("</table>", page.index(f"figur-{name}-desc"))
    identifiers = re.findall(r'\sid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(identifiers)


def test_the_workbook_has_no_formula_link_macro_or_hidden_part(package: dict[str, bytes]) -> None:
    """Its parts are sheets, styles and texts; every cell is a number or a text."""
    with zipfile.ZipFile(io.BytesIO(package["resultater.xlsx"])) as archive:
        parts = archive.namelist()
    assert not [part for part in parts if re.search(r"vba|external|drawing|comment|custom|embed", part)]
    book = openpyxl.load_workbook(io.BytesIO(package["resultater.xlsx"]))
    for sheet in book.worksheets:
        assert sheet.sheet_state == "visible"
        assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"n", "s", "inlineStr"}


def test_the_workbook_can_be_printed(package: dict[str, bytes]) -> None:
    """Every sheet is one page across, and a heading that needs two lines has the height of two."""
    book = openpyxl.load_workbook(io.BytesIO(package["resultater.xlsx"]))
    for sheet in book.worksheets:
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToHeight) == ("landscape", 0)
    table = book["Selvvurdert arbeidsevne"]
    assert table["C3"].value == "Antall forløp (n)"
    assert table.row_dimensions[3].height >= 2 * 15


def test_a_label_that_looks_like_a_formula_stays_a_text() -> None:
    """A label may begin with an equals sign; no cell runs."""
    label = DEFINITION.tables[0].label.model_copy(update={"nb": "=1+1"})
    tables = (DEFINITION.tables[0].model_copy(update={"label": label}), *DEFINITION.tables[1:])
    definition = DEFINITION.model_copy(update={"tables": tables})
    made = result_files(releasable()[:1], definition, recipient_name="=cmd()", code_version=CODE)
    book = openpyxl.load_workbook(io.BytesIO({file.name: file.content for file in made}["resultater.xlsx"]))
    assert not [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


def test_the_national_page_names_no_institution() -> None:
    """Its title is national and it has only the group all."""
    page = _made_of(releasable()[1], name="")["rapport.html"].decode()
    assert "Nasjonale resultater" in page
    assert "Vår institusjon" not in page
    assert "Øvrige institusjoner" not in page


def test_each_page_names_state_definition_and_code(package: dict[str, bytes]) -> None:
    """The three from which the same bytes can be made again."""
    page = package["rapport.html"].decode()
    assert all(f"<td>{value}</td>" in page for value in ("7", "d" * 16, CODE))


def test_lines_come_by_measure_and_then_own_others_all() -> None:
    """Reading down a measure compares the groups."""
    sheet = lay_out(releasable()[0], DEFINITION)
    placed = [(line.figure.statistic, line.figure.time_point, line.figure.group) for line in sheet.lines]
    assert [group for *_, group in placed] == [Group.OWN, Group.OTHERS, Group.ALL] * 3
    assert [statistic for statistic, *_ in placed] == [Statistic.MEAN] * 6 + [Statistic.MEAN_CHANGE] * 3


def test_labels_lose_the_words_they_all_begin_with() -> None:
    """Never a whole label, and never of one alone."""
    assert short_labels(["Opplysninger ved ankomst", "Opplysninger ved 12 mnd"]) == ("Ankomst", "12 mnd")
    assert short_labels(["Opplysninger ved ankomst"]) == ("Opplysninger ved ankomst",)
    assert short_labels(["Ved start", "Ved"]) == ("Ved start", "Ved")
