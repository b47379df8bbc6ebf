"""Which cells of a table go with the small ones: cells that add up, judged against everyone who could subtract.

The attacker knows the sum of every row, and in one of two audits the sum of every column too, though neither is
shown by itself; it knows its own people, and every cell that is shown. A small cell is protected when its possible
values still span `minimum_count`, or as much as the sums alone leave open. One pattern is made for everyone – from all
institutions, against all of them – so that nobody can lay its own table beside the national one and see a cell in one
that is withheld in the other.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from enclave.disclosure.policy import Policy
from enclave.disclosure.remainder import people_left, remainder
from enclave.model.table import Figure

NOBODY = ""
ROUNDING = 1e-6

View = tuple[int, ...]
"""the people in each cell that are not one viewer's"""


def withheld_cells(figures: Sequence[Figure], policy: Policy) -> frozenset[int]:
    """The indices of the figures that nobody may see, of shares that exclude each other.

    `figures` are all of group all at one time point: those of one `origin` are a row, whose shares have one
    denominator. People of a row who are in none of its cells are a cell that is never shown.
    """
    viewers = [NOBODY, *sorted({institution for figure in figures for institution, _ in figure.contributors})]
    origins = list(dict.fromkeys(figure.origin for figure in figures))
    categories = list(dict.fromkeys(figure.category for figure in figures))
    places = [(origins.index(figure.origin), categories.index(figure.category)) for figure in figures]
    firsts = [next(figure for figure in figures if figure.origin == origin) for origin in origins]
    views, small = [], []
    for viewer in viewers:
        cells = [people_left(figure.positives, viewer) for figure in figures]
        rest = [
            remainder(first, viewer).people
            - sum(cell for cell, figure in zip(cells, figures, strict=True) if figure.origin == first.origin)
            for first in firsts
        ]
        # A person with two courses in two cells makes a row's cells more than its people; then nobody is left over.
        views.append((*cells, *(max(0, left) for left in rest)))
        passing = [remainder(figure, viewer).passes(figure.statistic, policy) for figure in figures]
        small.append(frozenset(index for index, passes in enumerate(passing) if not passes))
    places += [(row, len(categories)) for row in range(len(origins))]
    hidden = _completed(tuple(places), tuple(views), tuple(small), policy.minimum_count)
    return frozenset(index for index in hidden if index < len(figures))


@lru_cache(maxsize=256)
def _completed(
    places: tuple[tuple[int, int], ...], views: tuple[View, ...], small: tuple[frozenset[int], ...], width: int
) -> frozenset[int]:
    """The cells to withhold: the small ones, those of no category, and as many others as protect the small ones."""
    never_shown = {
        index
        for index, (_, column) in enumerate(places)
        if column == max(column for _, column in places) and any(view[index] for view in views)
    }
    hidden = frozenset().union(*small) | never_shown
    everything = frozenset(range(len(places)))
    with_columns = (True, False) if len({row for row, _ in places}) > 1 else (False,)
    while narrow := _first_narrow(places, views, small, hidden, width, with_columns):
        hidden |= {_beside(narrow, places, views[0], hidden, everything)}
    return hidden


def _first_narrow(
    places: tuple[tuple[int, int], ...],
    views: tuple[View, ...],
    small: tuple[frozenset[int], ...],
    hidden: frozenset[int],
    width: int,
    with_columns: tuple[bool, ...],
) -> tuple[int, bool] | None:
    """The first small cell that some viewer knows too well, and whether it used the sums of columns."""
    everything = frozenset(range(len(places)))
    for view, cells in zip(views, small, strict=True):
        for columns in with_columns:
            for cell in sorted(cells):
                spread = _spread(cell, places, view, hidden, columns=columns)
                if spread >= width:
                    continue
                if spread < _spread(cell, places, view, everything, columns=columns):
                    return cell, columns
    return None


def _beside(
    narrow: tuple[int, bool],
    places: tuple[tuple[int, int], ...],
    counts: View,
    hidden: frozenset[int],
    everything: frozenset[int],
) -> int:
    """The shown cell that costs least and protects: in the same row, then in the same column, then anywhere."""
    (row, column), by_columns = places[narrow[0]], narrow[1]
    shown = sorted(everything - hidden, key=lambda index: (counts[index], index))
    # A cell of no category that nobody is in is known to be empty and protects nothing; it goes last.
    shown.sort(key=lambda index: counts[index] == 0)
    in_row = [index for index in shown if places[index][0] == row]
    in_column = [index for index in shown if places[index][1] == column]
    alone_in_row = sum(places[index][0] == row for index in hidden) == 1
    alone_in_column = sum(places[index][1] == column for index in hidden) == 1
    if in_row and (alone_in_row or not by_columns):
        return in_row[0]
    if in_column and alone_in_column:
        return in_column[0]
    return shown[0]


def _spread(
    cell: int, places: tuple[tuple[int, int], ...], view: View, hidden: frozenset[int], *, columns: bool
) -> int:
    """How far apart the least and the greatest possible number of people in a withheld cell are."""
    from scipy.optimize import linprog  # noqa: PLC0415 – heavy, and `link` needs it only where a loan was answered

    unknown = sorted(hidden)
    sums: dict[tuple[str, int], tuple[list[int], int]] = {}
    for index in unknown:
        row, column = places[index]
        for line in (("row", row), ("column", column))[: 2 if columns else 1]:
            members, total = sums.get(line, ([], 0))
            sums[line] = ([*members, index], total + view[index])
    matrix = np.array([[float(index in members) for index in unknown] for members, _ in sums.values()])
    right = np.array([float(total) for _, total in sums.values()])
    aim = np.array([float(index == cell) for index in unknown])
    ends = []
    for sign in (1.0, -1.0):
        solved = linprog(sign * aim, A_eq=matrix, b_eq=right, bounds=(0, None))
        if solved.status != 0:
            raise ArithmeticError("the audit of a table was not solved")
        ends.append(float(aim @ solved.x))
    # The ends are whole numbers, because sums of rows and columns are; what is lost to rounding is not a person.
    return int(ends[1] - ends[0] + ROUNDING)
