"""Settling drops: what is stored, what is superseded, what a state is, and what stays untouched."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from enclave.errors import Halt, Refused
from enclave.model.draft import Kind, NamedDraft
from enclave.model.fault import Fault
from enclave.model.purpose import Purpose
from enclave.store.schema import has_act
from enclave.store.settlement import Counts, Outcome, Settlement
from enclave.store.write import StateMovedError
from tests.store.registry import ARRIVAL, FOLLOW_UP, UNIT, Database, day, key, position, records, send, settlement

DRAFT = NamedDraft("d-1", Kind.FEEDBACK, "north", "ab" * 32, 0, (("work_ability", "2024"),))
FULL = {
    "course": "c1",
    "person": "p1",
    "arrival_date": day("2024-02-29"),
    "end_date": day("2024-03-31"),
    "sex": "female",
    "score": 7,
    "weight": 71.3,
    "employed": False,
    "benefits_sick_pay": True,
    "benefits_aap": None,
    "occupation": "smørblomst 'x'; \"y\" \\N \t \n 𝄞 ☃",
}


def test_a_row_comes_back_as_it_was_stored(database: Database) -> None:
    """Every kind of value survives, missing ones stay missing, on both databases alike."""
    drop = records(ARRIVAL, "north", [FULL, {"course": "c2", "person": "p2"}], "drop-1")
    writer = database.writer()
    plan = writer.plan([drop])
    writer.settle(plan, settlement(plan), [], position())
    frame = database.reader().read("arrival", state=None, purpose=Purpose.OWN_ROWS)

    assert frame.columns[:6] == ["_pseudonym", "_episode", "_sender", "_drop", "_drop_number", "_row"]
    assert frame.select(drop.frame.columns).equals(drop.frame)
    assert frame.schema["arrival_date"] == pl.Date
    assert frame.schema["employed"] == pl.Boolean
    assert frame.select("_sender", "_drop", "_drop_number").rows() == [("north", "drop-1", 1)] * 2


def test_a_correction_supersedes_and_the_old_state_keeps_the_old_row(database: Database) -> None:
    """History is kept: each state answers what held then."""
    writer = database.writer()
    send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 1})
    plan = send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 2})
    reader = database.reader()
    scores = [reader.read("follow_up", state=state, purpose=Purpose.NATIONAL)["score"].to_list() for state in (0, 1, 2)]

    assert scores == [[], [1], [2]]
    assert plan.counts == Counts(delivered=1, accepted=1, superseded=1)


def test_an_identical_row_is_a_no_op(database: Database) -> None:
    """A row sent again word for word changes nothing, and raises no state, though its drop is settled."""
    writer = database.writer()
    send(writer, "north", ARRIVAL, FULL)
    plan = send(writer, "north", ARRIVAL, FULL)
    reader = database.reader()

    assert plan.counts == Counts(delivered=1, unchanged=1)
    assert reader.current_state() == 1
    assert [settled.drop_number for settled in reader.settlements()] == [1, 2]


def test_a_negative_zero_is_the_zero_that_is_stored(database: Database) -> None:
    """The sign of a zero, which SQLite drops, makes no row new."""
    writer = database.writer()
    send(writer, "north", ARRIVAL, {**FULL, "weight": -0.0})

    assert send(writer, "north", ARRIVAL, {**FULL, "weight": -0.0}).counts.unchanged == 1
    assert send(writer, "north", ARRIVAL, {**FULL, "weight": 0.0}).counts.unchanged == 1


def test_only_the_senders_own_rows_are_superseded(database: Database) -> None:
    """Another institution's row of the same course and person stays, and neither answer tells of the other."""
    writer = database.writer()
    row = {"course": "c1", "person": "p1"}
    first = send(writer, "north", FOLLOW_UP, {**row, "score": 1})
    second = send(writer, "south", FOLLOW_UP, {**row, "score": 2})
    frame = database.reader().read("follow_up", state=None, purpose=Purpose.NATIONAL)

    assert frame.select("_sender", "score").rows() == [("north", 1), ("south", 2)]
    assert second.counts == first.counts
    assert second.faults == first.faults == ()


def test_another_senders_course_for_another_person_shows_in_no_answer(database: Database) -> None:
    """What others have sent decides nothing: the same number may be another course elsewhere."""
    writer = database.writer()
    send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 1})

    assert send(writer, "south", FOLLOW_UP, {"course": "c1", "person": "p2", "score": 1}).faults == ()


def test_a_withdrawn_persons_rows_are_answered_like_any_other(database: Database) -> None:
    """A sender does not learn from the answer that a person has withdrawn."""
    writer = database.writer()
    send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 1})
    writer.withdraw(key("p1"), None, position())
    same = send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 1})
    new = send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 2})

    assert same.counts == Counts(delivered=1, unchanged=1)
    assert new.counts == Counts(delivered=1, accepted=1, superseded=1)
    assert database.reader().read("follow_up", state=None, purpose=Purpose.NATIONAL).height == 0


def test_a_rejected_drop_is_settled_and_raises_no_state(database: Database) -> None:
    """Its settlement and its drafts are kept; the registry's rows and state are as before."""
    writer = database.writer()
    rejected = Settlement("drop-1", "north", Outcome.REJECTED, "E_SIG", Counts(delivered=0))
    where = position()

    assert writer.settle(None, rejected, [DRAFT], where) == 0
    reader = database.reader()
    assert reader.current_state() == 0
    assert [(kept.settlement, kept.drop_number, kept.state, kept.position) for kept in reader.settlements()] == [
        (rejected, 1, 0, where)
    ]
    assert [(kept.draft, kept.drop_uuid, kept.position) for kept in reader.drafts()] == [(DRAFT, "drop-1", where)]
    assert reader.has_act(where)


def test_a_drop_is_settled_once(database: Database) -> None:
    """Settling it again is refused, and leaves no evidence of the second try."""
    writer = database.writer()
    plan = send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 1})
    again = position()

    with pytest.raises(Refused) as caught:
        writer.settle(plan, settlement(plan), [], again)
    assert caught.value.code == "R_SETTLED"
    assert not writer.has_act(again)


def test_a_plan_is_void_when_another_writer_came_between(database: Database) -> None:
    """A settlement that was judged against an older state changes nothing and asks for a new plan."""
    writer = database.writer()
    late = writer.plan([records(FOLLOW_UP, "north", [{"course": "c1", "person": "p1", "score": 1}])])
    send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 2})
    where = position()

    with pytest.raises(StateMovedError):
        writer.settle(late, settlement(late), [DRAFT], where)
    assert not has_act(database.engine, where)
    assert database.reader().drafts() == ()
    assert database.reader().current_state() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"drop_uuid": "another"},
        {"sender": "south"},
        {"outcome": Outcome.REJECTED, "reason": "E_SIG"},
        {"counts": Counts(delivered=1, rejected=1)},
        {"counts": Counts(delivered=1, unchanged=1)},
        {"counts": Counts(delivered=1, accepted=1, superseded=1)},
    ],
)
def test_a_settlement_must_be_that_of_its_plan(database: Database, change: dict[str, Any]) -> None:
    """A plan is not stored under another drop's, sender's or outcome's name, nor with other totals."""
    writer = database.writer()
    plan = writer.plan([records(FOLLOW_UP, "north", [{"course": "c1", "person": "p1", "score": 1}])])

    with pytest.raises(ValueError, match="settlement"):
        writer.settle(plan, replace(settlement(plan), **change), [], position())
    assert database.reader().settlements() == ()


def test_a_failure_half_way_leaves_nothing(database: Database) -> None:
    """A draft that is named twice undoes the whole settlement: rows, state, number and evidence."""
    writer = database.writer()
    plan = writer.plan([records(FOLLOW_UP, "north", [{"course": "c1", "person": "p1", "score": 1}])])
    where = position()

    with pytest.raises(Halt, match="H_DATABASE"):
        writer.settle(plan, settlement(plan), [DRAFT, DRAFT], where)
    reader = database.reader()
    assert not writer.has_act(where)
    assert reader.current_state() == 0
    assert reader.settlements() == ()
    assert reader.read("follow_up", state=None, purpose=Purpose.NATIONAL).height == 0
    writer.settle(plan, settlement(plan), [DRAFT], position())
    assert reader.settlements()[0].drop_number == 1


def test_one_position_is_one_transaction(database: Database) -> None:
    """An intent cannot be the evidence of two commits."""
    writer = database.writer()
    where = position()
    writer.name_drafts([DRAFT], where)

    with pytest.raises(Halt, match="H_DATABASE"):
        writer.name_drafts([replace(DRAFT, draft_id="d-2")], where)
    assert [kept.draft.draft_id for kept in database.reader().drafts()] == ["d-1"]


def test_drafts_are_told_after_a_number(database: Database) -> None:
    """A reader that has seen some drafts asks for the later ones."""
    writer = database.writer()
    writer.name_drafts([DRAFT, replace(DRAFT, draft_id="d-2")], position())
    reader = database.reader()
    first = reader.drafts()[0]

    assert first.drop_uuid is None
    assert [kept.draft.draft_id for kept in reader.drafts(after=first.number)] == ["d-2"]


def test_several_forms_of_one_drop_share_one_state(database: Database) -> None:
    """A drop is one commit: its forms appear together, sorted by sender, drop and row."""
    writer = database.writer()
    drop = [
        records(ARRIVAL, "south", [{"course": "c2", "person": "p2"}, {"course": "c1", "person": "p1"}], "drop-1"),
        records(UNIT, "south", [{"course": "2024", "beds": 12}], "drop-1"),
    ]
    plan = writer.plan(drop)
    state = writer.settle(plan, settlement(plan), [], position())
    send(writer, "north", ARRIVAL, {"course": "c9", "person": "p9"})
    reader = database.reader()

    assert state == 1
    assert reader.read("unit", state=1, purpose=Purpose.NATIONAL)["beds"].to_list() == [12]
    rows = reader.read("arrival", state=None, purpose=Purpose.NATIONAL).select("_sender", "_drop_number", "_row").rows()
    assert rows == [("north", 2, 2), ("south", 1, 2), ("south", 1, 3)]


def test_a_plan_takes_one_drop_with_each_form_once(database: Database) -> None:
    """Rows of two drops are never judged or settled as one."""
    writer = database.writer()
    row = [{"course": "c1", "person": "p1"}]

    for drop in (
        [],
        [records(FOLLOW_UP, "north", row, "a"), records(ARRIVAL, "north", row, "b")],
        [records(FOLLOW_UP, "north", row, "a"), records(ARRIVAL, "south", row, "a")],
        [records(FOLLOW_UP, "north", row, "a"), records(FOLLOW_UP, "north", row, "a")],
    ):
        with pytest.raises(ValueError, match="one drop"):
            writer.plan(drop)


def test_what_a_database_cannot_hold_is_a_fault_not_a_halt(database: Database) -> None:
    """A NUL in a text and a number that is not finite refuse their rows alike on both databases."""
    writer = database.writer()
    rows: list[dict[str, Any]] = [
        {"course": "c1", "person": "p1", "occupation": "a\0b"},
        {"course": "c2", "person": "p2", "weight": float("nan")},
        {"course": "c3", "person": "p3", "weight": float("inf")},
        {"course": "c4", "person": "p4", "weight": 1.0, "occupation": "fine"},
    ]
    plan = send(writer, "north", ARRIVAL, *rows)

    assert plan.faults == (
        Fault("arrival", 2, "occupation", "unstorable"),
        Fault("arrival", 3, "weight", "unstorable"),
        Fault("arrival", 4, "weight", "unstorable"),
    )
    assert plan.counts == Counts(delivered=4, accepted=1, rejected=3)


def test_plans_and_judgements_show_no_rows(database: Database) -> None:
    """The text of a plan holds no value and no pseudonym."""
    plan = database.writer().plan([records(ARRIVAL, "north", [FULL])])

    assert "smørblomst" not in f"{plan!r} {plan.forms!r}"
    assert repr(key("p1"))[2:-1] not in f"{plan!r} {plan.forms!r}"


@pytest.mark.parametrize(
    ("outcome", "reason"), [(Outcome.ADMITTED, "E_SIG"), (Outcome.REJECTED, ""), (Outcome.REJECTED, "Ola Nordmann")]
)
def test_a_reason_is_a_code_or_nothing(outcome: Outcome, reason: str) -> None:
    """No free text stands in a settlement, and a rejection always says why."""
    with pytest.raises(ValueError, match="reason") as caught:
        Settlement("drop-1", "north", outcome, reason, Counts(delivered=0))
    assert "Nordmann" not in str(caught.value)


def test_control_totals_add_up() -> None:
    """Every delivered row is accepted, unchanged or rejected."""
    with pytest.raises(ValueError, match="totals"):
        Counts(delivered=9, accepted=1)


def test_a_drop_of_which_no_row_is_left_is_still_admitted(database: Database) -> None:
    """Earlier stages may refuse every row: the drop is settled, with or without empty records, and raises no state."""
    writer = database.writer()
    plan = writer.plan([records(ARRIVAL, "north", [], "drop-1")])
    all_refused = Counts(delivered=3, rejected=3)

    assert writer.settle(plan, Settlement("drop-1", "north", Outcome.ADMITTED, "", all_refused), [], position()) == 0
    assert writer.settle(None, Settlement("drop-2", "north", Outcome.ADMITTED, "", all_refused), [], position()) == 0
    assert [kept.settlement.counts for kept in database.reader().settlements()] == [all_refused, all_refused]
