"""Reads are as of a state and for a purpose; withdrawals and reservations reach each of them."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import update

from enclave.errors import Halt, Refused
from enclave.model.purpose import Purpose
from enclave.model.table import (
    Figure,
    Group,
    ReleasableFigure,
    ReleasableTable,
    ResultTable,
    Statistic,
    Withheld,
)
from enclave.store import schema
from enclave.store.engines import transaction
from enclave.store.read import RegistryReader
from tests.store.registry import FOLLOW_UP, UNIT, Database, key, position, send

SERVED = [purpose for purpose in Purpose if purpose is not Purpose.ACCESS]


def persons(
    reader: RegistryReader, purpose: Purpose, *, state: int | None = None, as_released: bool = False
) -> list[int]:
    """The scores, one for each person, that a read answers."""
    return reader.read("follow_up", state=state, purpose=purpose, as_released=as_released)["score"].to_list()


def two_people(database: Database) -> RegistryReader:
    """Persons one and two with scores 1 and 2 in state 1, then person one withdrawn in state 2."""
    writer = database.writer()
    rows: Sequence[dict[str, object]] = [{"course": f"c{n}", "person": f"p{n}", "score": n} for n in (1, 2)]
    send(writer, "north", FOLLOW_UP, *rows)
    assert writer.withdraw(key("p1"), None, position()) == 2
    return database.reader()


def test_a_withdrawal_reaches_every_purpose(database: Database) -> None:
    """Today's withdrawal applies to the newest state and to an old one; only a release made again keeps its own."""
    reader = two_people(database)

    for purpose in SERVED:
        assert persons(reader, purpose) == [2]
        assert persons(reader, purpose, state=1) == [2]
        assert persons(reader, purpose, state=1, as_released=True) == [1, 2]
        assert persons(reader, purpose, state=2, as_released=True) == [2]


def test_a_person_may_see_what_is_held_about_them(database: Database) -> None:
    """Access answers all rows of the one person asked for, withdrawn or not."""
    reader = two_people(database)

    for number in (1, 2):
        frame = reader.read("follow_up", state=None, purpose=Purpose.ACCESS, pseudonym=key(f"p{number}"))
        assert frame["score"].to_list() == [number]
    assert reader.read("unit", state=None, purpose=Purpose.ACCESS, pseudonym=key("p1")).height == 0


def test_one_person_and_access_go_together(database: Database) -> None:
    """Nobody reads everyone as access, or one person as something else."""
    reader = two_people(database)

    for purpose in Purpose:
        pseudonym = None if purpose is Purpose.ACCESS else key("p1")
        with pytest.raises(Refused) as caught:
            reader.read("follow_up", state=None, purpose=purpose, pseudonym=pseudonym)
        assert caught.value.code == "R_ONE_PERSON"


def test_a_reservation_stops_its_purpose_only(database: Database) -> None:
    """A person reserved against one purpose still serves the others."""
    writer = database.writer()
    people = [{"course": purpose.value, "person": purpose.value, "score": n} for n, purpose in enumerate(SERVED)]
    send(writer, "north", FOLLOW_UP, *people)
    for purpose in SERVED:
        writer.withdraw(key(purpose.value), purpose, position())
    reader = database.reader()

    for number, purpose in enumerate(SERVED):
        assert persons(reader, purpose) == [other for other in range(len(SERVED)) if other != number]


def test_a_withdrawal_covers_rows_that_come_later(database: Database) -> None:
    """A person who withdrew before any row came stays out when one comes."""
    writer = database.writer()
    assert writer.withdraw(key("p1"), None, position()) == 1
    send(writer, "north", FOLLOW_UP, {"course": "c1", "person": "p1", "score": 1})

    assert persons(database.reader(), Purpose.NATIONAL) == []


def test_withdrawing_twice_is_withdrawing_once(database: Database) -> None:
    """The second time only its act is recorded."""
    writer = database.writer()
    second = position()
    writer.withdraw(key("p1"), None, position())

    assert writer.withdraw(key("p1"), None, second) == 1
    assert writer.has_act(second)
    assert writer.withdraw(key("p1"), Purpose.RESEARCH, position()) == 2


def test_what_an_institution_says_of_itself_is_nobodys_to_withdraw(database: Database) -> None:
    """Forms about institutions know no reservations."""
    writer = database.writer()
    writer.withdraw(key(""), None, position())
    send(writer, "north", UNIT, {"course": "2024", "beds": 3})

    assert database.reader().read("unit", state=None, purpose=Purpose.NATIONAL)["beds"].to_list() == [3]


def test_rows_of_one_sender_can_be_asked_for(database: Database) -> None:
    """An institution's own rows are those that it submitted."""
    writer = database.writer()
    for sender, score in (("south", 2), ("north", 1)):
        send(writer, sender, FOLLOW_UP, {"course": "c1", "person": "p1", "score": score})
    frame = database.reader().read("follow_up", state=None, purpose=Purpose.OWN_ROWS, sender="south")

    assert frame["score"].to_list() == [2]


def test_a_state_that_is_not_yet_is_refused(database: Database) -> None:
    """A read never answers for a state that nobody has committed."""
    reader = two_people(database)

    for state in (-1, 3, 10**30):
        with pytest.raises(Refused) as caught:
            persons(reader, Purpose.NATIONAL, state=state)
        assert caught.value.code == "R_STATE"


FIGURE = Figure(
    "total", "arrival", Group.OTHERS, Statistic.SHARE, 0.1 + 0.2, None, 1e-300, 3, 10, (("a", 1), ("b", 9)), (("a", 1),)
)
RESULT = ResultTable("work_ability", "2024-01-01/2024-12-31", "north", False, 3, "d" * 64, (FIGURE, FIGURE))
RELEASABLE = ReleasableTable(
    "benefits",
    "2024-01-01/2024-12-31",
    "",
    True,
    3,
    "d" * 64,
    "public",
    (ReleasableFigure("total", "m1", Group.ALL, Statistic.SHARE, None, None, None, None, None, Withheld.SMALL),),
)


def test_a_kept_table_comes_back_as_it_was(database: Database) -> None:
    """Every digit, group and reason survives; tables before and after disclosure control are told apart."""
    database.writer().keep_tables([RESULT, RELEASABLE], position())
    reader = database.reader()

    assert reader.tables() == (RESULT, RELEASABLE)
    assert reader.tables(finished=True) == (RELEASABLE,)
    assert reader.tables(finished=False) == (RESULT,)
    assert reader.tables(table="work_ability") == (RESULT,)
    assert reader.tables(table="benefits", finished=False) == ()


def test_the_newest_of_a_table_is_read_and_the_same_is_kept_once(database: Database) -> None:
    """Keeping again word for word adds nothing; other numbers for the same place take over, also back again."""
    writer = database.writer()
    other = replace(RESULT, figures=(FIGURE,))
    for table in (RESULT, RESULT, other, RESULT):
        writer.keep_tables([table], position())
    with transaction(database.engine) as connection:
        kept = connection.execute(schema.result_table.select()).all()

    assert len(kept) == 3
    assert database.reader().tables() == (RESULT,)
    assert database.reader().current_state() == 0


def test_a_borrowed_table_before_disclosure_control_is_never_kept(database: Database) -> None:
    """Who contributed to a table made from a loan does not reach the registry."""
    where = position()

    with pytest.raises(Refused) as caught:
        database.writer().keep_tables([RESULT, replace(RESULT, borrowed=True)], where)
    assert caught.value.code == "R_BORROWED"
    assert database.reader().tables() == ()
    assert not database.reader().has_act(where)


def test_a_number_that_is_not_one_is_never_kept(database: Database) -> None:
    """NaN and infinity are mistakes of ours, and stop before anything is kept."""
    with pytest.raises(ValueError, match="JSON"):
        database.writer().keep_tables([replace(RESULT, figures=(replace(FIGURE, value=float("nan")),))], position())
    assert database.reader().tables() == ()


@pytest.mark.parametrize("damage", ["{}", "[", json.dumps({"table": "x"})])
def test_a_kept_table_that_was_changed_halts(database: Database, damage: str) -> None:
    """A table edited in the database is not released."""
    database.writer().keep_tables([RESULT], position())
    with transaction(database.engine) as connection:
        connection.execute(update(schema.result_table).values(content=damage))

    with pytest.raises(Halt) as caught:
        database.reader().tables()
    assert caught.value.code == "H_TABLE_DAMAGED"
