"""A releasable table laid out once, with labels; page, workbook, CSV and figures all render this and nothing else."""

from enclave.model.table import ANY, NONE, Group, ReleasableTable, Statistic
from enclave.registry.definition import (
    ChangeTable,
    Definition,
    LoanShareTable,
    ResponseTable,
    ShareTable,
    TransitionTable,
)
from enclave.report.quality import quality_sheet
from enclave.report.shares import response_sheet, share_sheet, transition_sheet
from enclave.report.sheet import GROUP_ORDER, Cell, Format, Line, Sheet, percent, remark, time_points_of
from enclave.report.texts import text


def lay_out(table: ReleasableTable, definition: Definition) -> Sheet:
    """The sheet of one table, with the labels of the registry's definition."""
    declared = {declared.id: declared for declared in definition.tables}[table.table]
    match declared:
        case ChangeTable():
            return _change_sheet(table, declared, definition)
        case ShareTable():
            return share_sheet(table, declared, definition)
        case ResponseTable():
            return response_sheet(table, declared, definition)
        case LoanShareTable():
            return _borrowed_sheet(table, declared, definition)
        case TransitionTable():
            return transition_sheet(table, declared, definition)
        case _:
            return quality_sheet(table, declared, definition)


def _change_sheet(table: ReleasableTable, declared: ChangeTable, definition: Definition) -> Sheet:
    forms = [definition.form(form) for form in declared.forms]
    named = time_points_of(definition)
    time_points = {form.time_point: named[form.time_point] for form in forms}
    variable = {variable.name: variable for variable in forms[0].variables}[declared.variable]
    first = time_points[forms[0].time_point]
    ordered = sorted(
        table.figures,
        key=lambda figure: (
            figure.statistic is Statistic.MEAN_CHANGE,
            list(time_points).index(figure.time_point),
            GROUP_ORDER.index(figure.group),
        ),
    )
    lines = []
    for figure in ordered:
        written = Format.CHANGE if figure.statistic is Statistic.MEAN_CHANGE else Format.NUMBER
        measure = text("measure", figure.statistic, first=first, form=time_points[figure.time_point])
        cells = (
            Cell(measure, Format.TEXT),
            Cell(text("group", figure.group), Format.TEXT),
            Cell(figure.denominator, Format.COUNT, withheld=figure.withheld),
            *(
                Cell(number, written, declared.decimals, figure.withheld)
                for number in (figure.value, figure.low, figure.high)
            ),
        )
        lines.append(Line(figure, cells, remark(figure)))
    own = [text("notes", "own")] if any(figure.group is Group.OWN for figure in table.figures) else []
    scale = None if variable.minimum is None or variable.maximum is None else (variable.minimum, variable.maximum)
    return Sheet(
        table=table,
        kind=declared.kind,
        title=declared.label.nb,
        columns=tuple(text("column", key) for key in ("measure", "group", "n", "mean", "low", "high")),
        lines=tuple(lines),
        notes=(*own, text("notes", "below_mean"), text("notes", "change")),
        scale=scale,
        categories={declared.variable: variable.label.nb},
        time_points=time_points,
    )


def _borrowed_sheet(table: ReleasableTable, declared: LoanShareTable, definition: Definition) -> Sheet:
    loan = {loan.id: loan for loan in definition.loans}[declared.loan]
    categories = {variable.name: variable.label.nb for variable in loan.variables}
    categories |= {ANY: text("category", "any"), NONE: text("category", "none")}
    lines = [
        Line(
            figure,
            (
                Cell(categories[figure.category], Format.TEXT),
                Cell(int(figure.time_point), Format.COUNT),
                Cell(figure.count, Format.COUNT, withheld=figure.withheld),
                Cell(figure.denominator, Format.COUNT, withheld=figure.withheld),
                *(
                    Cell(percent(number), Format.PERCENT, 1, figure.withheld)
                    for number in (figure.value, figure.low, figure.high)
                ),
            ),
            remark(figure),
        )
        for figure in table.figures
    ]
    columns = ("benefit", "month", "receiving", "n", "share", "low", "high")
    return Sheet(
        table=table,
        kind=declared.kind,
        title=declared.label.nb,
        columns=tuple(text("column", key) for key in columns),
        lines=tuple(lines),
        notes=(text("notes", "borrowed"), text("notes", "not_delivered")),
        scale=None,
        categories=categories,
        time_points={figure.time_point: str(int(figure.time_point)) for figure in table.figures},
    )
