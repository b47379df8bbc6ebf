"""Tables of shares, of response rates and of transitions, laid out."""

from enclave.model.table import ANY, NONE, ReleasableFigure, ReleasableTable, Statistic, Withheld
from enclave.registry.definition import Definition, ResponseTable, ShareTable, TransitionTable
from enclave.report.quality import number_cell
from enclave.report.sheet import GROUP_ORDER, Cell, Format, Line, Sheet, percent, remark, time_points_of
from enclave.report.texts import text

ANSWERED = "answered"


def share_sheet(table: ReleasableTable, declared: ShareTable, definition: Definition) -> Sheet:
    """Category by category: each time point, then the change to each later one, for own, others and all."""
    categories = {category.id: category.label.nb for category in declared.categories}
    if declared.union:
        categories |= {ANY: text("category", "any"), NONE: text("category", "none")}
    time_points = _time_points(declared.forms, definition)
    first = next(iter(time_points.values()))
    lines = [
        Line(
            figure,
            (
                Cell(categories[figure.category], Format.TEXT),
                Cell(_moment(figure, first, time_points[figure.time_point]), Format.TEXT),
                Cell(_group(figure), Format.TEXT),
                _count(figure),
                *_numbers(figure),
            ),
            remark(figure),
        )
        for figure in sorted(
            table.figures,
            key=lambda figure: (
                list(categories).index(figure.category),
                figure.statistic is not Statistic.SHARE,
                list(time_points).index(figure.time_point),
                GROUP_ORDER.index(figure.group),
            ),
        )
    ]
    changes = any(figure.statistic is Statistic.SHARE_CHANGE for figure in table.figures)
    keys = [
        *_own(table),
        "below",
        *(["share_change"] if changes else []),
        *(["union"] if declared.union else []),
        *(["compared"] if declared.compared and table.recipient else []),
        *_partition(table, exclusive=declared.exclusive),
    ]
    compared = any(figure.statistic is Statistic.STANDARDISED_DIFFERENCE for figure in table.figures)
    share = "share_or_change" if changes else "share_or_difference" if compared else "share"
    return Sheet(
        table=table,
        kind=declared.kind,
        title=declared.label.nb,
        columns=_columns("category", "moment", "group", "count", "n", share, "low", "high"),
        lines=tuple(lines),
        notes=tuple(text("notes", key) for key in keys),
        scale=None,
        categories=categories,
        time_points=time_points,
        quality=declared.compared,
    )


def response_sheet(table: ReleasableTable, declared: ResponseTable, definition: Definition) -> Sheet:
    """Each follow-up, for own, others and all: how many fell due, and how many of them were answered."""
    time_points = _time_points(declared.forms, definition)
    lines = [
        Line(
            figure,
            (
                Cell(time_points[figure.time_point], Format.TEXT),
                Cell(text("group", figure.group), Format.TEXT),
                _count(figure),
                *_numbers(figure),
            ),
            remark(figure),
        )
        for figure in sorted(
            table.figures,
            key=lambda figure: (list(time_points).index(figure.time_point), GROUP_ORDER.index(figure.group)),
        )
    ]
    return Sheet(
        table=table,
        kind=declared.kind,
        title=declared.label.nb,
        columns=_columns("follow_up", "group", "answered", "due", "share", "low", "high"),
        lines=tuple(lines),
        notes=tuple(text("notes", key) for key in (*_own(table), "response")),
        scale=None,
        categories={ANSWERED: text("category", "answered")},
        time_points=time_points,
    )


def transition_sheet(table: ReleasableTable, declared: TransitionTable, definition: Definition) -> Sheet:
    """From each first answer to each later one, for own, others and all: the share of those who began there."""
    time_points = _time_points(declared.forms, definition)
    first = next(iter(time_points.values()))
    variable = next(
        variable for variable in definition.form(declared.forms[0]).variables if variable.name == declared.variable
    )
    codes = {code.value: code.label.nb for code in variable.codes if not code.not_answered}
    lines = [
        Line(
            figure,
            (
                Cell(text("moment", "change", first=first, later=time_points[figure.time_point]), Format.TEXT),
                Cell(codes[figure.origin], Format.TEXT),
                Cell(codes[figure.category], Format.TEXT),
                Cell(text("group", figure.group), Format.TEXT),
                _count(figure),
                *_numbers(figure),
            ),
            remark(figure),
        )
        for figure in sorted(
            table.figures,
            key=lambda figure: (
                list(time_points).index(figure.time_point),
                list(codes).index(figure.origin),
                GROUP_ORDER.index(figure.group),
                list(codes).index(figure.category),
            ),
        )
    ]
    return Sheet(
        table=table,
        kind=declared.kind,
        title=declared.label.nb,
        columns=_columns("moment", "from", "to", "group", "count", "n_from", "share", "low", "high"),
        lines=tuple(lines),
        notes=tuple(text("notes", key) for key in (*_own(table), "transition", *_partition(table, exclusive=True))),
        scale=None,
        categories=codes,
        time_points=time_points,
    )


def _time_points(forms: tuple[str, ...], definition: Definition) -> dict[str, str]:
    labels = time_points_of(definition)
    return {definition.form(form).time_point: labels[definition.form(form).time_point] for form in forms}


def _columns(*keys: str) -> tuple[str, ...]:
    return tuple(text("column", key) for key in keys)


def _own(table: ReleasableTable) -> list[str]:
    return ["own"] if table.recipient else []


def _partition(table: ReleasableTable, *, exclusive: bool) -> list[str]:
    withheld = any(figure.withheld not in (None, Withheld.REPEATED) for figure in table.figures)
    return ["partition"] if exclusive and withheld else []


def _moment(figure: ReleasableFigure, first: str, later: str) -> str:
    is_change = figure.statistic is Statistic.SHARE_CHANGE
    return text("moment", "change", first=first, later=later) if is_change else later


def _group(figure: ReleasableFigure) -> str:
    is_difference = figure.statistic is Statistic.STANDARDISED_DIFFERENCE
    return text("quality", "difference") if is_difference else text("group", figure.group)


def _count(figure: ReleasableFigure) -> Cell:
    """The numerator; a change or a difference has none, and its place stays empty."""
    if figure.statistic in (Statistic.SHARE_CHANGE, Statistic.STANDARDISED_DIFFERENCE):
        return Cell("", Format.TEXT)
    return Cell(figure.count, Format.COUNT, withheld=figure.withheld)


def _numbers(figure: ReleasableFigure) -> tuple[Cell, ...]:
    """n, the share or its change, and the interval, in per cent or percentage points; a difference as it is."""
    if figure.statistic is Statistic.STANDARDISED_DIFFERENCE:
        n = Cell(figure.denominator, Format.COUNT, withheld=figure.withheld)
        return n, *(number_cell(figure, number) for number in (figure.value, figure.low, figure.high))
    written = Format.CHANGE if figure.statistic is Statistic.SHARE_CHANGE else Format.PERCENT
    return (
        Cell(figure.denominator, Format.COUNT, withheld=figure.withheld),
        *(Cell(percent(number), written, 1, figure.withheld) for number in (figure.value, figure.low, figure.high)),
    )
