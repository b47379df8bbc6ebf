"""What is withheld from tables of data quality: what tells of few others, and what would give it back."""

from dataclasses import replace

import pytest

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import Policy, policy_for
from enclave.disclosure.suppress import suppress
from enclave.model.table import Figure, Group, ReleasableTable, ResultTable, Statistic
from tests.analysis.kar import kar, made_up, tables_of
from tests.disclosure.tables import share, table

INSTITUTIONS = ("alfa", "beta", "delta", "eps", "gamma")
PATIENTS = dict.fromkeys(INSTITUTIONS, 90)
AGREEING = dict.fromkeys(INSTITUTIONS, 20)


def _agreement(first_only: dict[str, int], second_only: dict[str, int]) -> ResultTable:
    people = {name: 20 + first_only.get(name, 0) + second_only.get(name, 0) for name in INSTITUTIONS}
    figure = share("agree", people, AGREEING, "arrival")
    parts = tuple(tuple(sorted(part.items())) for part in (first_only, second_only))
    figure = replace(figure, parts=parts)
    return replace(table(figure, replace(figure, statistic=Statistic.KAPPA, count=None)), table="sick_agreement")


@pytest.mark.parametrize(
    ("first_only", "second_only", "told"),
    [
        (dict.fromkeys(INSTITUTIONS, 3), dict.fromkeys(INSTITUTIONS, 3), True),
        (dict.fromkeys(INSTITUTIONS, 3), {"beta": 4}, False),
        (dict.fromkeys(INSTITUTIONS, 3), {"beta": 6}, False),
        ({}, dict.fromkeys(INSTITUTIONS, 3), False),
    ],
    ids=["both-large", "one-small", "small-without-beta", "nobody"],
)
def test_agreement_is_told_where_both_ways_to_disagree_are_large_for_everyone(
    first_only: dict[str, int], second_only: dict[str, int], told: bool
) -> None:
    """Agreement and the share of each question, from another table, give the two cells off the diagonal."""
    shown = suppress(_agreement(first_only, second_only), "public", Policy())
    assert [figure.withheld is None for figure in shown.figures] == [told, told]


def test_a_coefficient_is_rounded_to_two_decimals() -> None:
    """More digits of a kappa would give the four cells exactly."""
    shown = suppress(_agreement(*([dict.fromkeys(INSTITUTIONS, 3)] * 2)), "public", Policy())
    (kappa,) = [figure for figure in shown.figures if figure.statistic is Statistic.KAPPA]
    assert kappa.value == round(100 / 130, 2)


def _shown(made: list[ResultTable]) -> tuple[ReleasableTable, ...]:
    return suppress_together(made, kar(), "institution", policy_for(kar()))


@pytest.mark.parametrize("people", [40, 90, 250])
def test_no_standardised_difference_gives_back_a_share_that_is_withheld(people: int) -> None:
    """Who knows its own share solves the difference for the others': the two are withheld together, in every table."""
    made = [one for one in tables_of(made_up(5, people=people), patients=PATIENTS) if one.recipient == "alfa"]
    hidden = shown_too = 0
    for each in _shown(made):
        shares = {
            (one.category, one.time_point): one.withheld is not None
            for one in each.figures
            if one.statistic is Statistic.SHARE and one.group is Group.OTHERS
        }
        for one in each.figures:
            if one.statistic is Statistic.STANDARDISED_DIFFERENCE:
                if shares[one.category, one.time_point]:
                    assert one.withheld is not None
                    assert one.value is None
                    hidden += 1
                shown_too += one.withheld is None
    assert hidden or shown_too


def test_own_quality_is_shown_whole_and_others_small_numbers_are_not() -> None:
    """Of forty people at five institutions hardly anything may be told of the others, and all of one's own."""
    made = [one for one in tables_of(made_up(5, people=40), patients=PATIENTS) if one.recipient == "alfa"]
    for before, after in zip(made, _shown(made), strict=True):
        pairs: list[tuple[Figure, bool]] = [
            (figure, told.withheld is None) for figure, told in zip(before.figures, after.figures, strict=True)
        ]
        for figure, told in pairs:
            if figure.group is Group.OWN:
                assert told
            elif told and figure.count is not None:
                assert figure.count >= 5
                assert figure.denominator - figure.count >= 5


def test_a_difference_goes_with_a_share_that_is_withheld_only_to_protect_another() -> None:
    """The small category takes a second with it; the differences of both are withheld, though one is large itself."""
    counts = {"completed": 30, "partly": 10, "interrupted": 1}
    people = dict.fromkeys(INSTITUTIONS, 41)
    figures = []
    for category, number in counts.items():
        everyone = share(category, people, dict.fromkeys(INSTITUTIONS, number), "discharge")
        without = {name: number for name in INSTITUTIONS if name != "alfa"} | {"beta": number and 1}
        others = replace(
            everyone,
            group=Group.OTHERS,
            contributors=tuple((name, 41) for name in sorted(without)),
            positives=tuple(sorted(without.items())) if category == "interrupted" else everyone.positives[1:],
        )
        difference = replace(others, statistic=Statistic.STANDARDISED_DIFFERENCE, value=0.123456, count=None)
        figures += [replace(others), everyone, difference]
    made = replace(table(*figures, recipient="alfa"), table="completion")
    shown = suppress(made, "institution", policy_for(kar()))
    told = {(one.category, one.statistic): one.withheld is None for one in shown.figures if one.group is Group.OTHERS}
    assert told["completed", Statistic.SHARE]
    assert told["completed", Statistic.STANDARDISED_DIFFERENCE]
    assert not told["interrupted", Statistic.SHARE]
    assert not told["partly", Statistic.SHARE]
    assert not told["partly", Statistic.STANDARDISED_DIFFERENCE]
    assert not told["interrupted", Statistic.STANDARDISED_DIFFERENCE]
