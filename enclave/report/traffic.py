"""The data processor's figures: drops and fetched packages by day, and faults year on year. Counts of drops only."""

import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from enclave.report.figures import COLOURS, WIDTH, embedded

HEIGHT = 2.4  # inches


def traffic_figure(first: date, submitted: Sequence[int], fetched: Sequence[int]) -> str:
    """Bars by day from `first` on: drops taken upwards, packages seen fetched downwards."""
    days = range(len(submitted))

    def draw(axes: Axes) -> None:
        axes.bar(days, submitted, color=COLOURS[0], label="drops taken")
        axes.bar(days, [-count for count in fetched], color=COLOURS[1], hatch="//", label="packages fetched")
        ticks = [*days][::14]
        axes.set_xticks(ticks, [(first + timedelta(days=day)).isoformat() for day in ticks])
        axes.axhline(0, color="#55666f", linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")

    told = (
        f"Bars for each day from {first}: {sum(submitted)} drops taken, above the line, and {sum(fetched)} packages "
        "seen fetched, below it."
    )
    return _drawn("traffic", "Drops taken and packages fetched, by day", told, draw)


def years_figure(years: Sequence[tuple[int, int, int, int]]) -> str:
    """Stacked bars by year: drops without fault, with faults, and rejected."""
    names = ("without fault", "with faults", "rejected")

    def draw(axes: Axes) -> None:
        bottoms = [0] * len(years)
        for place, (name, hatch) in enumerate(zip(names, ("", "//", "xx"), strict=True), start=1):
            heights = [year[place] for year in years]
            axes.bar(range(len(years)), heights, 0.5, bottom=bottoms, color=COLOURS[place - 1], hatch=hatch, label=name)
            bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
        axes.set_xticks(range(len(years)), [str(year[0]) for year in years])
        axes.set_xlim(-1, max(4, len(years)))

    told = "; ".join(f"{year}: {a} without fault, {b} with faults, {c} rejected" for year, a, b, c in years)
    return _drawn("years", "Drops by year, and what was wrong with them", f"{told}.", draw)


def _drawn(name: str, title: str, description: str, draw: Callable[[Axes], None]) -> str:
    with rc_context():
        rcdefaults()  # whatever a matplotlibrc on this machine says must not show
        rcParams["svg.hashsalt"] = name
        rcParams["svg.fonttype"] = "none"
        rcParams["font.family"] = "DejaVu Sans"
        rcParams["axes.spines.top"] = rcParams["axes.spines.right"] = False
        canvas = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = canvas.add_subplot()
        draw(axes)
        axes.set_title(title, fontsize=10, loc="left")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        written = io.BytesIO()
        canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return embedded(written.getvalue().decode("utf-8"), f"figure-{name}", title, description)
