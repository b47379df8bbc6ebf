"""One person under several numbers: merges that nobody's rows notice, splits that bring back what was."""

from datetime import date

import pytest
from sqlalchemy import inspect, select

from enclave.errors import Halt, Refused
from enclave.identity.vault import Vault
from enclave.identity.vault_reader import VaultReader
from enclave.identity.vault_tables import identity, merge, person
from tests.identity.conftest import KEYS, Place, at
from tests.identity.numbers import number, synthetic

BORN = date(1980, 1, 1)
FOREIGN = number(BORN, month_added=80, day_added=40)
"""What the person was called before the national number came."""
NATIONAL = synthetic(BORN)
THIRD, STRANGER = synthetic(BORN, 1), synthetic(BORN, 2)
IDS = [FOREIGN, NATIONAL, THIRD]


@pytest.fixture
def names(vault: Vault) -> dict[str, bytes]:
    """Three people, each under one number."""
    return dict(vault.assign(IDS, ["syn_tenor"] * 3, [], at(1)).people.iter_rows())


def test_after_a_merge_both_numbers_find_one_person(vault: Vault, reader: VaultReader, names: dict[str, bytes]) -> None:
    """The superseded number keeps working, names nobody new, and opening the person tells both numbers."""
    assert vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(2)) == (names[FOREIGN], names[NATIONAL])
    again = vault.assign(IDS, ["syn_tenor"] * 3, [], at(3))

    stays = names[NATIONAL]
    assert reader.find(IDS)["pseudonym"].to_list() == [stays, stays, names[THIRD]]
    assert again.people.equals(reader.find(IDS))
    assert again.new_people == 0
    assert sorted(reader.identities([stays])["id"]) == sorted([FOREIGN, NATIONAL])
    assert reader.identities([names[FOREIGN]])["id"].to_list() == [FOREIGN]
    assert reader.own_names([FOREIGN] * 2, ["syn_tenor"] * 2) == [names[FOREIGN]] * 2


def test_a_split_brings_back_exactly_what_was(vault: Vault, place: Place, names: dict[str, bytes]) -> None:
    """Merged and split, every row of people and identities is the same bytes, and each number finds its own person."""
    before = rows(place)
    vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(2))
    assert rows(place) == before
    assert vault.split("s-1", names[FOREIGN], at(3)) == (names[FOREIGN], names[NATIONAL])

    assert rows(place) == before
    assert vault.find(IDS)["pseudonym"].to_list() == [names[each] for each in IDS]
    with place.engine.begin() as connection:
        kept = connection.execute(select(merge.c.request_id, merge.c.split_by)).all()
    assert [tuple(row) for row in kept] == [("m-1", "s-1")]


def rows(place: Place) -> list[list[tuple[object, ...]]]:
    """Every row of people and identities."""
    with place.engine.begin() as connection:
        return [sorted(map(tuple, connection.execute(select(table)))) for table in (person, identity)]


def test_the_same_request_again_changes_nothing(vault: Vault, place: Place, names: dict[str, bytes]) -> None:
    """What a killed run did is found by its request and not done twice; each attempt is an act of its own."""
    both = (names[FOREIGN], names[NATIONAL])
    assert [vault.merge("m-1", both, at(seq)) for seq in (2, 3)] == [both, both]
    assert [vault.split("s-1", names[FOREIGN], at(seq)) for seq in (4, 5)] == [both, both]
    with place.engine.begin() as connection:
        assert len(connection.execute(select(merge)).all()) == 1
    assert [vault.has_act(at(seq)) for seq in (2, 3, 4, 5, 6)] == [True] * 4 + [False]


def test_a_chain_is_read_to_its_end_and_undone_link_by_link(vault: Vault, names: dict[str, bytes]) -> None:
    """A into B into C is C; a split of B from C leaves A with B; a ring cannot be made."""
    vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(2))
    vault.merge("m-2", (names[NATIONAL], names[THIRD]), at(3))
    assert set(vault.find(IDS)["pseudonym"]) == {names[THIRD]}
    with pytest.raises(Refused, match="R_MERGE_SAME"):
        vault.merge("m-3", (names[THIRD], names[FOREIGN]), at(4))
    assert not vault.has_act(at(4))

    vault.split("s-2", names[NATIONAL], at(5))
    assert vault.find(IDS)["pseudonym"].to_list() == [names[NATIONAL], names[NATIONAL], names[THIRD]]


def test_what_was_not_merged_is_not_split(vault: Vault, names: dict[str, bytes]) -> None:
    """The one who stayed, and somebody whose merge is undone, are refused, and no act is left."""
    with pytest.raises(Refused, match="R_NOT_MERGED"):
        vault.split("s-0", names[FOREIGN], at(2))
    vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(3))
    with pytest.raises(Refused, match="R_NOT_MERGED"):
        vault.split("s-1", names[NATIONAL], at(4))
    vault.split("s-1", names[FOREIGN], at(5))
    with pytest.raises(Refused, match="R_NOT_MERGED"):
        vault.split("s-2", names[FOREIGN], at(6))
    assert [vault.has_act(at(seq)) for seq in (2, 4, 6)] == [False] * 3


def test_a_withdrawal_while_merged_covers_both_and_outlives_the_split(
    vault: Vault, place: Place, names: dict[str, bytes]
) -> None:
    """Whoever of the two withdrew: after a split both count as withdrawn, which errs on the protected side."""
    vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(2))
    vault.mark_withdrawn(names[FOREIGN], at(3))
    vault.split("s-1", names[FOREIGN], at(4))
    with place.engine.begin() as connection:
        status = {bytes(row.person_id): row.status for row in connection.execute(select(person))}
    assert status == {names[FOREIGN]: "withdrawn", names[NATIONAL]: "withdrawn", names[THIRD]: "active"}


def test_an_h_number_is_its_issuers(vault: Vault, reader: VaultReader) -> None:
    """Two hospitals' equal H-numbers are two people; without its issuer one is nobody."""
    ours = vault.assign([FOREIGN], ["hnr"], [], at(1), issuer="alfa").people["pseudonym"][0]
    theirs = vault.assign([FOREIGN], ["hnr"], [], at(2), issuer="beta").people["pseudonym"][0]
    assert ours != theirs
    assert [
        reader.find([FOREIGN], ["hnr"], issuer=who)["pseudonym"].to_list() for who in ("alfa", "beta", "", "x")
    ] == [
        [ours],
        [theirs],
        [],
        [],
    ]
    assert reader.find([FOREIGN]).is_empty()
    national = vault.assign([NATIONAL], ["fnr"], [], at(3), issuer="alfa").people["pseudonym"][0]
    assert reader.find([NATIONAL], ["fnr"], issuer="beta")["pseudonym"].to_list() == [national]


def test_a_vault_from_before_merges_is_read_and_gets_its_table_by_the_first(place: Place) -> None:
    """Without the table nobody is merged; the first merge makes it, in its own transaction."""
    with place.engine.begin() as connection:
        merge.drop(connection)
    vault = Vault(place.engine, KEYS)
    names = dict(vault.assign(IDS, ["syn_tenor"] * 3, [], at(1)).people.iter_rows())
    assert vault.identities([names[NATIONAL]])["id"].to_list() == [NATIONAL]
    vault.mark_withdrawn(names[THIRD], at(2))
    with pytest.raises(Halt, match="H_VAULT"):
        vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(1))
    with place.engine.begin() as connection:
        assert not inspect(connection).has_table("merge")
    vault.merge("m-1", (names[FOREIGN], names[NATIONAL]), at(3))
    assert vault.find([FOREIGN])["pseudonym"].to_list() == [names[NATIONAL]]
