"""The national pages: one folder of static pages for everyone, without script, network or a clinic's own numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from babel.dates import format_date

from enclave.model.draft import DraftFile
from enclave.model.table import ReleasableTable
from enclave.registry.definition import Definition
from enclave.report.news import Words
from enclave.report.page import Card, Link, cards_of, environment, page
from enclave.report.results import made_of, notes_of, unmeasured_in
from enclave.report.sheet import REPEATED, WITHHELD, Sheet
from enclave.report.texts import LANGUAGE, period_words, text, texts
from enclave.report.view import lay_out

CARDS = 2  # of one table on the first page
INDEX = "index.html"


@dataclass(frozen=True)
class Period:
    """The national tables of one calendar year of arrivals, and the definition that they were made by."""

    tables: tuple[ReleasableTable, ...]
    definition: Definition

    @property
    def year(self) -> str:
        """The year, as it is called."""
        return self.tables[0].period[:4]

    @property
    def file(self) -> str:
        """The name of its page."""
        return f"resultater-{self.year}.html"


@dataclass(frozen=True)
class Borrowed:
    """What everyone may know of a loan: no count, and nothing about a person.

    `linked_percent` is how many per cent of the registry's people it met; None where that is not shown.
    """

    loan_id: str
    lender: str
    variables: tuple[str, ...]
    due: date
    destroyed: date | None
    linked_percent: int | None = None


@dataclass(frozen=True)
class Project:
    """What everyone may know of a project that data are lent to: no count, and nothing about a person."""

    project: str
    purpose: str
    recipient: str
    legal_basis: str
    lent: date
    due: date
    closed: date | None


@dataclass(frozen=True)
class Newest:
    """The newest numbers of one table, and where the rest of it stands."""

    title: str
    year: str
    cards: tuple[Card, ...]
    link: str


def site_files(
    periods: Sequence[Period],
    definition: Definition,
    *,
    words: Words,
    loans: Sequence[Borrowed],
    projects: Sequence[Project] = (),
    code_version: str,
) -> tuple[DraftFile, ...]:
    """Every page of the site; the same arguments give the same bytes. ValueError for a table that is not for everyone.

    `periods` are the years of which anything may be shown.
    """
    for table in (table for period in periods for table in period.tables):
        if table.recipient or not (table.borrowed or table.audience == "public"):
            raise ValueError("a table of the national pages is not for everyone")
    newest_first = sorted(periods, key=lambda period: period.year, reverse=True)
    laid_out = [(one, [lay_out(table, one.definition) for table in one.tables]) for one in newest_first]
    return (
        _words_page(INDEX, definition, newest_first, words=words, newest=_newest(laid_out)),
        *(_results(one, sheets, newest_first, code_version) for one, sheets in laid_out),
        _words_page("nyheter.html", definition, newest_first, words=words),
        _words_page("koblinger.html", definition, newest_first, loans=_told(loans), projects=_lent(projects)),
        _words_page("bli-med.html", definition, newest_first, words=words),
    )


def _links(current: str, periods: Sequence[Period]) -> tuple[Link, ...]:
    files = [
        (INDEX, text("site", "index")),
        *((one.file, text("site", "results", year=one.year)) for one in periods),
        *((f"{key}.html", text("site", key)) for key in ("nyheter", "koblinger", "bli-med")),
    ]
    return tuple(Link(file, label, file == current) for file, label in files)


def _results(period: Period, sheets: Sequence[Sheet], periods: Sequence[Period], code_version: str) -> DraftFile:
    rendered = page(
        sheets,
        registry=period.definition.name.nb,
        title=text("site", "results", year=period.year),
        period=period_words(period.tables[0].period),
        notes=(text("site", "everyone"), *notes_of(sheets, period.definition)),
        made=made_of(sheets, code_version),
        unmeasured=unmeasured_in(sheets, period.definition),
        links=_links(period.file, periods),
    )
    return DraftFile(period.file, rendered)


def _words_page(file: str, definition: Definition, periods: Sequence[Period], **content: object) -> DraftFile:
    links = _links(file, periods)
    (label,) = (link.label for link in links if link.current)
    title = definition.name.nb if file == INDEX else label
    above = text("site", "above") if file == INDEX else definition.name.nb
    rendered = (
        environment()
        .get_template("site.html")
        .render(
            page=file.removesuffix(".html"),
            title=title,
            above=above,
            links=links,
            texts=texts(),
            proposed=text("made", "proposed") if definition.proposed else "",
            day=_day,
            **content,
        )
    )
    return DraftFile(file, rendered.encode("utf-8"))


def _newest(laid_out: Sequence[tuple[Period, list[Sheet]]]) -> list[Newest]:
    """Of each table the newest year in which any of its numbers is shown, in the definition's order."""
    found: dict[str, Newest] = {}
    for period, sheets in laid_out:
        for sheet in sheets:
            shown = any(line.figure.withheld is None for line in sheet.lines)
            if shown and sheet.table.table not in found:
                cards = [card for card in cards_of(sheet) if card.number not in (WITHHELD, REPEATED)]
                if sheet.quality and not cards:
                    continue  # the front page is about the participants; the year's page tells of the data too
                link = f"{period.file}#tabell-{sheet.table.table}"
                found[sheet.table.table] = Newest(sheet.title, period.year, tuple(cards[:CARDS]), link)
    return list(found.values())


def _told(loans: Sequence[Borrowed]) -> list[list[str]]:
    return [
        [
            one.loan_id,
            one.lender,
            ", ".join(one.variables),
            text("site", "not_shown") if one.linked_percent is None else f"{one.linked_percent} %",
            _day(one.due),
            _day(one.destroyed) if one.destroyed else text("site", "not_destroyed"),
        ]
        for one in sorted(loans, key=lambda one: (one.due, one.loan_id), reverse=True)
    ]


def _lent(projects: Sequence[Project]) -> list[list[str]]:
    """Ongoing projects first, then those that have ended."""
    return [
        [
            one.project,
            one.purpose,
            one.recipient,
            one.legal_basis,
            _day(one.lent),
            _day(one.due),
            text("site", "ended", day=_day(one.closed)) if one.closed else text("site", "ongoing"),
        ]
        for one in sorted(projects, key=lambda one: (one.closed is not None, one.lent, one.project))
    ]


def _day(day: date) -> str:
    return format_date(day, "d. MMMM y", locale=LANGUAGE)
