"""The national pages: the same bytes from the same tables, nothing that reaches out, and nothing that was withheld."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.disclosure.suppress import withheld_texts
from enclave.errors import Refused
from enclave.model.table import Withheld
from enclave.report.news import read_words
from enclave.report.site import Period, Project, site_files
from tests.analysis.kar import kar, made_up, tables_of
from tests.report.national import CODE, LOANS, WORDS, national, tables

ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "resultater-2023.html", "nyheter.html", "koblinger.html", "bli-med.html")
INSTITUTIONS = ("alfa", "beta", "gamma", "delta", "eps")
GOOD = 'about = ["A"]\njoin = ["B"]\n'
ENTRY = '[[news]]\ndate = 2026-01-05\ntitle = "T"\ntext = "U"\n'


class Attributes(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "xlink:href", "src", "action"}]
        self.ids |= {value or "" for name, value in attrs if name == "id"}


def digest() -> str:
    """One digest over every page."""
    return hashlib.sha256(b"".join(name.encode() + content for name, content in national().items())).hexdigest()


def test_the_site_has_its_pages_in_one_folder() -> None:
    """First page, a page for each year, news, linkages and how to join."""
    assert tuple(national()) == PAGES


def test_the_same_tables_give_the_same_bytes_in_another_process() -> None:
    """Neither time nor hash order nor folder changes a page."""
    command = [sys.executable, "-c", "from tests.report.test_site import digest; print(digest())"]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert said.stdout.strip() == digest()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_nothing_and_links_to_its_own_pages_only(name: str) -> None:
    """No script, no form, no address; every link leads to a page, or a place on one, of the same site."""
    content = national()[name]
    found = Attributes(content)

    assert not found.tags & {"script", "form", "iframe", "link", "img", "object", "base"}
    assert b"default-src 'none'" in content
    assert not re.search(rb"https?://(?!www\.w3\.org/)", content)
    for link in found.links:
        page, _, place = link.partition("#")
        assert not place or place in Attributes(national()[page or name]).ids, link
        assert page in {"", *PAGES}, link


def test_a_withheld_number_is_nowhere() -> None:
    """What disclosure control withheld from everyone stands on no page, and is shown as withheld."""
    made, shown = tables()
    withheld = [figure for table in shown for figure in table.figures if figure.withheld is not None]
    texts = frozenset().union(*(withheld_texts(*pair) for pair in zip(made, shown, strict=True)))
    written = b"".join(national().values()).decode()

    assert withheld
    assert texts
    assert not [text for text in texts if text in written]
    assert written.count(">·<") >= 1


def test_no_institution_is_named_in_results() -> None:
    """Neither an id nor `own` or `others` stands on the pages that hold numbers."""
    for name in ("index.html", "resultater-2023.html"):
        text = national()[name].decode().lower().replace("cronbachs alfa", "")
        assert not [one for one in INSTITUTIONS if re.search(rf"\b{one}\b", text)]
        assert "vår institusjon" not in text
        assert "øvrige institusjoner" not in text


def test_an_institutions_table_is_never_made_public() -> None:
    """A table with an own/others split, or for an institution's eyes, is a mistake of the program."""
    own = [each for each in tables_of(made_up(2, people=150)) if each.recipient == "alfa"]
    shown = suppress_together(own, kar(), "institution", policy_for(kar()))
    for wrong in (shown, tuple(replace(one, recipient="") for one in shown)):
        with pytest.raises(ValueError, match="not for everyone"):
            site_files([Period(wrong, kar())], kar(), words=WORDS, loans=(), code_version=CODE)


def test_the_first_page_shows_the_newest_year_that_has_a_number() -> None:
    """A later year of which everything is withheld does not hide an earlier one."""
    shown = tables()[1]
    hidden = tuple(
        replace(
            table,
            period="2024-01-01/2024-12-31",
            figures=tuple(
                replace(one, value=None, low=None, high=None, count=None, denominator=None, withheld=Withheld.SMALL)
                for one in table.figures
            ),
        )
        for table in shown
    )
    periods = [Period(shown, kar()), Period(hidden, kar())]
    made = {file.name: file.content for file in site_files(periods, kar(), words=WORDS, loans=(), code_version=CODE)}

    assert list(made)[1:3] == ["resultater-2024.html", "resultater-2023.html"]
    assert b"resultater-2023.html#tabell-" in made["index.html"]
    assert b"resultater-2024.html#tabell-" not in made["index.html"]


def test_projects_are_told_with_purpose_and_end() -> None:
    """Ongoing ones first, each with whom it is lent to, why and until when; a title cannot write the page."""
    due = date(2027, 6, 1)
    projects = (
        Project("Avsluttet", "Før", "Universitetet", "REK 1", date(2025, 1, 2), due, date(2026, 1, 9)),
        Project("<b>Arbeid</b>", "Hvem?", "Universitetet", "REK 2", date(2026, 2, 3), due, None),
    )
    periods = [Period(tables()[1], kar())]
    made = site_files(periods, kar(), words=WORDS, loans=(), projects=projects, code_version=CODE)
    page = next(file.content for file in made if file.name == "koblinger.html").decode()

    assert "&lt;b&gt;Arbeid&lt;/b&gt;" in page
    assert page.index("Hvem?") < page.index("Før")
    assert "Pågår" in page
    assert "Avsluttet, slettet 9. januar 2026" in page
    assert "Universitetet" in page
    assert "1. juni 2027" in page
    assert "Ingen opplysninger er lånt ut ennå." in national()["koblinger.html"].decode()


def test_loans_are_told_without_counts() -> None:
    """Each loan with its lender, variables, day and destruction; news stand newest first."""
    loans, news = national()["koblinger.html"].decode(), national()["nyheter.html"].decode()
    for one in LOANS:
        assert one.loan_id in loans
    assert "2. mai 2025" in loans
    assert "Ikke slettet ennå" in loans
    assert news.index("Årsmøte") < news.index("Åpent &amp; nytt")


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("about = [", "not TOML"),
        ('join = ["B"]', "about"),
        ("about = []\njoin = ['B']", "about"),
        (GOOD + "person = 1", "?"),
        (GOOD + ENTRY.replace("2026-01-05", '"2026-13-05"'), "news.0.date"),
        (GOOD + ENTRY.replace("2026", "1926"), "news.0.date"),
        (GOOD + ENTRY.replace('"T"', '""'), "news.0.title"),
        (GOOD + ENTRY.replace('"U"', '"<script>"'), "news.0.text"),
        (GOOD + ENTRY.replace('"U"', '"a\\u202eb"'), "news.0.text"),
        (GOOD + ENTRY + "picture = 'x'", "news.0.?"),
        (GOOD + ENTRY + ENTRY, "news"),
    ],
)
def test_words_that_are_not_as_they_must_be_are_refused(written: str, place: str) -> None:
    """The key of the mistake is named, and never what was written there."""
    with pytest.raises(Refused, match="R_NEWS") as refused:
        read_words(written.encode())

    assert str(refused.value.place) == place


def test_bytes_that_are_no_text_are_refused() -> None:
    """The words are UTF-8."""
    with pytest.raises(Refused, match="R_NEWS"):
        read_words(b"\xff")


def test_the_words_of_kar_can_be_read() -> None:
    """The file that the repository brings is as it must be."""
    assert read_words((ROOT / "config" / "registries" / "kar" / "news.toml").read_bytes()).join


def test_a_browser_shows_every_page_without_a_complaint(tmp_path: Path) -> None:
    """Chromium opens each page offline: no console message, no request but for the page itself, nothing cut off."""
    for name, content in national().items():
        (tmp_path / name).write_bytes(content)
    complaints: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1100, "height": 900})
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("request", lambda request: asked.append(request.url))
        for name in PAGES:
            opened.goto((tmp_path / name).as_uri())
            assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()

    assert complaints == []
    assert asked == [(tmp_path / name).as_uri() for name in PAGES]
