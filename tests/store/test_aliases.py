"""Rows of a person who was registered twice: read as one person's from a state on, and as two people's before it."""

import pytest

from enclave.model.purpose import Purpose
from enclave.store.schema import alias
from enclave.store.settlement import Counts
from tests.store.registry import FOLLOW_UP, Database, key, position, send

MERGED, STAYS, OTHER = key("p1"), key("p2"), key("p3")


def people(database: Database, *, state: int | None = None, purpose: Purpose = Purpose.NATIONAL) -> list[bytes]:
    """Whose each row is, in the order of reading."""
    return database.reader().read("follow_up", state=state, purpose=purpose)["_pseudonym"].to_list()


@pytest.fixture
def filled(database: Database) -> Database:
    """Three people with a course each."""
    for number in (1, 2, 3):
        send(database.writer(), "north", FOLLOW_UP, {"course": f"c{number}", "person": f"p{number}", "score": number})
    return database


def test_a_merge_is_read_from_its_state_on_and_a_split_from_its_own(filled: Database) -> None:
    """Each state reads as it always did, whatever came later; no stored row changes."""
    writer = filled.writer()
    merged = writer.merge(MERGED, STAYS, position())
    split = writer.split(MERGED, position())

    assert split == merged + 1
    assert people(filled, state=merged - 1) == [MERGED, STAYS, OTHER]
    assert people(filled, state=merged) == [STAYS, STAYS, OTHER]
    assert people(filled) == [MERGED, STAYS, OTHER]


def test_the_same_again_records_its_act_and_raises_no_state(filled: Database) -> None:
    """A merge that stands and a split that happened are found done."""
    writer = filled.writer()
    acts = [position() for _ in range(4)]
    assert writer.merge(MERGED, STAYS, acts[0]) == writer.merge(MERGED, STAYS, acts[1])
    assert writer.split(MERGED, acts[2]) == writer.split(MERGED, acts[3])
    assert all(writer.has_act(act) for act in acts)


def test_a_course_goes_on_under_the_other_pseudonym(filled: Database) -> None:
    """After the merge a row of the old course that names the one who stays supersedes it; before, it is refused."""
    writer = filled.writer()
    row = {"course": "c1", "person": "p2", "score": 9}
    assert {fault.rule for fault in send(writer, "north", FOLLOW_UP, row).faults} == {"course_other_person"}
    writer.merge(MERGED, STAYS, position())
    assert send(writer, "north", FOLLOW_UP, row).counts == Counts(delivered=1, accepted=1, superseded=1)


def test_a_withdrawal_of_either_covers_both(filled: Database) -> None:
    """Filed before or after the merge, under either pseudonym; what was filed while merged outlives a split."""
    writer = filled.writer()
    writer.withdraw(MERGED, None, position())
    writer.merge(MERGED, STAYS, position())
    assert people(filled) == [OTHER]
    writer.withdraw(STAYS, None, position())
    writer.split(MERGED, position())
    assert people(filled) == [OTHER]


def test_access_shows_the_rows_of_both(filled: Database) -> None:
    """A person who asks is shown everything, under whichever of the pseudonyms it is asked for."""
    filled.writer().merge(MERGED, STAYS, position())
    for asked in (MERGED, STAYS):
        rows = filled.reader().read("follow_up", state=None, purpose=Purpose.ACCESS, pseudonym=asked)
        assert rows["score"].to_list() == [1, 2]


def test_a_registry_from_before_merges_is_read(filled: Database) -> None:
    """Without the table nobody is merged, a split finds nothing to do, and the first merge makes it."""
    writer = filled.writer()
    with filled.engine.begin() as connection:
        alias.drop(connection)
    assert people(filled) == [MERGED, STAYS, OTHER]
    writer.split(MERGED, position())
    writer.merge(MERGED, STAYS, position())
    assert people(filled) == [STAYS, STAYS, OTHER]
