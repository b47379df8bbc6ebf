"""Checks over sets of rows: each kind with rows that hold and rows that break it, against stored rows and new ones."""

from typing import Any

import pytest

from enclave.model.fault import Fault, Severity
from enclave.model.purpose import Purpose
from enclave.registry.definition import Due, SetCheck
from enclave.store.rules import RULES
from enclave.store.settlement import Counts
from enclave.store.write import Plan
from tests.store.registry import (
    ARRIVAL,
    FOLLOW_UP,
    UNIT,
    Database,
    check,
    checked,
    day,
    definition,
    records,
    send,
)


@pytest.fixture
def technology() -> str:
    """The rules are pure, so one database is enough for them."""
    return "sqlcipher"


def stay(course: str, first: str | None, last: str | None = None, person: str = "p1", **more: Any) -> dict[str, Any]:
    """A stay of a person from one day to another."""
    days = {"arrival_date": first and day(first), "end_date": last and day(last)}
    return {"course": course, "person": person, **days, **more}


def answer(course: str, when: str | None, person: str = "p1", **more: Any) -> dict[str, Any]:
    """A follow-up answer."""
    return {"course": course, "person": person, "response_date": when and day(when), **more}


def judged(
    database: Database, rule: SetCheck, stored: list[dict[str, Any]], new: list[dict[str, Any]], sender: str = "north"
) -> Plan:
    """Send `stored`, then plan `new`, with one set check on arrivals."""
    form = checked(ARRIVAL, rule)
    writer = database.writer(definition(form, FOLLOW_UP))
    if stored:
        send(writer, sender, ARRIVAL, *stored)
    return writer.plan([records(form, sender, new)])


def rows_of(plan: Plan) -> list[tuple[int, str]]:
    """(row, rule) of each fault."""
    return [(fault.row, fault.rule) for fault in plan.faults]


UNIQUE = check("unique", "arrival_date")
OVERLAP = check("overlap", "arrival_date", "end_date")


def test_one_course_twice_with_other_content_is_refused(database: Database) -> None:
    """Nobody can know which of two differing rows is meant, so neither is taken; the rest of the drop is."""
    plan = judged(database, UNIQUE, [], [stay("c1", "2024-01-01"), stay("c1", "2024-01-02"), stay("c2", "2024-03-01")])

    assert rows_of(plan) == [(2, "record_twice"), (3, "record_twice")]
    assert plan.counts == Counts(delivered=3, accepted=1, rejected=2)


def test_one_course_twice_with_the_same_content_is_one_row(database: Database) -> None:
    """An identical row is a no-op within a drop too."""
    plan = judged(database, UNIQUE, [], [stay("c1", "2024-01-01"), stay("c1", "2024-01-01")])

    assert plan.faults == ()
    assert plan.counts == Counts(delivered=2, accepted=1, unchanged=1)


def test_a_stored_course_belongs_to_its_person_in_every_form(database: Database) -> None:
    """Another person under a known course number is refused, also when the number is known from another form."""
    writer = database.writer()
    send(writer, "north", ARRIVAL, stay("c1", "2024-01-01"))
    drop = [
        records(ARRIVAL, "north", [stay("c1", "2024-01-01", person="p2"), stay("c1", "2024-02-02")], "d"),
        records(
            FOLLOW_UP, "north", [answer("c1", "2024-05-05", person="p2"), answer("c2", "2024-05-05", person="p2")], "d"
        ),
    ]

    assert writer.plan(drop).faults == (
        Fault("arrival", 2, "", "course_other_person"),
        Fault("follow_up", 2, "", "course_other_person"),
    )


def test_a_new_course_of_two_persons_is_refused_whole(database: Database) -> None:
    """Within a drop none of the claims is better than the other."""
    writer = database.writer()
    drop = [
        records(ARRIVAL, "north", [stay("c1", "2024-01-01"), stay("c2", "2024-01-01", person="p2")], "d"),
        records(FOLLOW_UP, "north", [answer("c1", "2024-05-05", person="p2")], "d"),
    ]

    assert writer.plan(drop).faults == (
        Fault("arrival", 2, "", "course_other_person"),
        Fault("follow_up", 2, "", "course_other_person"),
    )


UNIQUE_CASES: list[tuple[list[Any], list[Any], list[int]]] = [
    ([], [stay("c1", "2024-01-01"), stay("c2", "2024-01-02")], []),
    ([], [stay("c1", "2024-01-01"), stay("c2", "2024-01-01")], [2, 3]),
    ([], [stay("c1", "2024-01-01"), stay("c2", "2024-01-01", person="p2")], []),
    ([], [stay("c1", None), stay("c2", None)], []),
    ([stay("c1", "2024-01-01")], [stay("c2", "2024-01-01")], [2]),
    ([stay("c1", "2024-01-01")], [stay("c1", "2024-01-01", score=3)], []),
    ([stay("c1", "2024-01-01")], [stay("c1", "2024-01-05"), stay("c2", "2024-01-01")], []),
]


def test_unique(database: Database) -> None:
    """No two rows of a person agree, a corrected row no longer counts, and missing is unknown."""
    for number, (stored, new, broken) in enumerate(UNIQUE_CASES):
        # Each case has a sender of its own, whom the other cases' rows do not concern.
        plan = judged(database, UNIQUE, stored, new, sender=f"sender-{number}")
        assert rows_of(plan) == [(row, "arrival.unique") for row in broken], number


LONG = stay("c1", "2024-01-01", "2024-12-31")


OVERLAP_CASES: list[tuple[list[Any], list[Any], list[int]]] = [
    ([], [stay("c1", "2024-01-01", "2024-01-31"), stay("c2", "2024-02-01", "2024-02-28")], []),
    ([], [stay("c1", "2024-01-01", "2024-02-01"), stay("c2", "2024-02-01", "2024-02-28")], [2, 3]),
    ([], [stay("c1", "2024-01-01", "2024-02-01"), stay("c2", "2024-01-05", "2024-01-06", person="p2")], []),
    ([], [LONG, stay("c2", "2024-02-01", "2024-02-02"), stay("c3", "2024-06-01", "2024-06-02")], [2, 3, 4]),
    ([LONG], [stay("c2", "2024-02-01", "2024-02-02"), stay("c3", "2024-06-01", "2024-06-02")], [2, 3]),
    ([LONG], [stay("c2", "2023-12-01", "2025-02-02")], [2]),
    ([LONG], [stay("c1", "2024-01-01", "2024-01-31"), stay("c2", "2024-02-01", "2024-02-02")], []),
    ([stay("c1", "2024-01-01")], [stay("c2", "2024-02-01", "2024-02-02")], []),
    ([stay("c1", "2024-02-02")], [stay("c2", "2024-02-01", "2024-02-28")], [2]),
    ([stay("c1", None, "2024-02-02")], [stay("c2", "2024-02-01", "2024-02-28")], []),
]


def test_overlap(database: Database) -> None:
    """Periods of a person do not meet, whatever lies between them; an unknown end counts for its first day only."""
    for number, (stored, new, broken) in enumerate(OVERLAP_CASES):
        # Each case has a sender of its own, whom the other cases' rows do not concern.
        plan = judged(database, OVERLAP, stored, new, sender=f"sender-{number}")
        assert rows_of(plan) == [(row, "arrival.overlap") for row in broken], number


def test_a_refused_correction_lets_the_stored_row_hold_on(database: Database) -> None:
    """A new row that only fits because of a correction falls with the correction."""
    form = checked(ARRIVAL, UNIQUE)
    writer = database.writer(definition(form))
    send(writer, "north", form, stay("c1", "2024-01-01"), stay("c9", "2024-09-09"))
    plan = send(writer, "north", form, stay("c1", "2024-09-09"), stay("c2", "2024-01-01"), stay("c3", "2024-03-03"))
    frame = database.reader(definition(form)).read("arrival", state=None, purpose=Purpose.NATIONAL)

    assert rows_of(plan) == [(2, "arrival.unique"), (3, "arrival.unique")]
    assert plan.counts == Counts(delivered=3, accepted=1, rejected=2)
    assert sorted(frame["arrival_date"]) == [day("2024-01-01"), day("2024-03-03"), day("2024-09-09")]


WINDOW = {"other_form": "arrival", "other_column": "end_date"}
STAY = stay("c1", "2024-01-01", "2024-03-01")


@pytest.mark.parametrize(
    ("rule", "when", "holds"),
    [
        (check("precedes", "response_date", **WINDOW), "2024-03-01", True),
        (check("precedes", "response_date", **WINDOW), "2024-03-02", False),
        (check("precedes", "response_date", **WINDOW), None, True),
        (check("window", "response_date", **WINDOW, after_days=0, before_days=10), "2024-03-01", True),
        (check("window", "response_date", **WINDOW, after_days=0, before_days=10), "2024-03-11", True),
        (check("window", "response_date", **WINDOW, after_days=0, before_days=10), "2024-02-29", False),
        (check("window", "response_date", **WINDOW, after_days=0, before_days=10), "2024-03-12", False),
        (check("window", "response_date", **WINDOW, after_days=5), "2030-01-01", True),
        (check("window", "response_date", **WINDOW, after_days=5), "2024-03-05", False),
        (check("window", "response_date", **WINDOW, before_days=5), "2020-01-01", True),
        (check("window", "response_date", **WINDOW, before_days=5), "2024-03-07", False),
    ],
)
def test_dates_of_one_course_agree(database: Database, rule: SetCheck, when: str | None, holds: bool) -> None:
    """A pair that breaks is told at the new row of the pair, whichever form came last; without a partner all passes."""
    form = checked(FOLLOW_UP, rule)
    writer = database.writer(definition(ARRIVAL, form))
    later = answer("c1", when)
    at_answer = () if holds else (Fault("follow_up", 2, "response_date", f"follow_up.{rule.id}"),)
    at_stay = () if holds else (Fault("arrival", 2, "end_date", f"follow_up.{rule.id}"),)

    send(writer, "answer-last", ARRIVAL, STAY, stay("c2", "2020-01-01", "2020-01-01", person="p2"))
    assert writer.plan([records(form, "answer-last", [later])]).faults == at_answer
    send(writer, "stay-last", form, later)
    assert writer.plan([records(ARRIVAL, "stay-last", [STAY])]).faults == at_stay
    together = [records(ARRIVAL, "together", [STAY], "d"), records(form, "together", [later], "d")]
    assert writer.plan(together).faults == at_answer
    assert writer.plan([records(form, "no-partner", [later])]).faults == ()


def test_an_answer_follows_the_course_of_its_own_sender(database: Database) -> None:
    """A row whose course the sender never began is refused, also where another institution holds that very course."""
    form = checked(FOLLOW_UP, check("follows", "response_date", other_form="arrival"))
    writer = database.writer(definition(ARRIVAL, form))
    send(writer, "north", ARRIVAL, STAY)
    refused = (Fault("follow_up", 2, "response_date", "follow_up.follows"),)

    assert writer.plan([records(form, "north", [answer("c1", "2025-03-01")])]).faults == ()
    assert writer.plan([records(form, "south", [answer("c1", "2025-03-01")])]).faults == refused
    together = [records(ARRIVAL, "south", [STAY], "d"), records(form, "south", [answer("c1", "2025-03-01")], "d")]
    assert writer.plan(together).faults == ()


def test_a_resubmission_that_answers_otherwise_is_told(database: Database) -> None:
    """Only an answer that replaces another differs from it: a first one, a gap filled or left is nothing to tell."""
    steady = check("steady", "sex", "score", severity=Severity.WARN)
    before = [stay("c1", "2024-01-01", sex="female"), stay("c2", "2024-02-01", sex="female", score=1)]
    after = [
        stay("c1", "2024-01-01", sex="male", score=3),
        stay("c2", "2024-02-01", score=2),
        stay("c3", "2024-03-01", sex="male"),
    ]
    plan = judged(database, steady, before, after)

    assert plan.faults == (
        Fault("arrival", 2, "sex", "arrival.steady", Severity.WARN),
        Fault("arrival", 3, "score", "arrival.steady", Severity.WARN),
    )
    assert plan.counts == Counts(delivered=3, accepted=3, superseded=2)


@pytest.mark.parametrize(
    ("when", "holds"),
    [("2025-02-19", True), ("2025-03-11", True), ("2025-02-18", False), ("2025-03-12", False), (None, True)],
)
def test_an_answer_is_given_when_it_is_due(database: Database, when: str | None, holds: bool) -> None:
    """The tolerance is counted from the day some calendar months after, here 1 March 2025, to either side."""
    due = Due(form="arrival", column="end_date", months=12, tolerance_days=10)
    form = checked(FOLLOW_UP, check("due", "response_date")).model_copy(update={"due": due})
    writer = database.writer(definition(ARRIVAL, form))
    send(writer, "north", ARRIVAL, STAY)
    late = (Fault("follow_up", 2, "response_date", "follow_up.due"),)

    assert writer.plan([records(form, "north", [answer("c1", when)])]).faults == (() if holds else late)


def test_a_period_may_end_in_another_form(database: Database) -> None:
    """Courses that meet by an end from another form are told at the row that came, be it a beginning or an end."""
    rule = check("overlap", "arrival_date", other_form="follow_up", other_column="response_date")
    form = checked(ARRIVAL, rule)
    writer = database.writer(definition(form, FOLLOW_UP))
    send(writer, "north", form, stay("c1", "2024-01-01"), stay("c2", "2024-02-01"))
    end = records(FOLLOW_UP, "north", [answer("c1", "2024-02-01")])
    apart = records(FOLLOW_UP, "north", [answer("c1", "2024-01-31")])

    assert writer.plan([end]).faults == (Fault("follow_up", 2, "response_date", "arrival.overlap"),)
    assert writer.plan([apart]).faults == ()
    send(writer, "north", FOLLOW_UP, answer("c2", "2024-02-20"))
    between = records(form, "north", [stay("c3", "2024-02-20")])
    assert writer.plan([between]).faults == (Fault("arrival", 2, "arrival_date", "arrival.overlap"),)
    elsewhere = records(form, "north", [stay("c3", "2024-02-20", person="p2")])
    assert writer.plan([elsewhere]).faults == ()


def test_a_warning_tells_and_stores(database: Database) -> None:
    """A check that warns keeps no row out."""
    plan = judged(
        database,
        check("unique", "arrival_date", severity=Severity.WARN),
        [stay("c1", "2024-01-01")],
        [stay("c2", "2024-01-01")],
    )

    assert plan.faults == (Fault("arrival", 2, "arrival_date", "arrival.unique", Severity.WARN),)
    assert plan.counts == Counts(delivered=1, accepted=1)


DRIFT = check("drift", "score", percent=10.0, severity=Severity.WARN)
FILLED = [stay(f"c{number}", None, person=f"p{number}", score=1) for number in range(10)]
NEW = [stay(f"d{number}", None, person=f"p{number}", score=None if number < 2 else 1) for number in range(10)]


def test_drift(database: Database) -> None:
    """A sender that suddenly leaves more out is told at the whole file, where earlier rows can be compared with."""
    assert judged(database, DRIFT, [], NEW).faults == ()
    plan = judged(database, DRIFT, FILLED, NEW)
    assert plan.faults == (Fault("arrival", 0, "score", "arrival.drift", Severity.WARN),)
    assert plan.counts.accepted == 10
    within = check("drift", "score", percent=20.0)
    assert judged(database, within, FILLED, NEW).faults == ()


def test_drift_that_refuses_keeps_the_whole_file_out(database: Database) -> None:
    """A fault at the whole file concerns every row of it."""
    plan = judged(database, check("drift", "score", percent=10.0), FILLED, NEW)

    assert plan.counts == Counts(delivered=10, rejected=10)


def test_forms_about_institutions_are_checked_without_persons(database: Database) -> None:
    """A unique number of an institution is unique among its own rows."""
    form = checked(UNIT, check("unique", "counted_on"))
    writer = database.writer(definition(form))
    send(writer, "north", form, {"course": "a", "counted_on": day("2024-01-01")})

    assert rows_of(writer.plan([records(form, "north", [{"course": "b", "counted_on": day("2024-01-01")}])])) == [
        (2, "unit.unique")
    ]
    assert rows_of(writer.plan([records(form, "south", [{"course": "b", "counted_on": day("2024-01-01")}])])) == []


def test_every_built_in_rule_says_what_to_do() -> None:
    """Each rule has a text and a remedy in both languages."""
    for rule in RULES.values():
        assert all((rule.label.nb, rule.label.en, rule.remedy.nb, rule.remedy.en))


def test_only_the_senders_rows_decide(database: Database) -> None:
    """What another institution sent about the same person breaks no check."""
    form = checked(ARRIVAL, UNIQUE, OVERLAP)
    writer = database.writer(definition(form))
    send(writer, "north", form, LONG)

    assert writer.plan([records(form, "south", [stay("x", "2024-01-01", "2024-06-30")])]).faults == ()
