"""Tables of shares, response rates and transitions, against a recomputation in plain Python."""

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta

import pytest
from pydantic import TypeAdapter

from enclave.analysis.courses import Scope
from enclave.analysis.shares import answers, response_tables
from enclave.analysis.statistics import paired_change_interval
from enclave.model.purpose import Purpose
from enclave.model.table import ANY, NONE, Figure, Group, ResultTable, Statistic
from enclave.registry.definition import ResponseTable
from tests.analysis.kar import BENEFITS, CLOSED, PERIOD, Course, FormReader, Row, kar, made_up, tables_of

FORMS = ("arrival", "discharge", "follow_up_6", "follow_up_12")
INSTITUTIONS = ("alfa", "beta", "gamma")
Answer = Callable[[Row], bool | None]


def _benefit(name: str) -> Answer:
    return lambda row: row.get(f"benefits_{name}")  # type: ignore[return-value]


def _any(row: Row) -> bool | None:
    found = [row.get(f"benefits_{name}") for name in BENEFITS]
    return True if True in found else None if None in found else False


def _none(row: Row) -> bool | None:
    found = _any(row)
    return None if found is None else not found


def _at_work(row: Row) -> bool | None:
    percent = row.get("work_participation_percent")
    return None if percent is None else percent > 0  # type: ignore[operator]


def _full_return(row: Row) -> bool | None:
    found = [row.get(f"benefits_{name}") for name in BENEFITS[:3]]
    return False if True in found else None if None in found else True


ORACLES: dict[str, dict[str, Answer]] = {
    "work_participation": {"at_work": _at_work},
    "full_return_to_work": {"no_health_benefit": _full_return},
    "benefits": {**{name: _benefit(name) for name in BENEFITS}, ANY: _any, NONE: _none},
}


def _members(courses: list[Course], table: ResultTable, group: Group) -> list[Course]:
    match group:
        case Group.OWN:
            return [course for course in courses if course.sender == table.recipient]
        case Group.OTHERS:
            return [course for course in courses if course.sender != table.recipient]
    return courses


def _people(members: list[Course]) -> tuple[tuple[str, int], ...]:
    senders = sorted({course.sender for course in members})
    return tuple((name, len({course.person for course in members if course.sender == name})) for name in senders)


def _figure(table: ResultTable, group: Group, category: str, time_point: str, **further: object) -> Figure:
    wanted = {"statistic": Statistic.SHARE, "origin": ""} | further
    [found] = [
        figure
        for figure in table.figures
        if (figure.group, figure.category, figure.time_point) == (group, category, time_point)
        and all(getattr(figure, name) == value for name, value in wanted.items())
    ]
    return found


@pytest.mark.parametrize("table", sorted(ORACLES))
def test_every_share_and_its_change_is_what_plain_python_computes(table: str) -> None:
    """n, numerator, people, pairs, gains and losses of each group agree with a loop over the courses."""
    courses = made_up(3, people=150)
    forms = FORMS if table != "full_return_to_work" else ("follow_up_12",)
    for made in tables_of(courses, only=table, institutions=INSTITUTIONS):
        for group in list(Group) if made.recipient else [Group.ALL]:
            members = _members(courses, made, group)
            for category, asked in ORACLES[table].items():
                told = {form: {c.number: asked(c.rows[form]) for c in members if form in c.rows} for form in forms}
                for form in forms:
                    known = [c for c in members if told[form].get(c.number) is not None]
                    inside = [c for c in known if told[form][c.number]]
                    figure = _figure(made, group, category, form)
                    assert (figure.count, figure.denominator) == (len(inside), len(known))
                    assert figure.value == pytest.approx(len(inside) / len(known))
                    assert (figure.contributors, figure.positives) == (_people(known), _people(inside))
                for form in forms[1:]:
                    _check_change(made, group, category, form, members, told[forms[0]], told[form])


def _check_change(
    made: ResultTable,
    group: Group,
    category: str,
    form: str,
    members: list[Course],
    first: dict[int, bool | None],
    later: dict[int, bool | None],
) -> None:
    figure = _figure(made, group, category, form, statistic=Statistic.SHARE_CHANGE)
    by_answer: dict[tuple[bool | None, bool | None], list[Course]] = {}
    for course in members:
        by_answer.setdefault((first.get(course.number), later.get(course.number)), []).append(course)
    gained, lost = by_answer.get((False, True), []), by_answer.get((True, False), [])
    same = by_answer.get((True, True), []) + by_answer.get((False, False), [])
    pairs = len(gained) + len(lost) + len(same)
    assert (figure.denominator, figure.count) == (pairs, None)
    assert figure.value == pytest.approx((len(gained) - len(lost)) / pairs)
    assert figure.pairs is not None
    assert (figure.pairs.gained, figure.pairs.lost) == (_people(gained), _people(lost))
    assert sum(people for _, people in figure.pairs.same) == len(same)
    for part, key in (
        (figure.pairs.first_in, (True, None)),
        (figure.pairs.first_out, (False, None)),
        (figure.pairs.later_in, (None, True)),
        (figure.pairs.later_out, (None, False)),
    ):
        assert part == _people(by_answer.get(key, []))


def test_every_transition_is_what_plain_python_computes() -> None:
    """Each cell counts those who gave both answers, of all who gave the first and answered again."""
    courses = made_up(4, people=150)
    codes = ("none", "partial", "full")
    for made in tables_of(courses, only="sick_leave_transitions", institutions=INSTITUTIONS):
        for group in list(Group) if made.recipient else [Group.ALL]:
            for form in ("follow_up_6", "follow_up_12"):
                moved = [
                    (c.rows["arrival"].get("sick_leave"), c.rows[form].get("sick_leave"))
                    for c in _members(courses, made, group)
                    if form in c.rows
                ]
                moved = [pair for pair in moved if None not in pair]
                for origin in codes:
                    row = [pair for pair in moved if pair[0] == origin]
                    for code in codes:
                        figure = _figure(made, group, code, form, statistic=Statistic.TRANSITION, origin=origin)
                        assert (figure.count, figure.denominator) == (row.count((origin, code)), len(row))


def test_the_response_rate_counts_what_fell_due_before_the_period_closed() -> None:
    """Due is 6 or 12 months and 42 days after discharge; an answer counts whenever it came, and only if it was due."""
    courses = made_up(5, people=200)
    for made in tables_of(courses, only="response", institutions=INSTITUTIONS):
        for group in list(Group) if made.recipient else [Group.ALL]:
            for form in ("follow_up_6", "follow_up_12"):
                due = kar().form(form).due
                assert due is not None
                owed = [
                    c
                    for c in _members(courses, made, group)
                    if due.window(c.rows["discharge"]["end_date"])[1] < CLOSED  # type: ignore[arg-type]
                ]
                figure = _figure(made, group, "answered", form)
                assert (figure.count, figure.denominator) == (sum(form in c.rows for c in owed), len(owed))


def _ended(number: int, day: date | None) -> Course:
    rows: dict[str, Row] = {"arrival": {"arrival_date": date(2023, 3, 1)}}
    if day is not None:
        rows["discharge"] = {"end_date": day}
    return Course("alfa", number, number, rows)


def test_a_follow_up_is_due_the_day_after_its_tolerance() -> None:
    """The last day of the tolerance is not yet due on itself, the day before is; without a discharge nothing is due."""
    last = date(2024, 1, 1) - timedelta(days=43)
    on_time = next(d for d in (date(2023, 1, 1) + timedelta(days=n) for n in range(365)) if _last_day(d) == last)
    courses = [_ended(1, on_time), _ended(2, on_time + timedelta(days=1)), _ended(3, None)]
    table = ResponseTable(id="response", kind="response", label=kar().tables[0].label, forms=("follow_up_6",))
    [made] = response_tables(
        FormReader(courses, {}),
        kar(),
        table,
        Scope(PERIOD, (), 7, "d" * 64),
        closed_on=_last_day(on_time) + timedelta(1),
    )
    assert [(figure.count, figure.denominator) for figure in made.figures] == [(0, 1)]


def _last_day(ended: date) -> date:
    due = kar().form("follow_up_6").due
    assert due is not None
    return due.window(ended)[1]


def test_someone_reserved_from_comparison_counts_in_own_numbers_only() -> None:
    """Others, all and the national table have neither of two who are barred from one purpose each."""
    courses = made_up(6, people=80)
    mine = [course.person for course in courses if course.sender == "alfa"][:2]
    barred = {Purpose.COMPARISON: {mine[0]}, Purpose.NATIONAL: {mine[1]}}
    with_all = tables_of(courses, only="completion")
    without = tables_of(courses, only="completion", reserved=barred)
    for group, fewer in ((Group.OWN, 0), (Group.ALL, 2), (Group.OTHERS, 0)):
        before, after = (_figure(made[0], group, "completed", "discharge") for made in (with_all, without))
        assert before.denominator - after.denominator == fewer
    assert without[0].figures[-3:] == without[1].figures[-3:]


def test_a_code_that_is_no_answer_is_missing() -> None:
    """Not stated is neither true nor false for an expression."""
    rows: list[Row] = [{"arrival_date": date(2023, 2, 1), "education": code} for code in ("not_stated", "primary")]
    reader = FormReader([Course("alfa", n, n, {"arrival": row}) for n, row in enumerate(rows)], {})
    frame = answers(reader, kar().form("arrival"), state=1, purpose=Purpose.OWN_RESULTS)
    assert frame["education"].to_list() == [None, "primary"]


def test_the_order_of_rows_changes_nothing() -> None:
    """Shuffled courses give equal tables."""
    courses = made_up(7, people=60)
    shuffled = courses[:]
    random.Random(1).shuffle(shuffled)
    assert tables_of(courses) == tables_of(shuffled)


def test_an_empty_registry_gives_tables_without_numbers() -> None:
    """Nothing is no share, and no change."""
    figures = [figure for made in tables_of([], institutions=()) for figure in made.figures]
    assert figures
    assert {(figure.value, figure.denominator) for figure in figures} == {(None, 0)}


def test_the_interval_of_a_paired_change_adds_a_pair_to_each_side() -> None:
    """1 gained and 7 lost of 21 are reckoned as 2 and 8 of 23, by hand; no pairs have no change."""
    estimate = paired_change_interval(1, 7, 21)
    half = 1.959964 * ((10 / 23 - (6 / 23) ** 2) / 23) ** 0.5
    assert estimate.value == pytest.approx(-6 / 21)
    assert (estimate.low, estimate.high) == (pytest.approx(-6 / 23 - half), pytest.approx(-6 / 23 + half))
    assert paired_change_interval(0, 0, 0).value is None


@pytest.mark.parametrize(("gain", "loss"), [(0.1, 0.1), (0.3, 0.1), (0.05, 0.2)])
def test_the_interval_of_a_paired_change_covers_the_truth(gain: float, loss: float) -> None:
    """In 2 000 draws of 40 pairs it holds the true change in at least 93 of 100."""
    chance = random.Random(11)
    covered = 0
    for _ in range(2000):
        draws = [chance.random() for _ in range(40)]
        gained, lost = sum(draw < gain for draw in draws), sum(draw > 1 - loss for draw in draws)
        estimate = paired_change_interval(gained, lost, 40)
        covered += (estimate.low or 0) <= gain - loss <= (estimate.high or 0)
    assert covered >= 0.93 * 2000


def test_a_table_of_every_kind_is_kept_and_read_back_whole() -> None:
    """What the registry database keeps is JSON; each kind of figure comes out as it went in."""
    for made in tables_of(made_up(8, people=40)):
        kept = json.dumps(asdict(made), sort_keys=True, allow_nan=False)
        assert TypeAdapter(ResultTable).validate_json(kept, strict=True) == made
