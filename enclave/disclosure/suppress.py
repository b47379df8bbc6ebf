"""What is withheld from a table, once, before anything is rendered from it.

The attacker is a recipient that holds its own rows and subtracts them from everything it is shown. Each figure is
therefore judged as each such *view* sees it: what is left of its contributors when one recipient's are taken out.
Numbers are counted in people. A table of an institution is seen by that institution alone; a public table, and any
table derived from a loan, by everyone who contributed to it and by those who did not.
"""

from collections.abc import Collection, Sequence
from typing import Literal

from enclave.disclosure.partition import withheld_cells
from enclave.disclosure.policy import COEFFICIENT_DECIMALS, SHARE_DECIMALS, Policy
from enclave.disclosure.remainder import SHARES, change_passes, remainder
from enclave.model.table import (
    ANY,
    COEFFICIENTS,
    NONE,
    Figure,
    Group,
    ReleasableFigure,
    ReleasableTable,
    ResultTable,
    Statistic,
    Withheld,
)

NOBODY = ""
TELLING_DIGITS = 10
ALL_THE_SAME = 1e-9  # an interval narrower than this tells that everyone answered alike

Audience = Literal["institution", "public"]
Decisions = list[Withheld | None]


def suppress(table: ResultTable, audience: Audience, policy: Policy) -> ReleasableTable:
    """The table as `audience` may see it: small numbers, and all from which they could be had, withheld and rounded.

    An institution's own numbers are not withheld from it. A public or borrowed table has no group but all.
    """
    _require_fitting(table, audience)
    decisions: Decisions = [_judge(figure, _viewers(table, audience, figure), policy) for figure in table.figures]
    for follow in (
        _withhold_nested_changes,
        _withhold_residues,
        _withhold_cells,
        _withhold_totals,
        _withhold_changes_of_withheld,
        _withhold_changes_that_add_up,
        _withhold_totals,
        _withhold_differences,
    ):
        follow(table, audience, policy, decisions)
    return ReleasableTable(
        table=table.table,
        period=table.period,
        recipient=table.recipient,
        borrowed=table.borrowed,
        state=table.state,
        definition=table.definition,
        audience=audience,
        figures=tuple(
            _released(figure, withheld, policy.mean_decimals(table.table))
            for figure, withheld in zip(table.figures, decisions, strict=True)
        ),
    )


def withheld_texts(table: ResultTable, shown: ReleasableTable) -> frozenset[str]:
    """How the withheld numbers would be written in full, with point and comma, for the leak scan of the gate.

    Only numbers of ten digits or more are told: shorter ones occur by chance, in the coordinates of a figure say.
    """
    exact = (
        repr(number)
        for figure, released in zip(table.figures, shown.figures, strict=True)
        if released.withheld is not None
        for number in (figure.value, figure.low, figure.high)
        if number is not None
    )
    telling = [text for text in exact if sum(character.isdigit() for character in text) >= TELLING_DIGITS]
    return frozenset(telling) | frozenset(text.replace(".", ",") for text in telling)


def _released(figure: Figure, withheld: Withheld | None, mean_decimals: int) -> ReleasableFigure:
    """The figure as it may leave: rounded, or without any number."""
    hidden = withheld is not None
    is_share = figure.statistic in SHARES or figure.statistic is Statistic.SHARE_CHANGE
    decimals = SHARE_DECIMALS if is_share else mean_decimals
    if figure.statistic in COEFFICIENTS:
        decimals = COEFFICIENT_DECIMALS

    def shown(number: float | None) -> float | None:
        # Adding zero turns -0.0, which would be shown as "-0,0", into 0.0.
        return None if hidden or number is None else round(number, decimals) + 0.0

    return ReleasableFigure(
        category=figure.category,
        time_point=figure.time_point,
        group=figure.group,
        statistic=figure.statistic,
        value=shown(figure.value),
        low=shown(figure.low),
        high=shown(figure.high),
        count=None if hidden else figure.count,
        denominator=None if hidden else figure.denominator,
        withheld=withheld,
        origin=figure.origin,
    )


def _require_fitting(table: ResultTable, audience: Audience) -> None:
    for_everyone = audience == "public" or table.borrowed
    if for_everyone and (table.recipient or any(figure.group is not Group.ALL for figure in table.figures)):
        raise ValueError("a table for everyone tells own from others")
    if not for_everyone and not table.recipient:
        raise ValueError("a table for an institution names none")


def _viewers(table: ResultTable, audience: Audience, figure: Figure) -> tuple[str, ...]:
    """Whose rows are to be thought away: those of each recipient that sees the figure; none for an own number."""
    if audience == "public" or table.borrowed:
        return (NOBODY, *(institution for institution, _ in figure.contributors))
    return () if figure.group is Group.OWN else (NOBODY, table.recipient)


def _judge(figure: Figure, viewers: Sequence[str], policy: Policy) -> Withheld | None:
    if not viewers:
        return None
    if _all_alike(figure):
        return Withheld.SMALL
    for viewer in viewers:
        told = remainder(figure, viewer).passes(figure.statistic, policy)
        if figure.statistic is Statistic.SHARE_CHANGE:
            told = told and change_passes(figure, viewer, policy)
        if not told:
            return Withheld.SMALL if viewer == NOBODY else Withheld.COMPLEMENT
    return None


def _all_alike(figure: Figure) -> bool:
    if figure.statistic in SHARES or figure.low is None or figure.high is None:
        return False
    return figure.high - figure.low < ALL_THE_SAME


def _withhold_nested_changes(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold a paired change where few answered at only one of its two time points.

    With both means and the change, the sum of those few follows: the mean of the pairs is had from the later mean and
    the change, and is subtracted from the earlier mean.
    """
    for index, change in enumerate(table.figures):
        if change.statistic is not Statistic.MEAN_CHANGE or decisions[index] is not None:
            continue
        means = [
            figure
            for figure in table.figures
            if figure.statistic is Statistic.MEAN and (figure.category, figure.group) == (change.category, change.group)
        ]
        ends = [*means[:1], *(mean for mean in means if mean.time_point == change.time_point)]
        for end in ends:
            unpaired = [end.denominator - change.denominator] if _viewers(table, audience, change) else []
            unpaired += [
                remainder(end, viewer).people - remainder(change, viewer).people
                for viewer in _viewers(table, audience, end)
            ]
            if any(0 < people < policy.minimum_count for people in unpaired):
                decisions[index] = Withheld.COMPLEMENT


def _withhold_residues(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold "any" and "none" where they bound a withheld category from below.

    At least `any` less the sum of the categories shown have one of those withheld.
    """
    if table.table in policy.exclusive:
        return
    shares = [index for index, figure in enumerate(table.figures) if figure.statistic is Statistic.SHARE]
    for derived in shares:
        figure = table.figures[derived]
        if figure.category not in {ANY, NONE} or decisions[derived] is not None:
            continue
        singles = [
            index
            for index in shares
            if table.figures[index].time_point == figure.time_point
            and table.figures[index].group is figure.group
            and table.figures[index].category not in {ANY, NONE}
        ]
        if all(decisions[index] is None for index in singles):
            continue
        shown = [table.figures[index] for index in singles if decisions[index] is None]
        for viewer in _viewers(table, audience, figure):
            rest = remainder(figure, viewer)
            with_any = rest.positives if figure.category == ANY else rest.people - rest.positives
            if with_any > sum(remainder(single, viewer).positives for single in shown):
                decisions[derived] = Withheld.COMPLEMENT


def _withhold_cells(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold, for everyone alike, the cells that would give away a small one of those that they add up with."""
    del audience
    kinds = {Statistic.TRANSITION} | ({Statistic.SHARE} if table.table in policy.exclusive else set())
    by_time: dict[str, list[Figure]] = {}
    for figure in table.figures:
        if figure.group is Group.ALL and figure.statistic in kinds:
            by_time.setdefault(figure.time_point, []).append(figure)
    hidden = {_place(figures[index]) for figures in by_time.values() for index in withheld_cells(figures, policy)}
    for index, figure in enumerate(table.figures):
        if figure.group is not Group.OWN and decisions[index] is None and _place(figure) in hidden:
            decisions[index] = Withheld.COMPLEMENT


def _withhold_changes_of_withheld(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold the change to or from a share that is withheld: the other share and the change would give it."""
    del audience, policy
    hidden = {index for index, withheld in enumerate(decisions) if withheld is not None}
    for index in changes_of(table, hidden):
        decisions[index] = Withheld.COMPLEMENT


def changes_of(table: ResultTable, hidden: Collection[int]) -> list[int]:
    """The changes of a table, not among the hidden figures, of which the share at one end or the other is hidden."""
    shares = [figure.time_point for figure in table.figures if figure.statistic is Statistic.SHARE]
    ends = {
        (table.figures[index].category, table.figures[index].group, table.figures[index].time_point)
        for index in hidden
        if table.figures[index].statistic is Statistic.SHARE
    }
    return [
        index
        for index, figure in enumerate(table.figures)
        if figure.statistic is Statistic.SHARE_CHANGE and index not in hidden
        for moments in ({figure.time_point, *shares[:1]},)
        if any((figure.category, figure.group, moment) in ends for moment in moments)
    ]


def _withhold_changes_that_add_up(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold every change of shares that exclude each other where one is withheld: together they are nothing."""
    del audience
    if table.table not in policy.exclusive:
        return
    changes = [index for index, figure in enumerate(table.figures) if figure.statistic is Statistic.SHARE_CHANGE]
    hidden = {
        (table.figures[index].group, table.figures[index].time_point)
        for index in changes
        if decisions[index] is not None
    }
    for index in changes:
        if decisions[index] is None and (table.figures[index].group, table.figures[index].time_point) in hidden:
            decisions[index] = Withheld.COMPLEMENT


def _place(figure: Figure) -> tuple[str, str, str, Statistic]:
    return figure.origin, figure.category, figure.time_point, figure.statistic


def _withhold_totals(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold each total whose others are withheld: the recipient would subtract its own from it."""
    del audience, policy
    for index in totals_of(table, {index for index, withheld in enumerate(decisions) if withheld is not None}):
        decisions[index] = Withheld.COMPLEMENT


def totals_of(table: ResultTable, hidden: Collection[int]) -> list[int]:
    """The totals of a table, not among the hidden figures, whose others are hidden."""
    others = {_place(table.figures[index]) for index in hidden if table.figures[index].group is Group.OTHERS}
    return [
        index
        for index, figure in enumerate(table.figures)
        if figure.group is Group.ALL and index not in hidden and _place(figure) in others
    ]


def _withhold_differences(table: ResultTable, audience: Audience, policy: Policy, decisions: Decisions) -> None:
    """Withhold each standardised difference from others whose share is withheld: it would be had from one's own."""
    del audience, policy
    hidden = {index for index, withheld in enumerate(decisions) if withheld is not None}
    for index in differences_of(table, hidden):
        decisions[index] = Withheld.COMPLEMENT


def differences_of(table: ResultTable, hidden: Collection[int]) -> list[int]:
    """The standardised differences of a table, not hidden themselves, of which a share that they are made of is."""
    shares = {
        (table.figures[index].category, table.figures[index].time_point)
        for index in hidden
        if table.figures[index].statistic is Statistic.SHARE and table.figures[index].group is not Group.OWN
    }
    return [
        index
        for index, figure in enumerate(table.figures)
        if figure.statistic is Statistic.STANDARDISED_DIFFERENCE
        and index not in hidden
        and (figure.category, figure.time_point) in shares
    ]
