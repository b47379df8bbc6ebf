"""What a table looks like once it is laid out: cells, lines and sheets, which everything that renders works from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from enclave.model.table import Group, ReleasableFigure, ReleasableTable, Withheld
from enclave.registry.definition import Definition
from enclave.report.texts import decimal_comma, text

WITHHELD = "·"
REPEATED = "×"
MISSING = "–"
GROUP_ORDER = (Group.OWN, Group.OTHERS, Group.ALL)


class Format(StrEnum):
    """How the numbers of a column are written."""

    TEXT = "text"
    COUNT = "count"
    NUMBER = "number"
    CHANGE = "change"
    PERCENT = "percent"


@dataclass(frozen=True)
class Cell:
    """What stands in one place: a text or number, or nothing and why. `decimals` belongs to the number."""

    value: str | int | float | None
    format: Format
    decimals: int = 0
    withheld: Withheld | None = None

    def shown(self) -> str:
        """The cell as a person reads it: a withheld, a missing and a zero number never look the same."""
        if self.withheld is not None:
            return REPEATED if self.withheld is Withheld.REPEATED else WITHHELD
        match self.value:
            case None:
                return MISSING
            case str() | int():
                return str(self.value)
            case float():
                return decimal_comma(self.value, self.decimals, signed=self.format is Format.CHANGE)


@dataclass(frozen=True)
class Line:
    """One figure of the table with the labels that place it; `cells` fit the columns of its sheet."""

    figure: ReleasableFigure
    cells: tuple[Cell, ...]
    remark: str


@dataclass(frozen=True)
class Sheet:
    """A table as it is read: its title, columns and lines, and the notes that explain them."""

    table: ReleasableTable
    kind: str
    """the kind of the table's declaration, by which page and figure choose how to show it"""
    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    scale: tuple[float, float] | None
    """the least and greatest possible answer, for the axis of a figure"""
    categories: Mapping[str, str]
    time_points: Mapping[str, str]
    quality: bool = False
    """whether it tells of the data and not of the participants"""


def short_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels without the words that all begin with: `Opplysninger ved ankomst` among its like is `Ankomst`.

    A preposition that is left in front goes too.
    """
    words = [label.split() for label in labels]
    shared = 0
    while len(words) > 1 and all(len(each) > shared + 1 and each[shared] == words[0][shared] for each in words):
        shared += 1
    rest = [" ".join(each[shared:]).removeprefix(text("label", "preposition") + " ") for each in words]
    return tuple(label[:1].upper() + label[1:] for label in rest)


def time_points_of(definition: Definition) -> dict[str, str]:
    """A short label for each time point that a course has: `Ankomst`, `12 måneder`."""
    forms = [form for form in definition.forms if form.subject == "person"]
    after = " " + text("label", "follow_up")
    labels = [label.removesuffix(after) for label in short_labels([form.label.nb for form in forms])]
    return dict(zip((form.time_point for form in forms), labels, strict=True))


def percent(share: float | None) -> float | None:
    """A share between 0 and 1 in per cent, with one decimal."""
    return None if share is None else round(100 * share, 1)


def remark(figure: ReleasableFigure) -> str:
    """Why numbers are not there. Small and complement read alike: the difference would bound the number withheld."""
    if figure.withheld is not None:
        return text("withheld", "repeated" if figure.withheld is Withheld.REPEATED else "private")
    return text("missing", "remark") if None in {figure.value, figure.low, figure.high} else ""
