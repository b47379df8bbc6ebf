"""What is withheld, from whom, and what an attacker can still compute."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave.disclosure.policy import Policy, policy_for
from enclave.disclosure.suppress import suppress, withheld_texts
from enclave.errors import Halt
from enclave.model.table import Figure, Group, ReleasableFigure, ReleasableTable, Statistic, Withheld
from enclave.registry.definition import Disclosure
from tests.analysis.example import DEFINITION
from tests.disclosure.tables import mean, share, table

POLICY = Policy()
FOUR = {"alfa": 8, "beta": 8, "gamma": 8, "delta": 8}


def _split(contributors: dict[str, int], recipient: str) -> tuple[Figure, Figure, Figure]:
    own = {name: people for name, people in contributors.items() if name == recipient}
    others = {name: people for name, people in contributors.items() if name != recipient}
    return mean(Group.OWN, own), mean(Group.OTHERS, others), mean(Group.ALL, contributors)


def _reasons(shown: ReleasableTable) -> list[Withheld | None]:
    return [figure.withheld for figure in shown.figures]


def test_an_institution_sees_its_own_numbers_however_small() -> None:
    """One own patient is shown to the institution that submitted it."""
    shown = suppress(table(*_split(FOUR | {"alfa": 1}, "alfa"), recipient="alfa"), "institution", POLICY)
    assert _reasons(shown) == [None, None, None]
    assert shown.figures[0].denominator == 1


@pytest.mark.parametrize(
    "contributors",
    [
        {"alfa": 30, "beta": 30},
        {"alfa": 30, "beta": 30, "gamma": 30},
        {"alfa": 30, "beta": 3, "gamma": 3, "delta": 3},
        {"alfa": 30, "beta": 9, "gamma": 1, "delta": 0},
        {"alfa": 30},
    ],
    ids=["two institutions", "two others", "nine others", "an institution without people", "no others"],
)
def test_others_and_all_are_withheld_together(contributors: dict[str, int]) -> None:
    """Where the others are too few, all is withheld too, because the recipient subtracts its own from it."""
    shown = suppress(table(*_split(contributors, "alfa"), recipient="alfa"), "institution", POLICY)
    own, others, everyone = _reasons(shown)
    assert own is None
    assert others is Withheld.SMALL
    assert everyone is not None


def test_ten_people_at_three_other_institutions_are_enough() -> None:
    """The thresholds are met by their own values, not first above them."""
    shown = suppress(
        table(*_split({"alfa": 1, "beta": 4, "gamma": 3, "delta": 3}, "alfa"), recipient="alfa"), "institution", POLICY
    )
    assert _reasons(shown) == [None, None, None]


def test_all_is_judged_by_what_remains_even_if_others_are_not_in_the_table() -> None:
    """A table of only all gives an insider the others by subtraction, and is judged so."""
    shown = suppress(
        table(mean(Group.ALL, {"alfa": 50, "beta": 50, "gamma": 1}), recipient="alfa"), "institution", POLICY
    )
    assert _reasons(shown) == [Withheld.COMPLEMENT]


@pytest.mark.parametrize(
    ("contributors", "reason"),
    [
        (FOUR, None),
        ({"alfa": 3, "beta": 3, "gamma": 3}, Withheld.SMALL),
        ({"alfa": 50, "beta": 5, "gamma": 5}, Withheld.COMPLEMENT),
        ({"alfa": 50, "beta": 3, "gamma": 3, "delta": 3}, Withheld.COMPLEMENT),
        ({"alfa": 4, "beta": 4, "gamma": 4, "delta": 4}, None),
    ],
)
def test_a_national_number_withstands_every_contributor_that_subtracts_its_own(
    contributors: dict[str, int], reason: Withheld | None
) -> None:
    """Three institutions and ten people remain whoever takes its own rows out."""
    assert _reasons(suppress(table(mean(Group.ALL, contributors)), "public", POLICY)) == [reason]


@pytest.mark.parametrize(
    ("positives", "reason"),
    [
        ({"alfa": 3, "beta": 3, "gamma": 3, "delta": 3}, None),
        ({"alfa": 1, "beta": 1, "gamma": 1, "delta": 1}, Withheld.SMALL),
        ({"alfa": 8, "beta": 1, "gamma": 1, "delta": 1}, Withheld.COMPLEMENT),
        ({"alfa": 7, "beta": 7, "gamma": 7, "delta": 7}, Withheld.SMALL),
        ({"alfa": 2, "beta": 8, "gamma": 8, "delta": 6}, Withheld.COMPLEMENT),
        ({}, Withheld.SMALL),
    ],
)
def test_a_borrowed_share_hides_few_with_and_few_without(positives: dict[str, int], reason: Withheld | None) -> None:
    """N and N−n are at least five in what remains for every recipient, of zero too."""
    shown = suppress(table(share("aap", FOUR, positives), borrowed=True), "institution", POLICY)
    assert _reasons(shown) == [reason]


def test_people_that_two_institutions_hold_protect_nobody() -> None:
    """They count in the share shown, but not in what is judged, which counts contributors."""
    figure = share("aap", FOUR, {"alfa": 3, "beta": 3, "gamma": 3, "delta": 3})
    doubled = Figure(**{**vars(figure), "count": 40, "denominator": 80, "positives": (("beta", 4),)})
    assert _reasons(suppress(table(doubled, borrowed=True), "institution", POLICY)) == [Withheld.SMALL]


def test_a_withheld_figure_holds_no_number_at_all() -> None:
    """Value, interval, count and denominator go together."""
    [figure] = suppress(table(mean(Group.ALL, {"alfa": 3})), "public", POLICY).figures
    numbers = (figure.value, figure.low, figure.high, figure.count, figure.denominator)
    assert numbers == (None, None, None, None, None)


def test_a_mean_of_equal_answers_is_withheld() -> None:
    """An interval of no width tells what every single one answered."""
    figure = mean(Group.ALL, FOUR, interval=(85 / 14, 85 / 14))
    assert _reasons(suppress(table(figure), "public", POLICY)) == [Withheld.SMALL]


@pytest.mark.parametrize(("silent", "withheld"), [(0, False), (1, True), (4, True), (5, False)])
def test_a_change_is_withheld_where_few_did_not_answer_twice(silent: int, withheld: bool) -> None:
    """With both means and the change, the mean of those who answered only once could be computed."""
    everyone, paired = FOUR | {"delta": 20}, FOUR | {"delta": 20 - silent}
    shown = suppress(
        table(
            mean(Group.ALL, everyone),
            mean(Group.ALL, paired, time_point="month_12"),
            mean(Group.ALL, paired, time_point="month_12", statistic=Statistic.MEAN_CHANGE),
        ),
        "public",
        POLICY,
    )
    assert _reasons(shown) == [None, None, Withheld.COMPLEMENT if withheld else None]


def test_a_change_is_withheld_where_few_are_left_for_an_insider() -> None:
    """Six who answered once are enough for the public, not for the institution that holds four of them."""
    paired = FOUR | {"alfa": 4, "delta": 6}
    figures = (
        mean(Group.ALL, FOUR),
        mean(Group.ALL, paired, time_point="month_12"),
        mean(Group.ALL, paired, time_point="month_12", statistic=Statistic.MEAN_CHANGE),
    )
    assert _reasons(suppress(table(*figures), "public", POLICY)) == [None, None, Withheld.COMPLEMENT]


def test_at_least_one_is_withheld_where_it_bounds_a_withheld_benefit() -> None:
    """At least any − (the sum of those shown) receive the withheld one, so any and none go too."""
    few = {"alfa": 1, "beta": 1, "gamma": 1, "delta": 0}
    many = {"alfa": 3, "beta": 3, "gamma": 3, "delta": 3}
    both = {name: few[name] + many[name] for name in many}
    neither = {name: FOUR[name] - both[name] for name in many}
    figures = [
        share("aap", FOUR, few),
        share("sick_pay", FOUR, many),
        share("any", FOUR, both),
        share("none", FOUR, neither),
    ]
    shown = suppress(table(*figures, borrowed=True), "institution", POLICY)
    assert _reasons(shown) == [Withheld.SMALL, None, Withheld.COMPLEMENT, Withheld.COMPLEMENT]
    inside = suppress(table(*figures[:2], share("any", FOUR, many), borrowed=True), "institution", POLICY)
    assert _reasons(inside) == [Withheld.SMALL, None, None]


@given(
    st.dictionaries(st.sampled_from(["alfa", "beta", "gamma", "delta", "eps"]), st.integers(0, 30), max_size=5),
    st.data(),
)
def test_whatever_is_shown_to_everyone_is_large_for_everyone(contributors: dict[str, int], data: st.DataObject) -> None:
    """No public number has fewer than the floors behind it for any recipient."""
    positives = {name: data.draw(st.integers(0, people)) for name, people in contributors.items()}
    if not sum(contributors.values()):
        return
    [figure] = suppress(table(share("aap", contributors, positives), borrowed=True), "public", POLICY).figures
    if figure.withheld is None:
        for viewer in ["", *contributors]:
            left = [name for name in contributors if name != viewer]
            people, count = sum(contributors[name] for name in left), sum(positives[name] for name in left)
            assert people >= 10
            assert count >= 5
            assert people - count >= 5
            assert sum(1 for name in left if contributors[name]) >= 3


def test_numbers_leave_rounded() -> None:
    """A mean has the decimals of its table, a share three, and nothing is shown as minus zero."""
    [figure] = suppress(table(mean(Group.ALL, FOUR, interval=(-0.01, 6.875))), "public", POLICY).figures
    assert (figure.value, str(figure.low), figure.high) == (6.1, "0.0", 6.9)
    [portion] = suppress(
        table(share("aap", FOUR, {"alfa": 4, "beta": 4, "gamma": 4}), borrowed=True), "public", POLICY
    ).figures
    assert (portion.value, portion.low, portion.high) == (0.375, 0.123, 0.988)
    wider = Policy(decimals={"work_ability": 2})
    assert suppress(table(mean(Group.ALL, FOUR)), "public", wider).figures[0].value == 6.07


@pytest.mark.parametrize(
    "below",
    [{"minimum_count": 4}, {"minimum_denominator": 9}, {"minimum_institutions": 2}],
    ids=lambda below: next(iter(below)),
)
def test_no_definition_lowers_a_floor(below: dict[str, int]) -> None:
    """A threshold below the floor in the code halts."""
    lowered = DEFINITION.model_copy(update={"disclosure": Disclosure(**below)})
    with pytest.raises(Halt, match="H_POLICY_BELOW_FLOOR"):
        policy_for(lowered)


def test_a_definition_may_raise_a_floor() -> None:
    """Thresholds above the floors are those that count."""
    raised = DEFINITION.model_copy(update={"disclosure": Disclosure(minimum_denominator=40)})
    assert _reasons(suppress(table(mean(Group.ALL, FOUR)), "public", policy_for(raised))) == [Withheld.SMALL]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: suppress(table(mean(Group.OWN, FOUR)), "public", POLICY),
        lambda: suppress(table(mean(Group.ALL, FOUR), recipient="alfa"), "public", POLICY),
        lambda: suppress(table(mean(Group.ALL, FOUR), recipient="alfa", borrowed=True), "institution", POLICY),
        lambda: suppress(table(mean(Group.ALL, FOUR)), "institution", POLICY),
    ],
)
def test_a_table_that_does_not_fit_its_audience_is_refused(wrong: object) -> None:
    """Own and others never reach a table for everyone, and an institution's table names it."""
    with pytest.raises(ValueError, match="a table for"):
        wrong()  # type: ignore[operator]


def test_the_texts_of_withheld_numbers_are_those_that_do_not_occur_by_chance() -> None:
    """Full digits with point and comma, of withheld figures only."""
    result = table(mean(Group.ALL, {"alfa": 3}), mean(Group.ALL, FOUR, interval=(1.23456, 2.34567)))
    assert withheld_texts(result, suppress(result, "public", POLICY)) == {"6.071428571428571", "6,071428571428571"}


def test_the_same_table_is_suppressed_in_the_same_way() -> None:
    """No set order or chance decides what is withheld."""
    figures = [mean(Group.ALL, {name: random.Random(n).randrange(20) for name in FOUR}) for n in range(20)]
    assert suppress(table(*figures), "public", POLICY) == suppress(table(*figures), "public", POLICY)
    assert all(isinstance(figure, ReleasableFigure) for figure in suppress(table(*figures), "public", POLICY).figures)
