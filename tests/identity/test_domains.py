"""A domain is where a name means somebody: a registry, a sender, an issuer, an extract. No name leads into another.

Issuers of H-numbers: `test_merges.py`; extracts, which have numbers of their own: `tests/jobs/test_extract.py`.
"""

from pathlib import Path

from sqlalchemy import Engine, select

from enclave.crypto.secret import Secret
from enclave.identity.vault import Vault, create
from enclave.identity.vault_keys import VaultKeys
from enclave.identity.vault_reader import VaultReader
from enclave.identity.vault_tables import identity, reference
from enclave.store.engines import sqlcipher_engine
from tests.identity.conftest import Place, at

PERSON, SAME_TEXT = "41018012345", "k-17"


def another_registrys(folder: Path) -> tuple[Vault, Engine]:
    """The vault of a second registry of the same server: its own file, its own keys."""
    engine = sqlcipher_engine(folder / "other.db", Secret(b"o" * 32), create=True)
    keys = VaultKeys(Secret(b"n" * 32), Secret(b"e" * 32))
    create(engine, keys)
    return Vault(engine, keys), engine


def test_one_person_is_a_stranger_in_another_registry(place: Place, tmp_path: Path) -> None:
    """Two registries know one number by two pseudonyms, two indexes and two ciphertexts: nothing to join on."""
    seen = []
    for vault, engine in ((place.vault(), place.engine), another_registrys(tmp_path)):
        pseudonym = vault.assign([PERSON], ["syn_tenor"], [], at(1)).people["pseudonym"][0]
        with engine.connect() as connection:
            row = connection.execute(select(identity.c.bidx, identity.c.nonce, identity.c.ciphertext)).one()
        seen.append({bytes(pseudonym), *(bytes(value) for value in row)})
    assert not seen[0] & seen[1]
    assert all(len(values) == 4 for values in seen)


def test_a_reference_is_its_senders(vault: Vault, reader: VaultReader, place: Place) -> None:
    """The same reference of two senders is two courses, under two indexes; neither finds the other's."""
    ours, theirs = (
        vault.assign([], [], [(who, SAME_TEXT)], at(seq)).episodes for seq, who in ((1, "alfa"), (2, "beta"))
    )
    assert ours["episode"][0] != theirs["episode"][0]
    assert reader.find_episodes([("gamma", SAME_TEXT)]).is_empty()
    with place.engine.connect() as connection:
        assert len({bytes(row.bidx) for row in connection.execute(select(reference.c.bidx))}) == 2


def test_a_number_that_is_also_a_reference_is_not_found_by_it(vault: Vault, reader: VaultReader, place: Place) -> None:
    """A national number and a reference of the same digits stand under two indexes: neither tells of the other."""
    vault.assign([PERSON], ["syn_tenor"], [], at(1))
    assert reader.find_episodes([("alfa", PERSON)]).is_empty()
    vault.assign([], [], [("alfa", PERSON)], at(2))
    with place.engine.connect() as connection:
        people = {bytes(row.bidx) for row in connection.execute(select(identity.c.bidx))}
        courses = {bytes(row.bidx) for row in connection.execute(select(reference.c.bidx))}
    assert len(people) == len(courses) == 1
    assert not people & courses
