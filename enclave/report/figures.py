"""Figures as SVG text inside a page: the same bytes each time, readable by a screen reader, no script, no raw data."""

import io
import re
from collections.abc import Sequence
from html import escape

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from enclave.model.table import ANY, NONE, Group, ReleasableFigure, Statistic
from enclave.report.share_figures import (
    GROUP_COLOURS,
    draw_response,
    draw_shares,
    draw_transitions,
    groups_of,
    height,
)
from enclave.report.sheet import Sheet
from enclave.report.texts import text

COLOURS = ("#0b6e8f", "#b5541c", "#5b4a9c", "#2e7d32", "#8a1c4a")  # each at least 4.5 : 1 on white
MARKERS = ("o", "s", "^", "D", "v")
WIDTH = 7.2  # inches


def svg(sheet: Sheet) -> str:
    """The figure of a sheet as an `<svg>` element, or "" where every number is missing or withheld."""
    drawn = [line.figure for line in sheet.lines if line.figure.value is not None]
    if not drawn or not is_drawn(sheet):
        return ""
    name = f"figur-{sheet.table.table}"
    with rc_context():
        rcdefaults()  # whatever a matplotlibrc on this machine says must not show
        rcParams["svg.hashsalt"] = name
        rcParams["svg.fonttype"] = "none"
        rcParams["font.family"] = "DejaVu Sans"
        rcParams["figure.facecolor"] = rcParams["axes.facecolor"] = "none"
        rcParams["axes.spines.top"] = rcParams["axes.spines.right"] = False
        canvas = Canvas(figsize=(WIDTH, height(sheet)), layout="constrained")
        match sheet.kind:
            case "change":
                _draw_means(canvas, sheet, drawn)
            case "loan_share":
                _draw_months(canvas, sheet, drawn)
            case "share":
                draw_shares(canvas, sheet, drawn)
            case "response":
                draw_response(canvas, sheet, drawn)
            case _:
                draw_transitions(canvas, sheet, drawn)
        written = _written(canvas)
    return embedded(written, name, sheet.title, _description(sheet))


def is_drawn(sheet: Sheet) -> bool:
    """Whether such a table has a figure: those of data quality that are no shares of answers have none."""
    return not sheet.quality or sheet.kind == "share"


def _written(canvas: Canvas) -> str:
    """The drawn figure as an SVG file. Laid out and drawn once each: `savefig` would draw it a second time."""
    painter = FigureCanvasSVG(canvas)
    engine = canvas.get_layout_engine()
    if engine is not None:
        engine.execute(canvas)  # by the metrics of SVG
    canvas.set_layout_engine("none")
    written = io.BytesIO()
    painter.print_svg(written, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return written.getvalue().decode("utf-8")


def _draw_means(canvas: Canvas, sheet: Sheet, drawn: Sequence[ReleasableFigure]) -> None:
    axes = canvas.add_subplot()
    places = list(sheet.time_points)
    groups = groups_of(drawn)
    for index, group in enumerate(groups):
        shift = (index - (len(groups) - 1) / 2) * 0.12
        points = [
            (places.index(figure.time_point) + shift, figure.value, figure.low, figure.high)
            for figure in drawn
            if figure.group is group and figure.statistic is Statistic.MEAN and figure.value is not None
        ]
        across, values = [point[0] for point in points], [point[1] for point in points]
        lows = [value if low is None else low for _, value, low, _ in points]
        highs = [value if high is None else high for _, value, _, high in points]
        errors = [
            [value - low for value, low in zip(values, lows, strict=True)],
            [high - value for value, high in zip(values, highs, strict=True)],
        ]
        axes.errorbar(
            across,
            values,
            yerr=errors,
            marker=MARKERS[index],
            markersize=7,
            capsize=4,
            linewidth=1.6,
            linestyle="-" if group is not Group.OTHERS else "--",
            color=GROUP_COLOURS[group],
            label=text("group", group),
        )
    axes.set_xticks(range(len(places)), [sheet.time_points[place] for place in places])
    axes.set_xlim(-0.5, len(places) - 0.5)
    if sheet.scale is not None:
        axes.set_ylim(*sheet.scale)
    axes.set_ylabel(next(iter(sheet.categories.values())))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace(".", ","))
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    # Above the panel: an interval of few people can reach across all of it.
    canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=len(groups), frameon=False)


def _draw_months(canvas: Canvas, sheet: Sheet, drawn: Sequence[ReleasableFigure]) -> None:
    each, derived = canvas.subplots(1, 2, sharey=True)
    months = [int(month) for month in sheet.time_points]
    for axes, title, categories in (
        (each, text("figure", "share_each"), [name for name in sheet.categories if name not in {ANY, NONE}]),
        (derived, text("figure", "share_any"), [ANY, NONE]),
    ):
        for index, category in enumerate(categories):
            shares = {int(f.time_point): 100 * f.value for f in drawn if f.category == category and f.value is not None}
            if not shares:
                continue
            axes.plot(
                months,
                [shares.get(month, float("nan")) for month in months],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                linewidth=1.6,
                color=COLOURS[index % len(COLOURS)],
                label=sheet.categories[category],
            )
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xticks(months)
        axes.set_xlim(min(months) - 0.6, max(months) + 0.6)
        axes.set_xlabel(text("figure", "axis_month"))
        axes.set_ylim(0, 100)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8, loc="upper right")
    each.set_ylabel(text("figure", "axis_share"))


def _description(sheet: Sheet) -> str:
    what = text("figure", "change") + ". " if sheet.kind == "change" else ""
    return what + text("figure", "description")


def embedded(written: str, name: str, title: str, description: str) -> str:
    """The `<svg>` element alone, named for screen readers, with ids that no other figure of the page has."""
    element = written[written.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>\s*", "", element, flags=re.DOTALL)
    element = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f"{name}-", element)
    opening, rest = element.split(">", 1)
    labelled = f'{opening} role="img" aria-labelledby="{name}-title {name}-desc">'
    told = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return labelled + told + rest
