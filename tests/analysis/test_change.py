"""The table of change, against a recomputation in plain Python."""

import random
import statistics
from datetime import date

import pytest

from enclave.analysis.change import change_tables
from enclave.model.purpose import Purpose
from enclave.model.table import Figure, Group, ResultTable, Statistic
from tests.analysis.example import CHANGE, DEFINITION, PERIOD, SHA, Course, MemoryReader


def _made_up_courses(seed: int) -> list[Course]:
    chance = random.Random(seed)
    return [
        Course(
            sender=chance.choice(["alfa", "beta", "gamma", "delta"]),
            person=chance.randrange(60),
            number=number,
            arrived=date(chance.choice([2023, 2024, 2024, 2024, 2025]), chance.randint(1, 12), chance.randint(1, 28)),
            first=chance.choice([None, *range(11)]),
            later=chance.choice([None, *range(11)]),
            followed_up=chance.random() < 0.7,
        )
        for number in range(90)
    ]


def _tables_of(
    reader: MemoryReader, institutions: tuple[str, ...] = ("alfa", "beta", "gamma")
) -> tuple[ResultTable, ...]:
    return change_tables(
        reader, DEFINITION, CHANGE, period=PERIOD, institutions=institutions, state=7, definition_sha256=SHA
    )


def _figure(table: ResultTable, group: Group, statistic: Statistic, time_point: str) -> Figure:
    [found] = [
        figure
        for figure in table.figures
        if (figure.group, figure.statistic, figure.time_point) == (group, statistic, time_point)
    ]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_every_number_is_what_plain_python_computes(seed: int) -> None:
    """n, mean, change and contributors of each group agree with a loop over the courses."""
    courses = _made_up_courses(seed)
    in_period = [course for course in courses if course.arrived.year == 2024]
    for table in _tables_of(MemoryReader(courses)):
        groups = {
            Group.OWN: [course for course in in_period if course.sender == table.recipient],
            Group.OTHERS: [course for course in in_period if course.sender != table.recipient],
            Group.ALL: in_period,
        }
        for group in [Group.ALL] if not table.recipient else list(Group):
            members = groups[group]
            asked = {
                (Statistic.MEAN, "arrival"): [(c, c.first) for c in members],
                (Statistic.MEAN, "month_12"): [(c, c.later if c.followed_up else None) for c in members],
                (Statistic.MEAN_CHANGE, "month_12"): [
                    (c, c.later - c.first if c.followed_up and c.first is not None and c.later is not None else None)
                    for c in members
                ],
            }
            for (statistic, time_point), answers in asked.items():
                given = [(course, value) for course, value in answers if value is not None]
                found = _figure(table, group, statistic, time_point)
                assert found.denominator == len(given)
                assert found.value == pytest.approx(statistics.fmean(value for _, value in given))
                people = {course.sender: set() for course, _ in given}
                for course, _ in given:
                    people[course.sender].add(course.person)
                assert found.contributors == tuple(sorted((sender, len(who)) for sender, who in people.items()))


def test_there_is_a_table_for_each_institution_and_last_the_national_one() -> None:
    """Recipients come in order of id; the table for everyone has no recipient and only the group all."""
    tables = _tables_of(MemoryReader(_made_up_courses(1)), ("gamma", "alfa"))
    assert [table.recipient for table in tables] == ["alfa", "gamma", ""]
    assert {figure.group for figure in tables[-1].figures} == {Group.ALL}
    assert {(table.period, table.state, table.definition, table.borrowed) for table in tables} == {
        ("2024-01-01/2024-12-31", 7, SHA, False)
    }


def test_own_plus_others_is_all() -> None:
    """No course is lost or counted twice between the groups, also where two institutions hold one person."""
    for table in _tables_of(MemoryReader(_made_up_courses(2)))[:-1]:
        for statistic, time_point in [(Statistic.MEAN, "arrival"), (Statistic.MEAN_CHANGE, "month_12")]:
            own, others, everyone = (_figure(table, group, statistic, time_point).denominator for group in Group)
            assert own + others == everyone


def test_a_follow_up_at_another_institution_is_not_joined_through_the_person() -> None:
    """Own means rows that this institution sent: the same person's follow-up elsewhere makes no pair."""
    courses = [
        Course("alfa", person=1, number=1, followed_up=False),
        Course("beta", person=1, number=2, first=None, later=9),
    ]
    alfa = _tables_of(MemoryReader(courses), ("alfa",))[0]
    assert _figure(alfa, Group.ALL, Statistic.MEAN_CHANGE, "month_12").denominator == 0
    assert _figure(alfa, Group.OWN, Statistic.MEAN, "month_12").value is None


def test_own_numbers_are_read_for_own_results_and_others_for_comparison() -> None:
    """Someone reserved from comparison counts in the institution's own number and nowhere else."""
    reader = MemoryReader([Course("alfa", person, person) for person in range(4)], {Purpose.COMPARISON: {0}})
    alfa, national = _tables_of(reader, ("alfa",))
    assert _figure(alfa, Group.OWN, Statistic.MEAN, "arrival").denominator == 4
    assert _figure(alfa, Group.ALL, Statistic.MEAN, "arrival").denominator == 3
    assert _figure(national, Group.ALL, Statistic.MEAN, "arrival").denominator == 3
    assert {state for _, state, _ in reader.asked} == {7}


def test_someone_reserved_from_one_total_is_in_neither() -> None:
    """Two totals that differ by one reservation would show that person to whoever sees both."""
    reader = MemoryReader([Course("alfa", person, person) for person in range(4)], {Purpose.NATIONAL: {2}})
    alfa, national = _tables_of(reader, ("alfa",))
    assert _figure(alfa, Group.ALL, Statistic.MEAN, "arrival").denominator == 3
    assert _figure(national, Group.ALL, Statistic.MEAN, "arrival").denominator == 3


def test_the_period_includes_its_first_and_last_day() -> None:
    """Courses that arrive on 1 January and 31 December count; the days beside them do not."""
    days = [date(2023, 12, 31), date(2024, 1, 1), date(2024, 12, 31), date(2025, 1, 1)]
    courses = [Course("alfa", number, number, arrived=day) for number, day in enumerate(days)]
    [national] = _tables_of(MemoryReader(courses), ())
    assert _figure(national, Group.ALL, Statistic.MEAN, "arrival").denominator == 2


def test_an_empty_registry_gives_tables_without_numbers() -> None:
    """Nothing is 0 people and no mean."""
    [national] = _tables_of(MemoryReader([]), ())
    assert {(found.denominator, found.value, found.contributors) for found in national.figures} == {(0, None, ())}
