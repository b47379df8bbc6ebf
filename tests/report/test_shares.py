"""Shares, transitions and response rates read alike in page, workbook and CSV, and withheld ones are nowhere."""

import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import sync_playwright

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.disclosure.suppress import withheld_texts
from enclave.model.draft import Draft, Kind
from enclave.model.table import Group, ReleasableTable, ResultTable, Statistic, Withheld
from enclave.release.gate import admit
from enclave.report.grids import grid
from enclave.report.results import result_files
from enclave.report.sheet import MISSING, WITHHELD, time_points_of
from enclave.report.site import Period, site_files
from enclave.report.view import lay_out
from tests.analysis.kar import kar, made_up, tables_of
from tests.report.national import WORDS

ROOT = Path(__file__).parents[2]
INSTITUTIONS = ("alfa", "beta", "delta", "eps", "gamma")


@cache
def tables(recipient: str, people: int = 150) -> tuple[tuple[ResultTable, ...], tuple[ReleasableTable, ...]]:
    """The tables of one recipient before and after disclosure control; of few people, so that some are withheld."""
    made = tuple(each for each in tables_of(made_up(2, people=people)) if each.recipient == recipient)
    audience = "institution" if recipient else "public"
    return made, suppress_together(made, kar(), audience, policy_for(kar()))


def files(recipient: str = "alfa") -> dict[str, bytes]:
    """The files of one package."""
    name = "Alfa rehabiliteringssenter" if recipient else ""
    made = result_files(tables(recipient)[1], kar(), recipient_name=name, code_version="0.1.0")
    return {file.name: file.content for file in made}


def digests() -> str:
    """A digest for each file of both packages, as text."""
    both = {f"{who}/{name}": content for who in ("alfa", "") for name, content in files(who).items()}
    return str({name: hashlib.sha256(content).hexdigest() for name, content in both.items()})


def test_the_same_tables_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Neither hash seed, locale nor working directory shows in any file of any kind of table."""
    other = subprocess.run(
        [sys.executable, "-c", "from tests.report.test_shares import digests; print(digests())"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "5", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digests()


def test_the_gate_admits_the_package_and_finds_no_withheld_number() -> None:
    """Every file has an admitted name and form, and none holds the text of a number that was withheld."""
    for recipient in ("alfa", ""):
        made, shown = tables(recipient)
        withheld = frozenset().union(*(withheld_texts(*pair) for pair in zip(made, shown, strict=True)))
        assert withheld
        name = "Alfa" if recipient else ""
        draft = Draft(
            Kind.RELEASABLE_TABLE,
            "kar",
            recipient,
            7,
            "d" * 64,
            result_files(shown, kar(), recipient_name=name, code_version="0.1.0"),
            tuple((table.table, table.period) for table in shown),
        )
        if not recipient:
            files = site_files([Period(tuple(shown), kar())], kar(), words=WORDS, loans=(), code_version="0.1.0")
            draft = replace(draft, files=files)
        assert admit(draft, recipient=recipient, institutions=INSTITUTIONS, withheld_texts=withheld) is draft


@pytest.mark.parametrize(
    "table", ["work_participation", "benefits", "sick_leave_transitions", "completion", "response"]
)
def test_the_csv_file_has_a_line_for_each_figure_as_it_was_let_through(table: str) -> None:
    """Count, n, share in per cent and interval, or the sign and the reason why they are not there."""
    shown = next(each for each in tables("alfa")[1] if each.table == table)
    rows = list(csv.reader(io.StringIO(files()[f"csv/{table}.csv"].decode("utf-8-sig")), delimiter=";"))
    sheet = lay_out(shown, kar())
    assert rows[0][:-1] == list(sheet.columns)
    assert len(rows) - 1 == len(sheet.lines) == len(shown.figures)
    for line, row in zip(sheet.lines, rows[1:], strict=True):
        figure = line.figure
        count, n, value, low, high, remark = row[-6:]
        if figure.withheld is not None:
            assert {n, value, low, high} == {WITHHELD}
            assert remark
            continue
        assert n == str(figure.denominator)
        assert count == ("" if figure.statistic is Statistic.SHARE_CHANGE else str(figure.count))
        for written, number in ((value, figure.value), (low, figure.low), (high, figure.high)):
            if number is None:
                assert written == MISSING
            else:
                assert float(written.replace(",", ".")) == pytest.approx(100 * number, abs=0.0501)


def test_page_and_workbook_say_what_the_csv_file_says() -> None:
    """Each number of each page's grid stands in the workbook's sheet; no cell of it is a formula."""
    package = files()
    book = openpyxl.load_workbook(io.BytesIO(package["resultater.xlsx"]))
    page = package["rapport.html"].decode()
    for shown in tables("alfa")[1]:
        sheet = lay_out(shown, kar())
        cells = list(book[sheet.title[:31].strip()].iter_rows(min_row=4, max_row=3 + len(sheet.lines)))
        for line, row in zip(sheet.lines, cells, strict=True):
            expected = [cell.shown() if cell.withheld or cell.value is None else cell.value for cell in line.cells]
            assert [cell.value or "" for cell in row[: len(expected)]] == [value or "" for value in expected]
        for cells_of_row in grid(sheet).rows:
            assert all(cell[0].replace("&", "&amp;") in page for cell in cells_of_row)


def test_every_figure_of_a_table_has_its_place_in_the_grid_of_the_page() -> None:
    """A share table tells each category, group and time point; a transition each pair of answers."""
    by_table = {table.table: grid(lay_out(table, kar())) for table in tables("alfa")[1]}
    assert len(by_table["benefits"].rows) == 7 * 3
    assert len(by_table["benefits"].header) == 2 + 4 + 1
    assert len(by_table["sick_leave_transitions"].rows) == 2 * 3 * 3
    assert len(by_table["response"].rows) == 2 * 3
    assert by_table["benefits"].header[-1] == "Ankomst → 12 måneder"


def test_a_bar_with_an_unknown_part_is_not_drawn() -> None:
    """What is left of a bar would be the sum of what was withheld; a withheld share is a gap in its line."""
    shown = next(each for each in tables("alfa")[1] if each.table == "sick_leave_transitions")
    at_12 = [f for f in shown.figures if f.time_point == "follow_up_12"]
    hidden = {(f.group, f.origin) for f in at_12 if f.withheld}
    assert hidden
    page = files()["rapport.html"].decode()
    start = page.index('id="tabell-sick_leave_transitions"')
    drawing = page[start : page.index("</svg>", start)]
    drawn = {(group, origin) for group in (Group.OWN, Group.OTHERS) for origin in ("none", "partial", "full")} - hidden
    assert drawing.count(">·<") == 6 - len(drawn)
    for figure in at_12:
        if figure.group is Group.OTHERS and (figure.group, figure.origin) in hidden and figure.value is not None:
            assert f"{100 * figure.value:.1f}" not in drawing


def test_the_first_page_tells_each_measure_once_for_own_and_others() -> None:
    """Cards for every kind but transitions, own before others."""
    page = files()["rapport.html"].decode()
    cards = re.findall(r'<li class="(own|others|all)"><strong>([^<]+)</strong><span>([^<]+)</span>', page)
    assert [group for group, *_ in cards] == ["own", "others"] * 7
    assert "Uten sykepenger, AAP og uføretrygd: 12 måneder" in page
    assert "Besvarte skjemaer: 12 måneder" in page


def test_the_national_page_has_only_everyone() -> None:
    """Its cards, grids and figures have the group all and no own."""
    page = files("")["rapport.html"].decode()
    assert "Vår institusjon" not in page
    assert "Øvrige institusjoner" not in page
    assert page.count("<svg") >= 5


def test_a_table_withheld_whole_has_no_figure() -> None:
    """A repeated table of any kind is a page without a number or a drawing of it."""
    hidden = [
        replace(
            table,
            figures=tuple(
                replace(f, value=None, low=None, high=None, count=None, denominator=None, withheld=Withheld.REPEATED)
                for f in table.figures
            ),
        )
        for table in tables("alfa")[1]
    ]
    made = result_files(hidden, kar(), recipient_name="Alfa", code_version="0.1.0")
    assert b"<svg" not in made[0].content


def test_the_workbook_has_a_visible_sheet_for_each_table() -> None:
    """Every part is well formed; no sheet is hidden, and their names fit and differ."""
    content = files()["resultater.xlsx"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert len(book.sheetnames) == len({name.lower() for name in book.sheetnames}) == 1 + len(tables("alfa")[1])
    assert all(sheet.sheet_state == "visible" for sheet in book.worksheets)


def test_time_points_have_short_names() -> None:
    """Without the words that all begin with, a preposition, and the word for follow-up."""
    assert list(time_points_of(kar()).values()) == ["Ankomst", "Avslutning", "6 måneder", "12 måneder"]


def test_the_page_opens_in_a_browser_without_noise(tmp_path: Path) -> None:
    """Nothing on the console, no request, no table wider than the page, and every figure has a size."""
    (tmp_path / "rapport.html").write_bytes(files()["rapport.html"])
    noise: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1400})
        page.on("console", lambda message: noise.append(message.text))
        page.on("request", lambda request: noise.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / "rapport.html").as_uri())
        sizes = page.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().height)")
        wide = page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        )
        browser.close()
    assert noise == []
    assert len(sizes) == 10
    assert min(sizes) > 90
    assert wide == 0
