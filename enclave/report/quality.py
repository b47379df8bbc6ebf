"""Tables of data quality, laid out: each line one thing that was looked at, for own, others and all, with its n."""

from enclave.model.table import COEFFICIENTS, ReleasableFigure, ReleasableTable, Statistic
from enclave.registry.definition import Definition
from enclave.registry.quality import (
    AGREE,
    REFUSED,
    REGISTERED,
    SCALE,
    WHOLE_FORM,
    AgreementTable,
    ConsistencyTable,
    CoverageTable,
    ImplausibleTable,
    MissingTable,
    QualityTable,
    RefusedTable,
)
from enclave.report.sheet import GROUP_ORDER, Cell, Format, Line, Sheet, percent, remark, time_points_of
from enclave.report.texts import text

COEFFICIENT_DECIMALS = 2
NOTES = {"missing": "unanswered"}
"""the note of a kind of table, where it is not called as the kind is"""


def quality_sheet(table: ReleasableTable, declared: QualityTable, definition: Definition) -> Sheet:
    """The sheet of one table, whatever its kind: what is looked at, when, for whom, of how many, and the share."""
    names, time_points = _names(declared, definition), time_points_of(definition)
    year = table.period[:4]
    if isinstance(declared, CoverageTable | RefusedTable):
        time_points = dict.fromkeys(time_points, year)
    order = list(dict.fromkeys((one.time_point, one.category, one.statistic) for one in table.figures))
    figures = sorted(
        table.figures,
        key=lambda one: (
            order.index((one.time_point, one.category, one.statistic)),
            GROUP_ORDER.index(one.group),
        ),
    )
    lines = [
        Line(
            figure,
            (
                Cell(_name(figure, names), Format.TEXT),
                Cell(time_points[figure.time_point], Format.TEXT),
                Cell(text("group", figure.group), Format.TEXT),
                _count(figure),
                Cell(figure.denominator, Format.COUNT, withheld=figure.withheld),
                *(number_cell(figure, number) for number in (figure.value, figure.low, figure.high)),
            ),
            remark(figure),
        )
        for figure in figures
    ]
    own = ["own"] if table.recipient else []
    columns = ("looked_at", "moment", "group", "count", "n_quality", f"value_{declared.kind}", "low", "high")
    return Sheet(
        table=table,
        kind=declared.kind,
        title=declared.label.nb,
        columns=tuple(text("column", key) for key in columns),
        lines=tuple(lines),
        notes=tuple(text("notes", key) for key in (*own, NOTES.get(declared.kind, declared.kind))),
        scale=None,
        categories=names,
        time_points={one.time_point: time_points[one.time_point] for one in figures},
        quality=True,
    )


def number_cell(figure: ReleasableFigure, number: float | None) -> Cell:
    """One number of a figure: a share in per cent, a coefficient as it is."""
    if figure.statistic in COEFFICIENTS:
        signed = Format.CHANGE if figure.statistic is Statistic.STANDARDISED_DIFFERENCE else Format.NUMBER
        return Cell(number, signed, COEFFICIENT_DECIMALS, figure.withheld)
    return Cell(percent(number), Format.PERCENT, 1, figure.withheld)


def _names(declared: QualityTable, definition: Definition) -> dict[str, str]:
    """What each category of the table is called."""
    match declared:
        case MissingTable():
            forms = [definition.form(form) for form in declared.forms]
            labels = {variable.name: variable.label.nb for form in forms for variable in form.variables}
            asked = {one.variable: labels[one.variable] for one in declared.variables}
            return {WHOLE_FORM: text("quality", "form"), **asked}
        case ImplausibleTable():
            forms = [definition.form(form) for form in declared.forms]
            return {check.id: check.label.nb for form in forms for check in form.checks}
        case AgreementTable():
            return {AGREE: text("quality", "agree")}
        case ConsistencyTable():
            return {SCALE: text("quality", "alpha")}
        case CoverageTable():
            return {REGISTERED: text("quality", "registered")}
        case RefusedTable():
            return {REFUSED: text("quality", "refused")}


def _name(figure: ReleasableFigure, names: dict[str, str]) -> str:
    return text("quality", "kappa") if figure.statistic is Statistic.KAPPA else names[figure.category]


def _count(figure: ReleasableFigure) -> Cell:
    """The numerator; a coefficient has none, and its place stays empty."""
    if figure.statistic in COEFFICIENTS:
        return Cell("", Format.TEXT)
    return Cell(figure.count, Format.COUNT, withheld=figure.withheld)


def unmeasured_of(definition: Definition) -> tuple[str, ...]:
    """What the definition says that cannot be measured, each with the aspect of quality that it belongs to."""
    return tuple(f"{text('quality', one.aspect)}: {one.reason.nb}" for one in definition.unmeasured)
