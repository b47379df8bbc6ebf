"""The table from borrowed data, against a recomputation in plain Python."""

import random
from collections import defaultdict
from datetime import date

import pytest

from enclave.analysis.borrowed import loan_share_table
from enclave.model.table import Figure, Group, ResultTable
from tests.analysis.example import BENEFITS, DEFINITION, PERIOD, SHA, SHARE, Course, MemoryReader, linked

Row = tuple[int, str, bool | None, bool | None, bool | None]


def _table_of(courses: list[Course], rows: list[Row]) -> ResultTable:
    return loan_share_table(
        MemoryReader(courses), DEFINITION, SHARE, linked(rows), period=PERIOD, state=3, definition_sha256=SHA
    )


def _figure(table: ResultTable, category: str, month: int) -> Figure:
    [found] = [f for f in table.figures if (f.category, f.time_point) == (category, f"{month:02d}")]
    return found


def _month_after(day: date, months: int) -> str:
    index = day.year * 12 + day.month - 1 + months
    return f"{index // 12}-{index % 12 + 1:02d}"


@pytest.mark.parametrize("seed", range(4))
def test_every_share_is_what_plain_python_computes(seed: int) -> None:
    """Counts, denominators and contributors of each benefit and month agree with a loop over courses and rows."""
    chance = random.Random(seed)
    courses = [
        Course(
            chance.choice(["alfa", "beta", "gamma"]),
            chance.randrange(40),
            number,
            ended=chance.choice([None, date(2024, 1, 31), date(2024, 5, 15), date(2024, 12, 1)]),
        )
        for number in range(60)
    ]
    rows: list[Row] = [
        (person, _month_after(date(2024, 1, 1), month), *(chance.choice([True, False, False, None]) for _ in BENEFITS))  # type: ignore[misc]
        for person in range(45)
        for month in range(26)
        if chance.random() < 0.8
    ]
    table = _table_of(courses, rows)
    by_key = {(row[0], row[1]): row[2:] for row in rows}
    for month in range(1, 13):
        seen = [
            (course, by_key[course.person, _month_after(course.ended, month)])
            for course in courses
            if course.ended and (course.person, _month_after(course.ended, month)) in by_key
        ]
        holders = defaultdict(set)
        for course in courses:
            if course.ended and any((course.person, _month_after(course.ended, m)) in by_key for m in range(1, 13)):
                holders[course.person].add(course.sender)
        for category in (*BENEFITS, "any", "none"):
            known = [(course, value) for course, answers in seen if (value := _answer(category, answers)) is not None]
            found = _figure(table, category, month)
            assert (found.count, found.denominator) == (sum(value for _, value in known), len(known))
            once = {(c.sender, c.person) for c, _ in known if len(holders[c.person]) == 1}
            assert found.contributors == _counted(once)
            positive = {(c.sender, c.person) for c, value in known if value and len(holders[c.person]) == 1}
            assert found.positives == _counted(positive)


def _answer(category: str, answers: tuple[bool | None, ...]) -> bool | None:
    if category in BENEFITS:
        return answers[BENEFITS.index(category)]
    something = True if True in answers else None if None in answers else False
    return something if category == "any" or something is None else not something


def _counted(pairs: set[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    senders = [sender for sender, _ in pairs]
    return tuple((sender, senders.count(sender)) for sender in sorted(set(senders)))


def test_month_one_is_the_calendar_month_after_the_end() -> None:
    """A course that ended on 31 January has February as month 1, in a leap year too."""
    courses = [Course("alfa", 1, 1, ended=date(2024, 1, 31))]
    table = _table_of(courses, [(1, "2024-01", True, True, True), (1, "2024-02", True, False, False)])
    assert _figure(table, "sick_pay", 1).count == 1
    assert _figure(table, "aap", 1).count == 0
    assert _figure(table, "sick_pay", 2).denominator == 0


def test_a_month_that_was_not_delivered_is_unknown() -> None:
    """No row is not a month without benefits: it counts in no denominator."""
    table = _table_of([Course("alfa", 1, 1), Course("alfa", 2, 2)], [(1, "2024-05", False, False, False)])
    assert (_figure(table, "none", 1).count, _figure(table, "none", 1).denominator) == (1, 1)


def test_someone_held_by_two_institutions_protects_neither() -> None:
    """Such a person counts in the share but as nobody's contributor."""
    courses = [Course("alfa", 1, 1), Course("beta", 1, 2), Course("beta", 2, 3)]
    rows: list[Row] = [(person, "2024-05", True, False, False) for person in (1, 2)]
    found = _figure(_table_of(courses, rows), "sick_pay", 1)
    assert (found.count, found.denominator) == (3, 3)
    assert found.contributors == (("beta", 1),)
    assert found.positives == (("beta", 1),)


def test_the_table_is_the_same_for_everyone() -> None:
    """A number from a loan is no institution's own: there is only the group all, and no recipient."""
    table = _table_of([Course("alfa", 1, 1)], [])
    assert table.recipient == ""
    assert table.borrowed
    assert {found.group for found in table.figures} == {Group.ALL}
    assert len(table.figures) == 5 * 12
