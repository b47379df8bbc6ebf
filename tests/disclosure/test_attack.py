"""Linear programs that try to compute what was withheld, from all that a recipient sees and holds."""

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import linprog

from enclave.analysis.change import change_tables
from enclave.disclosure.policy import Policy
from enclave.disclosure.suppress import suppress
from enclave.model.table import Group, ReleasableFigure, Withheld
from tests.analysis.example import BENEFITS, CHANGE, DEFINITION, PERIOD, SHA, Course, MemoryReader
from tests.disclosure.tables import share, table

HOLDINGS = list(itertools.product([0, 1], repeat=len(BENEFITS)))  # which benefits a person has: 8 kinds of people
CATEGORIES = (*BENEFITS, "any", "none")


def _has(category: str, holding: tuple[int, ...]) -> bool:
    if category in BENEFITS:
        return bool(holding[BENEFITS.index(category)])
    return any(holding) if category == "any" else not any(holding)


def _range(
    objective: Sequence[float], equations: list[tuple[Sequence[float], float]], *, at_most: float | None = None
) -> tuple[float, float]:
    matrix, right = np.array([row for row, _ in equations]), np.array([value for _, value in equations])
    limit = {} if at_most is None else {"A_ub": np.array([objective]), "b_ub": np.array([at_most])}
    ends = []
    for sign in (1, -1):
        solved = linprog(sign * np.array(objective), A_eq=matrix, b_eq=right, bounds=(0, None), **limit)
        assert solved.status == 0, solved.message
        ends.append(sign * solved.fun)
    return ends[0], ends[1]


@pytest.mark.parametrize("seed", range(60))
def test_no_recipient_can_compute_a_withheld_benefit(seed: int) -> None:
    """Each withheld count, less the recipient's own people, lies in a range with more than one whole number.

    The attacker is given more than it has: it knows the benefits of all its own people and the number of people behind
    every share, and where at most four of the others have the withheld benefit it guesses that.
    """
    chance = random.Random(seed)
    institutions = ["alfa", "beta", "gamma", "delta"][: chance.choice([3, 4, 4, 4])]
    # Few hold two benefits, as in life; that is where "at least one" tells most about a rare one.
    weights = [chance.random() ** 3 * (0.02 if sum(holding) > 1 else 1) for holding in HOLDINGS]
    weights[HOLDINGS.index((0, 0, 1))] *= 0.2
    people = {name: [0] * len(HOLDINGS) for name in institutions}
    for name in institutions:
        for kind in chance.choices(range(len(HOLDINGS)), weights, k=chance.randint(4, 25)):
            people[name][kind] += 1
    figures = [
        share(
            category,
            {name: sum(people[name]) for name in institutions},
            {name: _count(category, people[name]) for name in institutions},
        )
        for category in CATEGORIES
    ]
    shown = suppress(table(*figures, borrowed=True), "institution", Policy())
    for insider in institutions:
        rest = [name for name in institutions if name != insider]
        totals = [sum(people[name][kind] for name in rest) for kind in range(len(HOLDINGS))]
        equations = [([1.0] * len(HOLDINGS), float(sum(totals)))]
        equations += [
            ([float(_has(figure.category, holding)) for holding in HOLDINGS], float(_known(figure, people[insider])))
            for figure in shown.figures
            if figure.withheld is None
        ]
        for figure in shown.figures:
            if figure.withheld is not None:
                having = [float(_has(figure.category, holding)) for holding in HOLDINGS]
                few = sum(number * has for number, has in zip(totals, having, strict=True)) <= 4
                low, high = _range(having, equations, at_most=4 if few else None)
                assert high - low >= 1, (insider, figure.category)


def _count(category: str, kinds: Sequence[int]) -> int:
    return sum(number for holding, number in zip(HOLDINGS, kinds, strict=True) if _has(category, holding))


def _known(figure: ReleasableFigure, own: Sequence[int]) -> int:
    assert figure.count is not None
    return figure.count - _count(figure.category, own)


@pytest.mark.parametrize("seed", range(60))
def test_no_recipient_can_single_out_who_answered_only_once(seed: int) -> None:
    """Where both means and the change are shown, those who answered at one time point only are none or at least five.

    Otherwise their mean follows: that of the pairs is the later mean less the change, and is subtracted.
    """
    chance = random.Random(seed)
    rates = chance.choice([0.6, 0.8, 0.95]), chance.choice([0.9, 1.0])
    courses = [
        Course(
            chance.choice(["alfa", "beta", "gamma", "delta", "eps"]),
            number,
            number,
            first=chance.randrange(11) if chance.random() < rates[1] else None,
            later=chance.randrange(11),
            followed_up=chance.random() < rates[0],
        )
        for number in range(chance.choice([30, 60, 120]))
    ]
    *own, national = change_tables(
        MemoryReader(courses),
        DEFINITION,
        CHANGE,
        period=PERIOD,
        institutions=["alfa", "beta"],
        state=1,
        definition_sha256=SHA,
    )
    shown = [(table.recipient, suppress(table, "institution", Policy())) for table in own]
    for insider in ["", "alfa", "beta", "gamma", "delta", "eps"]:
        seen = [table for recipient, table in shown if recipient == insider]
        for given in [*seen, suppress(national, "public", Policy())]:
            told = {
                (figure.statistic, figure.time_point)
                for figure in given.figures
                if figure.group is Group.ALL and figure.withheld is None
            }
            if len(told) < 3:
                continue
            rest = [course for course in courses if course.sender != insider]
            first = {course.number for course in rest if course.first is not None}
            later = {course.number for course in rest if course.followed_up and course.later is not None}
            for once in (first - later, later - first):
                assert len(once) == 0 or len(once) >= 5, insider


def test_without_complementary_suppression_the_attack_succeeds() -> None:
    """The linear program is a real attacker: told any, none and the other benefits, it finds the small one exactly."""
    equations = [
        ([1.0] * 8, 40.0),
        ([float(_has("none", holding)) for holding in HOLDINGS], 25.0),
        ([float(_has("sick_pay", holding)) for holding in HOLDINGS], 0.0),
        ([float(_has("disability_pension", holding)) for holding in HOLDINGS], 0.0),
    ]
    assert _range([float(_has("aap", holding)) for holding in HOLDINGS], equations) == (15.0, 15.0)


def test_at_least_one_would_give_a_rare_benefit_away() -> None:
    """Primary suppression alone leaves exactly four; with "any" and "none" withheld too, nothing from none to four."""
    institutions = ["alfa", "beta", "gamma", "delta"]
    kinds = [5, 1, 3, 0, 3, 0, 0, 0]  # nobody has two benefits: five none, one a pension, three aap, three sick pay
    assert [HOLDINGS[1], HOLDINGS[2], HOLDINGS[4]] == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    figures = [
        share(category, dict.fromkeys(institutions, 12), dict.fromkeys(institutions, _count(category, kinds)))
        for category in CATEGORIES
    ]
    shown = suppress(table(*figures, borrowed=True), "public", Policy())
    assert [figure.category for figure in shown.figures if figure.withheld] == ["disability_pension", "any", "none"]
    rare = [float(_has("disability_pension", holding)) for holding in HOLDINGS]

    def told(categories: Sequence[str]) -> list[tuple[Sequence[float], float]]:
        return [([1.0] * len(HOLDINGS), 48.0)] + [
            ([float(_has(category, holding)) for holding in HOLDINGS], 4.0 * _count(category, kinds))
            for category in categories
        ]

    assert _range(rare, told(["sick_pay", "aap", "any", "none"]), at_most=4) == pytest.approx((4.0, 4.0))
    assert _range(rare, told(["sick_pay", "aap"]), at_most=4) == pytest.approx((0.0, 4.0))


def test_two_clinics_never_see_each_other() -> None:
    """With two institutions every share is withheld, because each would subtract itself from the other."""
    figures = [share(category, {"alfa": 40, "beta": 40}, {"alfa": 20, "beta": 20}) for category in CATEGORIES]
    shown = suppress(table(*figures, borrowed=True), "institution", Policy())
    assert {figure.withheld for figure in shown.figures} == {Withheld.SMALL}
