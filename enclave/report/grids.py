"""How the tables of a page are laid out: the same cells as in the workbook, placed for reading."""

from collections.abc import Mapping
from dataclasses import dataclass

from enclave.model.table import ANY, COEFFICIENTS, Group, ReleasableFigure, Statistic
from enclave.report.quality import number_cell
from enclave.report.sheet import GROUP_ORDER, Cell, Format, Line, Sheet, percent
from enclave.report.texts import text

Place = tuple[str, str, Group, Statistic, str]


@dataclass(frozen=True)
class Grid:
    """A data table of the page: header, and rows whose first cells are headings.

    A cell is one line or more: the number, and what stands behind it.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]
    headings: int
    """how many leading cells of a row are headings"""
    together: int = 1
    """how many rows in succession share all their headings but the last"""


def grid(sheet: Sheet) -> Grid:
    """The data table of a sheet."""
    match sheet.kind:
        case "change":
            return _means(sheet)
        case "loan_share":
            return _months(sheet)
        case "share":
            return _shares(sheet)
        case "transition":
            return _transitions(sheet)
    if sheet.quality:
        return _looked_at(sheet)
    return Grid(sheet.columns, tuple(tuple((cell.shown(),) for cell in line.cells) for line in sheet.lines), headings=2)


def _means(sheet: Sheet) -> Grid:
    """Mean and change, each for every group, down; the time points across. The first has no change from itself."""
    lines = {(one.figure.statistic, one.figure.group, one.figure.time_point): one for one in sheet.lines}
    groups = [group for group in GROUP_ORDER if any(group is of for _, of, _ in lines)]
    first = next(iter(sheet.time_points.values()))
    measures = {
        Statistic.MEAN: text("column", "mean"),
        Statistic.MEAN_CHANGE: text("measure", "change_from", first=first.lower()),
    }
    rows = [
        (
            (name,),
            (text("group", group),),
            *(_with_limits(lines.get((statistic, group, moment))) for moment in sheet.time_points),
        )
        for statistic, name in measures.items()
        for group in groups
    ]
    header = (text("column", "measure"), text("column", "group"), *sheet.time_points.values())
    return Grid(header, tuple(rows), headings=2, together=len(groups))


def _with_limits(line: Line | None) -> tuple[str, ...]:
    """A mean or its change; below it its interval, where it has one, and n."""
    if line is None:
        return ("",)
    number, low, high = line.cells[3:6]
    if line.figure.withheld is not None:
        return (number.shown(),)
    n = text("grid", "people", n=line.figure.denominator or 0)
    if line.figure.low is None:
        return (number.shown(), n)
    key = "interval_change" if line.figure.statistic is Statistic.MEAN_CHANGE else "interval_share"
    return (number.shown(), text("grid", key, low=low.shown(), high=high.shown()), n)


def share_cell(figure: ReleasableFigure) -> Cell:
    """A share in per cent, or its change in percentage points."""
    written = Format.CHANGE if figure.statistic is Statistic.SHARE_CHANGE else Format.PERCENT
    return Cell(percent(figure.value), written, 1, figure.withheld)


def _months(sheet: Sheet) -> Grid:
    """Months down, categories across: the share of each, with n of the month's "at least one"."""
    by_place = {(line.figure.category, line.figure.time_point): line.figure for line in sheet.lines}
    rows = []
    for month, label in sheet.time_points.items():
        figures = [by_place[category, month] for category in sheet.categories]
        people = by_place[ANY, month]
        n = Cell(people.denominator, Format.COUNT, withheld=people.withheld)
        rows.append(((label,), *((share_cell(figure).shown(),) for figure in figures), (n.shown(),)))
    header = (text("column", "month"), *(f"{name} (%)" for name in sheet.categories.values()), text("column", "n"))
    return Grid(header, tuple(rows), headings=1)


def _shares(sheet: Sheet) -> Grid:
    """Categories and groups down; across, each time point and the change to the last one."""
    figures = {_place(line.figure): line.figure for line in sheet.lines}
    last = list(sheet.time_points)[-1]
    across = [(Statistic.SHARE, moment) for moment in sheet.time_points]
    header = [text("column", "category"), text("column", "group"), *sheet.time_points.values()]
    if any(figure.statistic is Statistic.SHARE_CHANGE for figure in figures.values()):
        across.append((Statistic.SHARE_CHANGE, last))
        first = next(iter(sheet.time_points.values()))
        header.append(text("moment", "change", first=first, later=sheet.time_points[last]))
    differs = any(figure.statistic is Statistic.STANDARDISED_DIFFERENCE for figure in figures.values())
    if differs:
        header.append(text("quality", "difference"))
    rows = [
        (
            (name,),
            (text("group", group),),
            *(_with_interval(figures[category, moment, group, statistic, ""]) for statistic, moment in across),
            *([_difference(figures, category, last, group)] if differs else []),
        )
        for category, name in sheet.categories.items()
        for group in _groups(figures)
    ]
    return Grid(tuple(header), tuple(rows), headings=2, together=len(_groups(figures)))


def _difference(figures: Mapping[Place, ReleasableFigure], category: str, moment: str, group: Group) -> tuple[str, ...]:
    """The standardised difference of own from others, in the line of own; nothing in the other lines."""
    if group is not Group.OWN:
        return ("",)
    figure = figures[category, moment, Group.OTHERS, Statistic.STANDARDISED_DIFFERENCE, ""]
    return (number_cell(figure, figure.value).shown(),)


def _looked_at(sheet: Sheet) -> Grid:
    """What is looked at and when down, the groups across: the number, its interval, and how many of how many."""
    figures = {_place(line.figure): line.figure for line in sheet.lines}
    groups = _groups(figures)
    labels = {
        (line.figure.category, line.figure.time_point, line.figure.statistic): line.cells[:2] for line in sheet.lines
    }
    rows = [
        (
            *((cell.shown(),) for cell in cells),
            *(_with_parts(figures[category, moment, group, statistic, ""]) for group in groups),
        )
        for (category, moment, statistic), cells in labels.items()
    ]
    header = (*sheet.columns[:2], *(text("group", group) for group in groups))
    return Grid(header, tuple(rows), headings=2)


def _with_parts(figure: ReleasableFigure) -> tuple[str, ...]:
    """The number; below it its interval, and the numerator and n, or n alone."""
    shown = number_cell(figure, figure.value).shown()
    if figure.withheld is not None:
        return (shown,)
    n = figure.denominator or 0
    people = text("grid", "people", n=n) if figure.count is None else text("grid", "of", count=figure.count, n=n)
    if figure.value is None:
        return (shown, people)
    low, high = (number_cell(figure, number).shown() for number in (figure.low, figure.high))
    if figure.statistic in COEFFICIENTS:
        return (shown, text("grid", "interval_change", low=low, high=high), people)
    return (text("grid", "share", number=shown), text("grid", "interval_share", low=low, high=high), people)


def _transitions(sheet: Sheet) -> Grid:
    """The first answer and the group down, the later answer across."""
    figures = {_place(line.figure): line.figure for line in sheet.lines}
    moments = list(sheet.time_points)
    rows = [
        (
            (text("moment", "change", first=sheet.time_points[moments[0]], later=sheet.time_points[moment]),),
            (name,),
            (text("group", group),),
            *(_with_count(figures[to, moment, group, Statistic.TRANSITION, origin]) for to in sheet.categories),
        )
        for moment in moments[1:]
        for origin, name in sheet.categories.items()
        for group in _groups(figures)
    ]
    keys = ("moment", "from", "group")
    header = (*(text("column", key) for key in keys), *(f"{name} (%)" for name in sheet.categories.values()))
    return Grid(header, tuple(rows), headings=3, together=len(_groups(figures)))


def _place(figure: ReleasableFigure) -> Place:
    return figure.category, figure.time_point, figure.group, figure.statistic, figure.origin


def _groups(figures: Mapping[Place, ReleasableFigure]) -> list[Group]:
    present = {figure.group for figure in figures.values()}
    return [group for group in GROUP_ORDER if group in present]


def _with_interval(figure: ReleasableFigure) -> tuple[str, ...]:
    """The number; below it its interval and n. A number that is not there has nothing below but its n."""
    cell = share_cell(figure)
    if figure.withheld is not None:
        return (cell.shown(),)
    if figure.value is None:
        return (cell.shown(), text("grid", "people", n=figure.denominator or 0))
    low, high = (Cell(percent(number), cell.format, 1).shown() for number in (figure.low, figure.high))
    key = "change" if figure.statistic is Statistic.SHARE_CHANGE else "share"
    return (
        text("grid", key, number=cell.shown()),
        text("grid", f"interval_{key}", low=low, high=high),
        text("grid", "people", n=figure.denominator or 0),
    )


def _with_count(figure: ReleasableFigure) -> tuple[str, ...]:
    if figure.withheld is not None:
        return (share_cell(figure).shown(),)
    of = text("grid", "of", count=figure.count or 0, n=figure.denominator or 0)
    return (share_cell(figure).shown(), of)
