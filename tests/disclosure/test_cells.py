"""Attacks on shares, transitions and response rates: an insider that subtracts, and linear programs with every sum."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.partition import withheld_cells
from enclave.disclosure.policy import Policy, policy_for
from enclave.disclosure.suppress import suppress
from enclave.model.table import Figure, Group, Pairs, ReleasableTable, ResultTable, Statistic
from enclave.registry.definition import Category, Definition, Label, ShareTable
from tests.analysis.kar import Course, kar, made_up, tables_of
from tests.disclosure.tables import share, table

INSTITUTIONS = ("alfa", "beta", "delta", "eps", "gamma")
CODES = ("none", "partial", "full")
Counts = dict[str, dict[tuple[str, str], int]]
"""people of each institution, by first and later answer"""


def _cell(counts: Counts, origin: str, code: str, group: Group, whose: Sequence[str]) -> Figure:
    row = {name: sum(n for (first, _), n in counts[name].items() if first == origin) for name in whose}
    positives = {name: counts[name].get((origin, code), 0) for name in whose}
    total, count = sum(row.values()), sum(positives.values())
    return Figure(
        category=code,
        time_point="follow_up_12",
        group=group,
        statistic=Statistic.TRANSITION,
        value=count / total if total else None,
        low=0.123456789012,
        high=0.987654321098,
        count=count,
        denominator=total,
        contributors=tuple((name, people) for name, people in sorted(row.items()) if people),
        positives=tuple((name, people) for name, people in sorted(positives.items()) if people),
        origin=origin,
    )


def _tables(counts: Counts) -> tuple[list[ResultTable], ResultTable]:
    """Each institution's table and the national one."""

    def cells(group: Group, whose: Sequence[str]) -> list[Figure]:
        return [_cell(counts, origin, code, group, whose) for origin in CODES for code in CODES]

    everyone = cells(Group.ALL, list(counts))
    own = [
        table(
            *cells(Group.OWN, [name]),
            *cells(Group.OTHERS, [other for other in counts if other != name]),
            *everyone,
            recipient=name,
        )
        for name in counts
    ]
    return own, table(*everyone)


def _drawn(seed: int) -> Counts:
    chance = random.Random(seed)
    names = INSTITUTIONS[: chance.choice([3, 4, 5, 5, 5])]
    size = chance.choice([15, 40, 90])
    weights = [chance.random() ** 2 for _ in range(9)]
    places = list(itertools.product(CODES, CODES))
    counts: Counts = {name: dict.fromkeys(places, 0) for name in names}
    for name in names:
        for place in chance.choices(places, weights, k=size):
            counts[name][place] += 1
    return counts


def _seen(shown: ReleasableTable, insider: str, counts: Counts) -> dict[tuple[str, str], int]:
    """The people of the others in each cell that the insider can tell from one table, its own taken out."""
    found = {}
    for figure in shown.figures:
        place = (figure.origin, figure.category)
        if figure.withheld is None and figure.count is not None and figure.group is not Group.OWN:
            own = counts[insider][place] if figure.group is Group.ALL and insider else 0
            found[place] = figure.count - own
    return found


def _range(place: tuple[str, str], known: Mapping[tuple[str, str], int], truth: Mapping[tuple[str, str], int]) -> float:
    """How many whole numbers a cell spans for an attacker who knows every row sum, every column sum and `known`."""
    places = list(itertools.product(CODES, CODES))
    rows = [[float(p[0] == code) for p in places] for code in CODES]
    columns = [[float(p[1] == code) for p in places] for code in CODES]
    given = [[float(p == one) for p in places] for one in known]
    sums = [sum(row[i] * truth[p] for i, p in enumerate(places)) for row in rows + columns + given]
    aim = np.array([float(p == place) for p in places])
    ends = [
        linprog(sign * aim, A_eq=np.array(rows + columns + given), b_eq=np.array(sums), bounds=(0, None)).x @ aim
        for sign in (1, -1)
    ]
    return float(ends[1] - ends[0])


@pytest.mark.parametrize("seed", range(20))
def test_no_recipient_can_compute_a_small_transition(seed: int) -> None:
    """A small cell of the others spans five people, or what the sums alone leave open – from both its tables at once.

    The attacker is given every row sum and every column sum of the others, though no table shows them, and lays its
    own table and the national one on top of each other.
    """
    counts = _drawn(seed)
    own, national = _tables(counts)
    public = suppress(national, "public", Policy())
    for insider in ("", *counts):
        others = [name for name in counts if name != insider]
        truth = {place: sum(counts[name][place] for name in others) for place in counts[others[0]]}
        known = _seen(public, insider, counts)
        if insider:
            mine = next(each for each in own if each.recipient == insider)
            known |= _seen(suppress(mine, "institution", Policy()), insider, counts)
        assert all(number == truth[place] for place, number in known.items())
        for place, people in truth.items():
            row = sum(number for (origin, _), number in truth.items() if origin == place[0])
            if people >= 5 and row - people >= 5 and row >= 10 and len(others) >= 3:
                continue
            assert place not in known
            assert _range(place, known, truth) >= min(5, _range(place, {}, truth)) - 1e-6


def test_primary_suppression_alone_would_give_a_cell_away() -> None:
    """One small cell in a row of three is the row less the other two: the attack is real."""
    truth = dict(zip(itertools.product(CODES, CODES), (40, 30, 2, 30, 30, 30, 30, 30, 30), strict=True))
    assert _range(("none", "full"), {p: n for p, n in truth.items() if p != ("none", "full")}, truth) == 0
    counts = {name: dict.fromkeys(truth, 8) | {("none", "full"): 0} for name in INSTITUTIONS}
    counts["alfa"]["none", "full"] = 2
    _, national = _tables(counts)
    hidden = {(f.origin, f.category) for f in suppress(national, "public", Policy()).figures if f.withheld}
    assert ("none", "full") in hidden
    assert len(hidden) >= 4  # a rectangle: less would leave a row or a column with one unknown


def test_everyone_sees_the_same_pattern() -> None:
    """Which cells are withheld is one decision, so that no two tables show a cell and its complement."""
    for seed in range(12):
        own, national = _tables(_drawn(seed))
        public = {
            (f.origin, f.category): f.withheld is not None for f in suppress(national, "public", Policy()).figures
        }
        for mine in own:
            for figure in suppress(mine, "institution", Policy()).figures:
                if figure.group is not Group.OWN:
                    assert (figure.withheld is not None) == public[figure.origin, figure.category]
                else:
                    assert figure.withheld is None


def test_a_row_that_is_all_in_one_cell_tells_that_everyone_moved_there() -> None:
    """N − n counts as n: a cell that nearly everyone of its row is in is withheld, and so is the row."""
    places = itertools.product(CODES, CODES)
    counts = {name: dict.fromkeys(places, 8) for name in INSTITUTIONS}
    counts = {name: dict.fromkeys(itertools.product(CODES, CODES), 8) for name in INSTITUTIONS}
    for name in INSTITUTIONS:
        counts[name] |= {("full", "full"): 20, ("full", "none"): 0, ("full", "partial"): 0}
    _, national = _tables(counts)
    shown = suppress(national, "public", Policy())
    assert all(figure.withheld for figure in shown.figures if figure.origin == "full")


def _completion(counts: Mapping[str, Sequence[int]]) -> ResultTable:
    people = {name: sum(row) for name, row in counts.items()}
    figures = [
        share(category, people, {name: row[number] for name, row in counts.items()}, "discharge")
        for number, category in enumerate(("completed", "partly", "interrupted"))
    ]
    return replace(table(*figures), table="completion")


def test_shares_that_exclude_each_other_are_withheld_two_by_two() -> None:
    """With two shown the third is what is left; with a rest that is in no category one alone is enough."""
    counts = dict.fromkeys(INSTITUTIONS, (30, 10, 1)) | {"alfa": (30, 10, 0)}
    shown = suppress(_completion(counts), "public", policy_for(kar()))
    assert [figure.category for figure in shown.figures if figure.withheld] == ["partly", "interrupted"]
    assert [f.category for f in suppress(_completion(counts), "public", Policy()).figures if f.withheld] == [
        "interrupted"
    ]
    with_rest = _completion(counts)
    figures = tuple(
        replace(figure, contributors=tuple((name, people + 6) for name, people in figure.contributors))
        for figure in with_rest.figures
    )
    shown = suppress(replace(with_rest, figures=figures), "public", policy_for(kar()))
    assert [figure.category for figure in shown.figures if figure.withheld] == ["interrupted"]


def _change(**parts: int) -> ResultTable:
    """A paired change of five institutions, eight gained and lost at each; what is named is the sixth's alone.

    Who gained, lost or stayed is replaced as a whole.
    """
    usual = dict.fromkeys(Pairs.__dataclass_fields__, 0) | {"gained": 8, "lost": 8, "same": 20}
    held = {name: tuple((each, usual[name]) for each in INSTITUTIONS if usual[name]) for name in usual}
    for name, people in parts.items():
        held[name] = (("zeta", people),) if people else ()
    pairs = Pairs(**held)
    figure = Figure(
        category="at_work",
        time_point="follow_up_12",
        group=Group.ALL,
        statistic=Statistic.SHARE_CHANGE,
        value=0.0,
        low=-0.1,
        high=0.1,
        count=None,
        denominator=180,
        contributors=tuple((name, 36) for name in INSTITUTIONS),
        pairs=pairs,
    )
    return replace(table(figure), table="work_participation")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, True),
        ({"gained": 4}, False),
        ({"lost": 0}, False),
        ({"same": 3}, False),
        ({"first_in": 3}, False),
        ({"first_out": 3}, False),
        ({"first_in": 3, "first_out": 9, "later_in": 3, "later_out": 9}, True),  # 0 to 12 at each end, for anyone
        ({"first_in": 30, "first_out": 30, "later_in": 1, "later_out": 2}, True),
        ({"first_in": 2, "first_out": 60, "later_in": 1, "later_out": 2}, False),
    ],
)
def test_a_change_tells_of_those_who_changed_and_of_those_who_answered_once(parts: dict[str, int], told: bool) -> None:
    """Gained, lost and unchanged are five each, and those who answered once are many, or as open as they were."""
    shown = suppress(_change(**parts), "public", Policy())
    assert (shown.figures[0].withheld is None) is told


@pytest.mark.parametrize("seed", range(9))
def test_no_insider_learns_a_small_number_of_those_who_answered_once(seed: int) -> None:
    """Brute force over all they could be: what was small stays as open as it was before the change was shown."""
    courses = made_up(seed, people=random.Random(seed).choice([90, 200, 400]))
    made = [
        each
        for name in ("work_participation", "benefits")
        for each in tables_of(courses, only=name, institutions=INSTITUTIONS[:2])
    ]
    for each in made:
        audience = "institution" if each.recipient else "public"
        shown = suppress(each, audience, policy_for(kar()))
        for figure, released in zip(each.figures, shown.figures, strict=True):
            if figure.pairs is None or figure.group is not Group.ALL or released.withheld:
                continue
            for insider in [each.recipient] if each.recipient else INSTITUTIONS:
                left = {
                    name: sum(people for holder, people in getattr(figure.pairs, name) if holder != insider)
                    for name in Pairs.__dataclass_fields__
                }
                assert min(left["gained"], left["lost"], left["same"]) >= 5
                _check_once(left)


def _check_once(left: Mapping[str, int]) -> None:
    first, later = left["first_in"] + left["first_out"], left["later_in"] + left["later_out"]
    more = left["later_in"] - left["first_in"]
    possible = [(a, b) for a in range(first + 1) for b in range(later + 1) if b - a == more]
    for number, (name, people) in enumerate((("first", first), ("later", later))):
        small = min(left[f"{name}_in"], left[f"{name}_out"]) < 5
        if people and small:
            assert {pair[number] for pair in possible} == set(range(people + 1))


@pytest.mark.parametrize("seed", range(3))
def test_no_insider_is_shown_a_small_share_or_response_rate(seed: int) -> None:
    """Whoever takes its own people from what it sees is left with at least five, of ten or more, of three others."""
    courses = made_up(seed, people=random.Random(seed).choice([60, 150, 300]))
    made = tables_of(courses, institutions=INSTITUTIONS)
    policy = policy_for(kar())
    for recipient in ("", *INSTITUTIONS):
        tables = [each for each in made if each.recipient == recipient]
        audience = "institution" if recipient else "public"
        for each, shown in zip(tables, suppress_together(tables, kar(), audience, policy), strict=True):
            for figure, released in zip(each.figures, shown.figures, strict=True):
                if figure.group is Group.OWN:
                    assert released.withheld is None
                elif released.withheld is None and figure.statistic in (Statistic.SHARE, Statistic.TRANSITION):
                    for insider in ["", recipient] if recipient else ["", *INSTITUTIONS]:
                        people = sum(n for name, n in figure.contributors if name != insider)
                        inside = sum(n for name, n in figure.positives if name != insider)
                        assert people >= 10
                        assert 5 <= inside <= people - 5
                if released.withheld is not None:
                    assert (released.value, released.count, released.denominator) == (None, None, None)
            _check_ends(shown)


def _check_ends(shown: ReleasableTable) -> None:
    """A change that is shown stands beside both of its shares, and a total beside its others."""
    shares = [f for f in shown.figures if f.statistic is Statistic.SHARE]
    for change in (f for f in shown.figures if f.statistic is Statistic.SHARE_CHANGE and f.withheld is None):
        ends = [
            share
            for share in shares
            if (share.category, share.group) == (change.category, change.group)
            and share.time_point in (shares[0].time_point, change.time_point)
        ]
        assert [share.withheld for share in ends] == [None, None]
    told = {(f.group, f.statistic, f.category, f.origin, f.time_point) for f in shown.figures if f.withheld is None}
    if shown.recipient:
        assert {place[1:] for place in told if place[0] is Group.ALL} <= {
            place[1:] for place in told if place[0] is Group.OTHERS
        }


def _with(definition: Definition, *tables: ShareTable) -> Definition:
    return definition.model_copy(update={"tables": (*definition.tables, *tables)})


def _share_table(name: str, holds: str, *forms: str) -> ShareTable:
    label = Label(nb=name, en=name)
    category = Category(id="it", label=label, holds=holds)
    return ShareTable(id=name, kind="share", label=label, forms=forms, categories=(category,))


def _together(courses: list[Course], definition: Definition) -> dict[str, ReleasableTable]:
    tables = [each for each in tables_of(courses, definition=definition) if not each.recipient]
    return {each.table: each for each in suppress_together(tables, definition, "public", policy_for(definition))}


def _steady(people: int, change: Mapping[int, Mapping[str, object]]) -> list[Course]:
    """Courses that answer alike, ten in a row each of nine ways; `change` overwrites the follow-up of some."""
    courses = made_up(1, people=people, institutions=INSTITUTIONS)
    answers: dict[str, object] = {f"benefits_{name}": False for name in ("sick_pay", "aap", "disability_pension")}
    answers |= {"benefits_social_assistance": False, "benefits_unemployment": False}
    result = []
    for number, course in enumerate(courses):
        row = {**course.rows["arrival"], **answers, "response_date": course.rows["discharge"]["end_date"]}
        row |= {"sick_leave": CODES[number // 5 % 3]}
        kind = number // 5 % 6
        later = row | {
            "benefits_sick_pay": kind == 0,
            "benefits_aap": kind == 1,
            "benefits_disability_pension": kind == 2,
        }
        later |= {"benefits_social_assistance": kind in (0, 1), "benefits_unemployment": kind == 0}
        later |= {"sick_leave": CODES[number // 15 % 3]}
        rows = {"arrival": row, "discharge": course.rows["discharge"], "follow_up_12": later | change.get(number, {})}
        result.append(Course(INSTITUTIONS[number % 5], number, number, rows))
    return result


def test_a_share_that_holds_few_more_than_another_is_withheld() -> None:
    """Those without a health-related benefit, less those without any, are three who are unemployed."""

    def told(courses: list[Course]) -> set[str]:
        shown = _together(courses, kar())
        return {
            figure.category
            for name in ("benefits", "full_return_to_work")
            for figure in shown[name].figures
            if (figure.time_point, figure.statistic) == ("follow_up_12", Statistic.SHARE) and figure.withheld is None
        }

    assert {"none", "no_health_benefit", "unemployment"} <= told(_steady(300, {}))
    few = {number: {"benefits_unemployment": True} for number in (15, 46, 77)}
    assert "unemployment" in told(_steady(300, few))
    assert len({"none", "no_health_benefit"} & told(_steady(300, few))) == 1


def test_a_share_that_reads_all_of_a_withheld_one_is_withheld() -> None:
    """With few disability pensions, those with none of three benefits, less sick pay and AAP, would bound them."""
    nobody = {number: {"benefits_disability_pension": False} for number in range(300)}
    few = {number: {"benefits_disability_pension": True} for number in (10, 41, 72)}
    shown = _together(_steady(300, nobody | few), kar())
    pension = next(
        figure
        for figure in shown["benefits"].figures
        if (figure.category, figure.time_point) == ("disability_pension", "follow_up_12")
    )
    assert pension.withheld
    assert shown["full_return_to_work"].figures[0].withheld


def test_transitions_do_not_tell_who_answered_once() -> None:
    """The share on sick leave at arrival less a row's sum leaves two, who were never asked again: the row goes."""
    definition = _with(kar(), _share_table("on_sick_leave", "sick_leave <> 'none'", "arrival"))
    courses = _steady(450, {})
    gone = [course for course in courses if course.rows["arrival"]["sick_leave"] == "full"][:2]
    fewer = [
        Course(c.sender, c.person, c.number, {k: v for k, v in c.rows.items() if c not in gone or k != "follow_up_12"})
        for c in courses
    ]
    complete = _together(courses, definition)["sick_leave_transitions"]
    shown = _together(fewer, definition)["sick_leave_transitions"]
    at_12 = [figure for figure in shown.figures if figure.time_point == "follow_up_12"]
    assert not any(figure.withheld for figure in complete.figures if figure.time_point == "follow_up_12")
    assert {figure.origin for figure in at_12 if figure.withheld} == {"partial", "full"}


def test_an_unsolved_or_empty_table_withholds_everything() -> None:
    """A table of nobody has no cell to show."""
    _, national = _tables({name: dict.fromkeys(itertools.product(CODES, CODES), 0) for name in INSTITUTIONS})
    assert withheld_cells(national.figures, Policy()) == frozenset(range(9))
