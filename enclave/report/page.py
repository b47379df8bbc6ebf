"""The results as one HTML page without script or network, for a screen, a printer and a screen reader."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from enclave.model.table import NONE, Group, ReleasableFigure, Statistic
from enclave.report.figures import is_drawn, svg
from enclave.report.grids import Grid, grid, share_cell
from enclave.report.sheet import Cell, Format, Sheet
from enclave.report.texts import text, texts


@dataclass(frozen=True)
class Card:
    """One number that a reader should see first."""

    number: str
    caption: str
    people: str
    group: Group


@dataclass(frozen=True)
class Section:
    """One table of the page: its figure (SVG, already escaped), its numbers and its notes."""

    id: str
    title: str
    figure: Markup
    grid: Grid
    notes: tuple[str, ...]
    is_drawn: bool
    """whether such a table has a figure where it has numbers"""


@dataclass(frozen=True)
class Link:
    """One page of a site, as every page of it lists them."""

    file: str
    label: str
    current: bool


def environment() -> Environment:
    """The templates: everything escaped, and a name that is not there an error."""
    return Environment(
        loader=PackageLoader("enclave.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page(
    sheets: Sequence[Sheet],
    *,
    registry: str,
    title: str,
    period: str,
    notes: Sequence[str],
    made: Sequence[Sequence[str]],
    unmeasured: Sequence[str] = (),
    links: Sequence[Link] = (),
) -> bytes:
    """The page as UTF-8; `made` is one row (table, state, definition, code version) for each table.

    `unmeasured` is what cannot be told of the quality of the data; `links` are the pages of the site that it is part
    of, if it is.
    """
    rendered = (
        environment()
        .get_template("page.html")
        .render(
            registry=registry,
            title=title,
            period=period,
            cards=[card for sheet in sheets for card in cards_of(sheet)],
            sections=[_section(sheet) for sheet in sheets if not sheet.quality],
            quality=[_section(sheet) for sheet in sheets if sheet.quality],
            notes=notes,
            made=made,
            unmeasured=unmeasured,
            links=links,
            texts=texts(),
        )
    )
    return rendered.encode("utf-8")


def _section(sheet: Sheet) -> Section:
    return Section(
        id=sheet.table.table,
        title=sheet.title,
        figure=Markup(svg(sheet)),  # noqa: S704 – our own SVG, whose texts matplotlib and `figures` escape
        grid=grid(sheet),
        notes=sheet.notes,
        is_drawn=is_drawn(sheet),
    )


def cards_of(sheet: Sheet) -> list[Card]:
    """What a leader looks for first at the last time point, for own and others (or all).

    None of transitions, nor of the quality of the data but for its coverage.
    """
    figures = [line.figure for line in sheet.lines]
    first, last = next(iter(sheet.time_points)), list(sheet.time_points)[-1]
    match sheet.kind:
        case "change":
            names = {"first": sheet.time_points[first], "form": sheet.time_points[last]}
            caption = text("card", "mean_change", label=next(iter(sheet.categories.values())), **names)
            changes = [f for f in figures if f.statistic is Statistic.MEAN_CHANGE and f.time_point == last]
            cells = {line.figure: line.cells[3] for line in sheet.lines}
            return [_card(figure, cells[figure].shown(), caption) for figure in _told(changes)]
        case "loan_share":
            category = NONE
            caption = text("card", "share", category=sheet.categories[NONE], month=sheet.time_points[last])
        case "coverage":
            category = next(iter(sheet.categories))
            caption = text("card", "coverage", year=sheet.time_points[last])
        case _ if sheet.quality:
            return []
        case "response":
            category = next(iter(sheet.categories))
            caption = text("card", "response", moment=sheet.time_points[last])
        case "share":
            category = NONE if NONE in sheet.categories else next(iter(sheet.categories))
            names = {"category": sheet.categories[category], "moment": sheet.time_points[last]}
            caption = text("card", "category", **names)
        case _:
            return []
    shares = [f for f in figures if f.statistic is Statistic.SHARE and (f.category, f.time_point) == (category, last)]
    return [
        _card(figure, share_cell(figure).shown() + (" %" if figure.value is not None else ""), caption)
        for figure in _told(shares)
    ]


def _told(figures: Sequence[ReleasableFigure]) -> Sequence[ReleasableFigure]:
    return [figure for figure in figures if figure.group is not Group.ALL] or figures


def _card(figure: ReleasableFigure, number: str, caption: str) -> Card:
    n = Cell(figure.denominator, Format.COUNT, withheld=figure.withheld).shown()
    return Card(number, caption, text("card", "people", group=text("group", figure.group), n=n), figure.group)
