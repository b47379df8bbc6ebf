"""What the vault keeps, on SQLCipher and PostgreSQL."""

import threading
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import delete, event, select, update
from sqlalchemy.exc import IntegrityError

from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused
from enclave.halted import ONLY_THIS_RUN
from enclave.identity.vault import Vault, create
from enclave.identity.vault_bulk import insert_all
from enclave.identity.vault_keys import VaultKeys
from enclave.identity.vault_reader import VaultReader
from enclave.identity.vault_tables import identity, person, reference, transaction
from enclave.store import engines
from enclave.store.engines import holds_in_clear, sqlcipher_engine
from tests.identity.conftest import KEYS, MATCHED, Place, at
from tests.identity.numbers import synthetic

IDS = [synthetic(date(1980, 1, 1), series) for series in range(30)]
COURSES = [("alpha", f"K-{n}") for n in range(20)] + [("beta", f"K-{n}") for n in range(20)]


def kinds(ids: list[str]) -> list[str]:
    """The kind of each id."""
    return ["syn_tenor"] * len(ids)


def test_everyone_gets_one_random_name_and_keeps_it(vault: Vault, reader: VaultReader) -> None:
    """A second assignment finds the same names, names only who is new, and both are in the order given."""
    first = vault.assign(IDS[:20], kinds(IDS[:20]), COURSES[:25], at(1))
    second = vault.assign(IDS[::-1], kinds(IDS), COURSES[::-1], at(2))
    assert (first.new_people, first.new_episodes) == (20, 25)
    assert (second.new_people, second.new_episodes) == (10, 15)
    assert second.people["id"].to_list() == IDS[::-1]
    assert first.people.equals(second.people.filter(pl.col("id").is_in(IDS[:20])).reverse())
    assert first.episodes.equals(second.episodes.reverse().head(25))
    assert second.people["pseudonym"].n_unique() == 30
    assert set(second.people["pseudonym"].bin.size()) == {16}
    assert reader.find(IDS).equals(second.people.reverse())
    assert reader.find_episodes(COURSES).equals(second.episodes.reverse())


def test_the_same_reference_of_two_senders_is_two_courses(vault: Vault) -> None:
    """A sender's own numbers never meet another sender's."""
    assigned = vault.assign([], [], COURSES, at(1))
    assert assigned.episodes["episode"].n_unique() == 40


def test_an_unknown_id_is_not_found_and_an_empty_assignment_still_leaves_its_act(
    vault: Vault, reader: VaultReader
) -> None:
    """Looking up does not name; an act without people is committed all the same."""
    assert reader.find(IDS).is_empty()
    assert reader.find([]).is_empty()
    vault.assign([], [], [], at(5))
    assert reader.has_act(at(5))
    assert not reader.has_act(at(6))


def test_identities_and_references_open_again(vault: Vault, reader: VaultReader) -> None:
    """What was sealed comes back for the jobs that may name people, in the order asked."""
    assigned = vault.assign(IDS, kinds(IDS), [*COURSES, ("alpha", "æ|ø;\n🙂")], at(1))
    names = assigned.people["pseudonym"].to_list()[::-1]
    assert reader.identities(names)["id"].to_list() == IDS[::-1]
    assert reader.identities(names)["pseudonym"].to_list() == names
    courses = assigned.episodes["episode"].to_list()
    assert reader.references(courses).rows() == [(row[2], row[0], row[1]) for row in assigned.episodes.rows()]
    assert reader.references([b"x" * 16]).is_empty()


def test_nothing_in_the_tables_is_an_identity_in_clear(vault: Vault, place: Place) -> None:
    """Ids and references are in no column of any row, and the same id has another ciphertext in another vault."""
    vault.assign(IDS, kinds(IDS), [("alpha", "REFERENCE-CANARY")], at(1))
    with place.engine.begin() as connection:
        rows = [row for table in (identity, person, reference) for row in connection.execute(select(table))]
        cells = [cell for row in rows for cell in row]
    held = b"".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)
    assert not [each for each in [*IDS, "REFERENCE-CANARY"] if each.encode() in held]


def test_an_identity_moved_to_another_person_does_not_open(vault: Vault, place: Place) -> None:
    """Swapping persons, ciphertexts or kinds between rows is noticed when the identity is opened."""
    names = vault.assign(IDS[:2], kinds(IDS[:2]), [], at(1)).people["pseudonym"].to_list()
    with place.engine.begin() as connection:
        connection.execute(update(identity).where(identity.c.person_id == names[0]).values(person_id=names[1]))
    with pytest.raises(Halt, match="H_VAULT_ALTERED"):
        vault.identities([names[1]])
    assert vault.identities([names[0]]).is_empty()


@pytest.mark.parametrize("column", ["nonce", "ciphertext", "kind", "data_key_version"])
def test_an_altered_column_of_an_identity_is_noticed(vault: Vault, place: Place, column: str) -> None:
    """Each column that an opening depends on is authenticated."""
    name = vault.assign(IDS[:1], kinds(IDS[:1]), [], at(1)).people["pseudonym"][0]
    other = {"nonce": bytes(12), "ciphertext": bytes(27), "kind": "fnr", "data_key_version": 2}[column]
    with place.engine.begin() as connection:
        connection.execute(update(identity).values({column: other}))
    with pytest.raises(Halt, match="H_VAULT_ALTERED") as caught:
        vault.identities([name])
    assert IDS[0] not in str(caught.value)


def test_a_reference_moved_to_another_sender_does_not_open(vault: Vault, place: Place) -> None:
    """A course cannot be given to another institution behind the vault's back."""
    course = vault.assign([], [], [("alpha", "1")], at(1)).episodes["episode"][0]
    with place.engine.begin() as connection:
        connection.execute(update(reference).values(sender="beta"))
    with pytest.raises(Halt, match="H_VAULT_ALTERED"):
        vault.references([course])


@pytest.mark.parametrize(("index", "data"), [(b"x", b"d"), (b"i", b"x")])
def test_a_vault_does_not_open_with_another_key(place: Place, index: bytes, data: bytes) -> None:
    """A wrong index key halts instead of naming everyone anew; so does a wrong data key."""
    with pytest.raises(Halt, match="H_VAULT_KEY"):
        Vault(place.engine, VaultKeys(Secret(index * 32), Secret(data * 32)))


@pytest.mark.parametrize(("index", "data"), [(b"i" * 31, b"d" * 32), (b"i" * 32, b""), (b"i" * 32, b"i" * 32)])
def test_short_or_equal_keys_are_refused(index: bytes, data: bytes) -> None:
    """Both keys are 32 bytes and differ."""
    with pytest.raises(Halt, match="H_VAULT_KEY"):
        VaultKeys(Secret(index), Secret(data))


def test_a_vault_is_made_only_when_asked(place: Place) -> None:
    """Opening a database without the vault's tables halts; making it twice with the same keys changes nothing."""
    named = place.vault().assign(IDS, kinds(IDS), [], at(1))
    create(place.engine, KEYS)
    assert place.vault().find(IDS).equals(named.people)
    with place.engine.begin() as connection:
        for table in ("merge", "identity", "reference", "person", "vault_key", "act"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    with pytest.raises(Halt, match="H_VAULT_MISSING"):
        place.vault()


def test_an_act_happens_once_and_an_error_leaves_nothing(vault: Vault, reader: VaultReader) -> None:
    """A position that is already there halts the whole transaction: nobody is named, and no value is in the error."""
    vault.assign(IDS[:1], kinds(IDS[:1]), [], at(1))
    with pytest.raises(Halt, match="H_VAULT") as caught:
        vault.assign(IDS, kinds(IDS), COURSES, at(1))
    assert caught.value.__cause__ is None
    assert not [each for each in IDS if each in str(caught.value)]
    assert reader.find(IDS).height == 1


def test_a_reader_cannot_write(reader: VaultReader, place: Place) -> None:
    """On a reader's engine even the writer's own code changes nothing."""
    engine = place.connect(read_only=True)
    with pytest.raises(Halt, match="H_VAULT"):
        Vault(engine, KEYS).assign(IDS, kinds(IDS), [], at(1))
    engine.dispose()
    assert reader.find(IDS).is_empty()


def test_withdrawing_marks_the_person_and_refuses_nobody(vault: Vault, place: Place) -> None:
    """A withdrawal is committed with its act, can be repeated, and leaves no act for somebody unknown."""
    name = vault.assign(IDS[:2], kinds(IDS[:2]), [], at(1)).people["pseudonym"][0]
    vault.mark_withdrawn(name, at(2))
    vault.mark_withdrawn(name, at(3))
    with pytest.raises(Refused, match="R_PERSON_UNKNOWN"):
        vault.mark_withdrawn(bytes(16), at(4))
    assert vault.has_act(at(2))
    assert not vault.has_act(at(4))
    with place.engine.begin() as connection:
        status = {row.person_id: row.status for row in connection.execute(select(person))}
    assert sorted(status.values()) == ["active", "withdrawn"]
    assert status[name] == "withdrawn"


def test_servers_that_name_the_same_people_at_once_agree(place: Place) -> None:
    """Four writers on engines of their own, with overlapping people in different orders, end with one name each."""
    found: dict[int, pl.DataFrame] = {}

    def work(number: int) -> None:
        engine = place.connect()
        ids = IDS if number % 2 else IDS[::-1]
        assigned = Vault(engine, KEYS).assign(ids, kinds(ids), COURSES[:: 1 if number % 2 else -1], at(number))
        found[number] = assigned.people.sort("id").hstack(assigned.episodes.sort("sender", "reference").head(30))
        engine.dispose()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(frame.equals(found[0]) for frame in found.values())
    with place.engine.begin() as connection:
        assert len(connection.execute(select(person)).all()) == len(IDS)
        assert len(connection.execute(select(reference)).all()) == len(COURSES)


def test_more_people_than_fit_one_statement_are_named_and_found(vault: Vault) -> None:
    """Ten thousand people pass through the chunks of reading and writing without loss."""
    ids = [f"{number:011}" for number in range(10_000)]
    assigned = vault.assign(ids, ["fnr"] * len(ids), [("alpha", each) for each in ids], at(1))
    assert assigned.people["pseudonym"].n_unique() == assigned.episodes["episode"].n_unique() == 10_000
    assert vault.find(pl.Series(ids)).equals(assigned.people)


def test_every_identity_has_its_person_though_no_reference_is_looked_up_while_naming(
    vault: Vault, place: Place
) -> None:
    """SQLite's own check of what is stored finds no identity without a person, and other writers are still checked."""
    vault.assign(IDS[:5], kinds(IDS[:5]), [], at(1))
    vault.assign(IDS, kinds(IDS), COURSES, at(2))
    with place.engine.begin() as connection:
        identities = {row.person_id for row in connection.execute(select(identity))}
        assert identities == {row.person_id for row in connection.execute(select(person))}
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    with pytest.raises(IntegrityError), place.engine.begin() as connection:
        connection.execute(delete(person))


def test_what_breaks_a_rule_in_the_middle_of_many_rows_leaves_none_of_them(vault: Vault, place: Place) -> None:
    """A row of no known status undoes the whole transaction: the rows before it, and what was done before them."""
    vault.assign(IDS[:5], kinds(IDS[:5]), [], at(1))
    rows = {"person_id": [bytes([number]) * 16 for number in range(3)], "status": ["active", "active", "gone"]}
    with pytest.raises(Halt, match="H_VAULT"), transaction(place.engine) as connection:
        connection.execute(update(person).values(status="withdrawn"))
        insert_all(connection, person, rows | at(1)._asdict())
    with place.engine.begin() as connection:
        assert [row.status for row in connection.execute(select(person))] == ["active"] * 5


def test_a_full_disk_and_a_long_wait_are_told_apart_from_a_damaged_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither stops the server: the first passes when somebody makes room, the second by itself; nobody is named."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    engine = sqlcipher_engine(tmp_path / "vault.db", Secret(b"k" * 32), create=True)
    create(engine, KEYS)
    vault = Vault(engine, KEYS)
    with engine.begin(), pytest.raises(Halt, match="H_DB_BUSY"):
        vault.assign(IDS, kinds(IDS), [], at(1))

    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1"))
    with pytest.raises(Halt, match="H_DISK_FULL"):
        vault.assign([f"{number:011}" for number in range(2_000)], ["fnr"] * 2_000, [], at(2))

    assert {"H_DB_BUSY", "H_DISK_FULL"} <= ONLY_THIS_RUN
    assert (vault.find(IDS).height, vault.has_act(at(2))) == (0, False)
    engine.dispose()


def test_the_vault_file_shows_nothing(tmp_path: Path) -> None:
    """Neither an id, nor a reference, nor a pseudonym, nor a table's name can be read in the raw file."""
    engine = sqlcipher_engine(tmp_path / "vault.db", Secret(b"k" * 32), create=True)
    create(engine, KEYS)
    assigned = Vault(engine, KEYS).assign(IDS, kinds(IDS), [("alpha", "REFERENCE-CANARY")], at(1))
    engine.dispose()
    markers = [IDS[0].encode(), b"REFERENCE-CANARY", assigned.people["pseudonym"][0], b"identity", b"syn_tenor"]
    assert not [marker for marker in markers if holds_in_clear(tmp_path / "vault.db", marker)]


def test_what_holds_secrets_shows_nothing_of_them(vault: Vault) -> None:
    """Keys, assignments and errors have no value in their text."""
    assigned = vault.assign(IDS, kinds(IDS), COURSES, at(1))
    assert IDS[0] not in repr(assigned)
    assert (repr(KEYS), repr(MATCHED)) == ("VaultKeys(redacted)", "MatchedKeys(redacted)")
    with pytest.raises(Halt) as caught:
        MATCHED.open("identity|ciphertext", b"row", bytes(12), b"x" * 32, 1)
    assert caught.value.place == "identity|ciphertext"
    assert caught.value.__cause__ is None
