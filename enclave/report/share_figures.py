"""How shares, response rates and transitions are drawn."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from enclave.model.table import Group, ReleasableFigure, Statistic
from enclave.report.sheet import Sheet
from enclave.report.texts import text

Drawn = Sequence[ReleasableFigure]

GROUP_COLOURS = {Group.OWN: "#0b6e8f", Group.OTHERS: "#6b6b6b", Group.ALL: "#0b6e8f"}
GROUP_MARKERS = {Group.OWN: "o", Group.OTHERS: "s", Group.ALL: "o"}
STEPS = ("#0b6e8f", "#6fb3c7", "#f0b27a", "#b5541c", "#5b4a9c", "#8a8a8a")
ON_STEPS = ("#ffffff", "#000000", "#000000", "#ffffff", "#ffffff", "#000000")
PANELS_ACROSS = 4
GROUP_ROOM = 0.12
BAR = 0.72
LEAST_LABELLED = 9  # per cent of a bar that a number fits in


def groups_of(drawn: Drawn) -> list[Group]:
    """The groups to draw: own and others where there are both; a third line between the two would only hide them."""
    present = [group for group in (Group.OWN, Group.OTHERS, Group.ALL) if any(f.group is group for f in drawn)]
    return [Group.OWN, Group.OTHERS] if {Group.OWN, Group.OTHERS} <= set(present) else present


def height(sheet: Sheet) -> float:
    """Inches that the figure of a sheet needs."""
    match sheet.kind:
        case "share" if len(sheet.time_points) > 1:
            return 3.2 if len(sheet.categories) == 1 else 0.7 + 2.0 * -(-len(sheet.categories) // PANELS_ACROSS)
        case "share":
            return 1.1 + 0.45 * len(sheet.categories)
        case "response":
            return 1.1 + 0.45 * len(sheet.time_points)
        case "transition":
            return 1.2 + 0.5 * len(sheet.categories)
    return 3.4


def draw_shares(canvas: Canvas, sheet: Sheet, drawn: Drawn) -> None:
    """Over time: one panel for each category. At one time point: one line of dots for each category."""
    shares = [figure for figure in drawn if figure.statistic is Statistic.SHARE]
    if len(sheet.time_points) == 1:
        rows = dict(sheet.categories)
        _dots(canvas.add_subplot(), rows, {figure: figure.category for figure in shares})
        return
    across = min(PANELS_ACROSS, len(sheet.categories))
    down = -(-len(sheet.categories) // across)
    for number, (category, name) in enumerate(sheet.categories.items()):
        axes = canvas.add_subplot(down, across, number + 1)
        _over_time(axes, sheet, [figure for figure in shares if figure.category == category], narrow=across > 1)
        if across > 1:
            axes.set_title(_wrapped(name), fontsize=8.5, loc="left")
        else:
            axes.set_title(name, fontsize=10, loc="left")
        if number % across:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel(text("figure", "axis_share"), fontsize=9)
    _legend(canvas, groups_of(shares))


def draw_response(canvas: Canvas, sheet: Sheet, drawn: Drawn) -> None:
    """One line of dots for each follow-up."""
    _dots(canvas.add_subplot(), dict(sheet.time_points), {figure: figure.time_point for figure in drawn})


def draw_transitions(canvas: Canvas, sheet: Sheet, drawn: Drawn) -> None:
    """A bar for each first answer, cut by the answer at the last time point; no bar where a part is not known."""
    last = list(sheet.time_points)[-1]
    codes = list(sheet.categories)
    groups = groups_of(drawn)
    for number, group in enumerate(groups):
        axes = canvas.add_subplot(1, len(groups), number + 1)
        for row, origin in enumerate(codes):
            parts = {f.category: f for f in drawn if (f.time_point, f.group, f.origin) == (last, group, origin)}
            if set(parts) == set(codes):
                _bar(axes, row, [parts[code] for code in codes])
            else:
                axes.text(1, row, "·", va="center", fontsize=12)
        axes.set_yticks(range(len(codes)), [sheet.categories[code] for code in codes] if number == 0 else [])
        axes.set_ylim(len(codes) - 0.4, -0.6)
        axes.tick_params(left=False)
        axes.set_xlim(0, 100)
        axes.set_title(text("group", group), fontsize=10, loc="left")
        axes.set_xlabel(text("figure", "axis_share"))
    handles = [
        canvas.axes[0].barh([0], [0], color=STEPS[index % len(STEPS)], label=sheet.categories[code])
        for index, code in enumerate(codes)
    ]
    first = next(iter(sheet.time_points.values()))
    title = text("figure", "axis_change", first=first, later=sheet.time_points[last])
    canvas.legend(handles=handles, loc="outside upper left", ncols=len(codes), frameon=False, fontsize=8, title=title)


def _bar(axes: Axes, row: int, parts: Drawn) -> None:
    start = 0.0
    for index, part in enumerate(parts):
        width = 100 * (part.value or 0.0)
        axes.barh([row], [width], left=[start], height=BAR, color=STEPS[index % len(STEPS)])
        if width >= LEAST_LABELLED:
            colour = ON_STEPS[index % len(STEPS)]
            axes.text(start + width / 2, row, f"{width:.0f}", ha="center", va="center", color=colour, fontsize=8)
        start += width


def _over_time(axes: Axes, sheet: Sheet, shares: Drawn, *, narrow: bool) -> None:
    places = list(sheet.time_points)
    groups = groups_of(shares)
    for index, group in enumerate(groups):
        shift = (index - (len(groups) - 1) / 2) * GROUP_ROOM
        found = {f.time_point: f for f in shares if f.group is group and f.value is not None}
        # A missing number breaks the line, so that nobody reads one between its neighbours.
        points = [found.get(place) for place in places]
        values = [float("nan") if point is None else 100 * (point.value or 0.0) for point in points]
        lows = [0.0 if point is None else 100 * ((point.value or 0.0) - (point.low or 0.0)) for point in points]
        highs = [0.0 if point is None else 100 * ((point.high or 0.0) - (point.value or 0.0)) for point in points]
        axes.errorbar(
            [place + shift for place in range(len(places))],
            values,
            yerr=[_not_below(lows), _not_below(highs)],
            marker=GROUP_MARKERS[group],
            markersize=4 if narrow else 6,
            capsize=2 if narrow else 4,
            linewidth=1.4,
            linestyle="--" if group is Group.OTHERS else "-",
            color=GROUP_COLOURS[group],
        )
    labels = [_moment(label) for label in sheet.time_points.values()] if narrow else list(sheet.time_points.values())
    axes.set_xticks(range(len(places)), labels, fontsize=7 if narrow else 9)
    axes.set_xlim(-0.4, len(places) - 0.6)
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.tick_params(axis="y", labelsize=8 if narrow else 9)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _dots(axes: Axes, rows: dict[str, str], placed: dict[ReleasableFigure, str]) -> None:
    """One line for each row, with a dot and its interval for each group."""
    groups = groups_of(list(placed))
    order = list(rows)
    for index, group in enumerate(groups):
        shift = (index - (len(groups) - 1) / 2) * 2 * GROUP_ROOM
        shown = [(order.index(row), f) for f, row in placed.items() if f.group is group and f.value is not None]
        values = [100 * (f.value or 0.0) for _, f in shown]
        lows = [100 * ((f.value or 0.0) - (f.low or 0.0)) for _, f in shown]
        highs = [100 * ((f.high or 0.0) - (f.value or 0.0)) for _, f in shown]
        axes.errorbar(
            values,
            [row + shift for row, _ in shown],
            xerr=[_not_below(lows), _not_below(highs)],
            marker=GROUP_MARKERS[group],
            markersize=7,
            capsize=4,
            linewidth=1.4,
            linestyle="none",
            color=GROUP_COLOURS[group],
            label=text("group", group),
        )
    axes.set_yticks(range(len(order)), list(rows.values()))
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel(text("figure", "axis_share"))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="best")


def _legend(canvas: Canvas, groups: Sequence[Group]) -> None:
    handles = [
        canvas.axes[0].plot(
            [],
            [],
            marker=GROUP_MARKERS[group],
            linestyle="--" if group is Group.OTHERS else "-",
            color=GROUP_COLOURS[group],
            label=text("group", group),
        )[0]
        for group in groups
    ]
    canvas.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=8)


def _not_below(lengths: Sequence[float]) -> list[float]:
    """Lengths of error bars; rounding may put a share a hair outside its interval."""
    return [max(0.0, length) for length in lengths]


def _moment(label: str) -> str:
    """A time point for a narrow axis: `12 måneder` is `12 mnd`, a word its first three letters."""
    number = label.split(maxsplit=1)[0]
    return text("figure", "months", number=number) if number.isdigit() else f"{label[:3]}."


def _wrapped(name: str) -> str:
    """A category's name on two lines at most, for a narrow panel."""
    words, lines = name.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) >= 18 and len(lines) < 2:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
