"""What one table of a package would tell of what is withheld from another: figures that read the same variables.

Applied after each table was judged by itself, and to shares and transitions only. Its rules err on the side of
withholding: they look at which variables two figures read, and not at what their expressions mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import polars as pl

from enclave.disclosure.policy import Policy
from enclave.disclosure.remainder import remainder
from enclave.disclosure.suppress import NOBODY, Audience, changes_of, differences_of, suppress, totals_of
from enclave.model.table import ANY, NONE, Figure, Group, ReleasableFigure, ReleasableTable, ResultTable, Statistic
from enclave.model.table import Withheld as Why
from enclave.registry.definition import Definition, ShareTable, TransitionTable
from enclave.registry.expressions import columns_of, parse, to_polars

At = tuple[int, int]
"""(table, figure) by number"""


def suppress_together(
    tables: Sequence[ResultTable], definition: Definition, audience: Audience, policy: Policy
) -> tuple[ReleasableTable, ...]:
    """The tables of one package, each as `audience` may see it beside the others; none of them borrowed."""
    shown = [suppress(table, audience, policy) for table in tables]
    hidden = {
        (number, index)
        for number, table in enumerate(shown)
        for index, figure in enumerate(table.figures)
        if figure.withheld is not None
    }
    package = _Package(tables, definition, policy, audience)
    # Each round may hide what the next must follow; it ends because figures are only added.
    while more := {
        *package.narrower_hidden(hidden),
        *package.nearly_equal(hidden),
        *package.answered_once(hidden),
        *package.made_of_hidden(hidden),
    }:
        hidden |= more
    return tuple(
        replace(
            table,
            figures=tuple(
                _hide(figure) if (number, index) in hidden and figure.withheld is None else figure
                for index, figure in enumerate(table.figures)
            ),
        )
        for number, table in enumerate(shown)
    )


def _hide(figure: ReleasableFigure) -> ReleasableFigure:
    return replace(figure, value=None, low=None, high=None, count=None, denominator=None, withheld=Why.COMPLEMENT)


@dataclass(frozen=True)
class _Share:
    """One share that somebody else's rows are in: where it stands, and which columns its category reads."""

    at: At
    figure: Figure
    columns: frozenset[str]

    @property
    def place(self) -> tuple[str, Group]:
        return self.figure.time_point, self.figure.group


class _Package:
    """The tables of one package, with what their figures read."""

    def __init__(
        self, tables: Sequence[ResultTable], definition: Definition, policy: Policy, audience: Audience
    ) -> None:
        self.tables, self.definition, self.policy, self.audience = tables, definition, policy, audience
        self.declared = {table.id: table for table in definition.tables}
        self.shares = [share for number in range(len(tables)) for share in self._shares(number)]

    def _shares(self, number: int) -> Iterator[_Share]:
        declared = self.declared[self.tables[number].table]
        if not isinstance(declared, ShareTable):
            return
        columns = columns_of(self.definition.form(declared.forms[0]))
        reads = {category.id: frozenset(parse(category.holds, columns).columns) for category in declared.categories}
        reads[ANY] = reads[NONE] = frozenset().union(*reads.values())
        for index, figure in enumerate(self.tables[number].figures):
            if figure.statistic is Statistic.SHARE and figure.group is not Group.OWN:
                yield _Share((number, index), figure, reads[figure.category])

    def _viewers(self, figure: Figure, number: int) -> list[str]:
        if self.audience == "public":
            return [NOBODY, *(institution for institution, _ in figure.contributors)]
        return [NOBODY, self.tables[number].recipient]

    def narrower_hidden(self, hidden: set[At]) -> Iterator[At]:
        """Shares shown that read all that a share withheld from another table reads: they would bound it."""
        for kept in (share for share in self.shares if share.at in hidden):
            for share in self.shares:
                beside = share.at[0] != kept.at[0] and share.place == kept.place
                if beside and share.at not in hidden and kept.columns <= share.columns:
                    yield share.at

    def nearly_equal(self, hidden: set[At]) -> Iterator[At]:
        """The later of two shares whose people differ by few: where one lies in the other, those few are shown."""
        shown = [share for share in self.shares if share.at not in hidden]
        for one, other in combinations(shown, 2):
            related = one.place == other.place and one.columns & other.columns
            if one.at[0] != other.at[0] and related and self._differ_by_few(one, other):
                yield max(one.at, other.at)

    def _differ_by_few(self, one: _Share, other: _Share) -> bool:
        for viewer in self._viewers(one.figure, one.at[0]):
            first, second = remainder(one.figure, viewer), remainder(other.figure, viewer)
            apart = (
                first.people - second.people,
                first.positives - second.positives,
                first.positives - (second.people - second.positives),
            )
            if any(0 < abs(people) < self.policy.minimum_count for people in apart):
                return True
        return False

    def answered_once(self, hidden: set[At]) -> Iterator[At]:
        """Rows and columns of transitions whose sum, taken from a share that is shown, leaves few people.

        Those few answered at only one of the two time points.
        """
        for number, table in enumerate(self.tables):
            declared = self.declared[table.table]
            if not isinstance(declared, TransitionTable):
                continue
            first = self.definition.form(declared.forms[0]).time_point
            for share in self.shares:
                if share.at in hidden or share.columns != {declared.variable}:
                    continue
                codes = self._codes_in(share, declared)
                for later in {figure.time_point for figure in table.figures}:
                    if share.figure.time_point not in (first, later):
                        continue
                    cells = [
                        ((number, index), figure)
                        for index, figure in enumerate(table.figures)
                        if figure.time_point == later and figure.group is share.figure.group
                    ]
                    by_origin = share.figure.time_point == first
                    inside = [cell for cell in cells if (cell[1].origin if by_origin else cell[1].category) in codes]
                    if self._few_left(share, [cell[1] for cell in cells], [cell[1] for cell in inside]):
                        yield from (at for at, _ in inside if at not in hidden)

    def made_of_hidden(self, hidden: set[At]) -> Iterator[At]:
        """Totals, and changes to or from a share, of what is withheld by now."""
        for number, table in enumerate(self.tables):
            here = {index for at, index in hidden if at == number}
            made = (*changes_of(table, here), *totals_of(table, here), *differences_of(table, here))
            yield from ((number, index) for index in made)

    def _codes_in(self, share: _Share, declared: TransitionTable) -> frozenset[str]:
        """The codes of a transition's variable for which a share's category holds."""
        form = self.definition.form(declared.forms[0])
        variable = next(variable for variable in form.variables if variable.name == declared.variable)
        table = self.declared[self.tables[share.at[0]].table]
        if not isinstance(table, ShareTable):
            raise TypeError("a share of a table that has none")
        category = next(category for category in table.categories if category.id == share.figure.category)
        frame = pl.DataFrame({variable.name: [code.value for code in variable.codes if not code.not_answered]})
        holds = frame.filter(to_polars(parse(category.holds, columns_of(form))))
        return frozenset(holds[variable.name].to_list())

    def _few_left(self, share: _Share, cells: Sequence[Figure], inside: Sequence[Figure]) -> bool:
        for viewer in self._viewers(share.figure, share.at[0]):
            whole = remainder(share.figure, viewer)
            if whole.people == sum(remainder(cell, viewer).positives for cell in cells):
                continue
            left = whole.positives - sum(remainder(cell, viewer).positives for cell in inside)
            if left < self.policy.minimum_count:
                return True
        return False
