"""Result tables: numbers with their counts, denominators and contributors; and the same after disclosure control."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # most jobs only hand tables on, and would wait for it
    import pandas as pd

ANY = "any"
NONE = "none"
"""The categories of a share table that are derived from its others: at least one of them, and none of them."""


class Group(StrEnum):
    """Whose records a figure counts, as seen by one recipient."""

    OWN = "own"
    OTHERS = "others"
    ALL = "all"


class Statistic(StrEnum):
    """What a figure is.

    A mean and a mean change carry a t interval, a share and a transition a Wilson interval, the change of a share the
    interval of Bonett and Price for pairs (all 95 %). A transition is a share of those who gave one answer first (the
    figure's `origin`). A standardised difference is own less others in standard deviations, without an interval; it is
    kept as a figure of the others, because who knows its own numbers has theirs from it. Kappa (Cohen's) carries its
    large-sample interval, alpha (Cronbach's) Feldt's.
    """

    COUNT = "count"
    MEAN = "mean"
    MEAN_CHANGE = "mean_change"
    SHARE = "share"
    SHARE_CHANGE = "share_change"
    TRANSITION = "transition"
    STANDARDISED_DIFFERENCE = "standardised_difference"
    KAPPA = "kappa"
    ALPHA = "alpha"


COEFFICIENTS = frozenset({Statistic.STANDARDISED_DIFFERENCE, Statistic.KAPPA, Statistic.ALPHA})
"""Statistics that are neither a share nor in a variable's own unit."""


ByInstitution = tuple[tuple[str, int], ...]
"""How many different people each institution holds of some, sorted by institution."""


@dataclass(frozen=True)
class Pairs:
    """The people behind the change of a share, apart by what they answered at its two time points.

    `same` answered alike both times; `first_in`, `first_out`, `later_in` and `later_out` answered once only, and were
    or were not in the category then.
    """

    gained: ByInstitution
    lost: ByInstitution
    same: ByInstitution
    first_in: ByInstitution
    first_out: ByInstitution
    later_in: ByInstitution
    later_out: ByInstitution


@dataclass(frozen=True)
class Figure:
    """One number of a result table, with all that disclosure control needs to judge it.

    `category`, `time_point` and `origin` (transitions only) place it in its table; `count` is the numerator of a share
    or transition (None otherwise); `denominator` is the number of courses behind the figure, shown as n; `contributors`
    counts the different people behind it by institution and `positives` those in the numerator (shares and transitions
    only): disclosure control judges people, of whom there are never more than courses. `pairs` belongs to the change of
    a share. `parts` are further people whose number the figure would tell, beside what other tables show.
    """

    category: str
    time_point: str
    group: Group
    statistic: Statistic
    value: float | None
    low: float | None
    high: float | None
    count: int | None
    denominator: int
    contributors: ByInstitution
    positives: ByInstitution = ()
    origin: str = ""
    pairs: Pairs | None = None
    parts: tuple[ByInstitution, ...] = ()


@dataclass(frozen=True)
class ResultTable:
    """A table before disclosure control: never leaves the registry database.

    `recipient` is the institution whose own/others split it holds, or "" for a table that is the same for everyone.
    `borrowed` tells that it derives from a loan. `period` is the span of arrival dates, ISO (`2024-01-01/2024-12-31`).
    """

    table: str
    period: str
    recipient: str
    borrowed: bool
    state: int
    definition: str
    figures: tuple[Figure, ...]


class Withheld(StrEnum):
    """Why a number is not shown: small itself, or derivable from what is shown with something small."""

    SMALL = "small"
    COMPLEMENT = "complement"
    REPEATED = "repeated"


@dataclass(frozen=True)
class ReleasableFigure:
    """A figure that may leave. When `withheld` is set every number in it is None."""

    category: str
    time_point: str
    group: Group
    statistic: Statistic
    value: float | None
    low: float | None
    high: float | None
    count: int | None
    denominator: int | None
    withheld: Withheld | None
    origin: str = ""


@dataclass(frozen=True)
class ReleasableTable:
    """A table after disclosure control: the only kind of table that a report or a bundle accepts."""

    table: str
    period: str
    recipient: str
    borrowed: bool
    state: int
    definition: str
    audience: Literal["institution", "public"]
    figures: tuple[ReleasableFigure, ...]

    def frame(self) -> "pd.DataFrame":
        """One row for each figure, in the table's order; withheld numbers are missing."""
        import pandas as pd  # noqa: PLC0415 – as above

        return pd.DataFrame([vars(figure) for figure in self.figures])
