"""A vault moves to a new key some rows at a time, and nobody who asks it notices."""

from datetime import date

import polars as pl
import pytest
from sqlalchemy import select

from enclave.crypto.secret import Secret
from enclave.errors import Halt
from enclave.identity.rekey import rekey
from enclave.identity.vault import Vault
from enclave.identity.vault_keys import DATA, INDEX, VaultKeys
from enclave.identity.vault_tables import identity, reference, vault_key
from tests.identity.conftest import KEYS, Place, at
from tests.identity.numbers import synthetic

IDS = [synthetic(date(1980, 1, 1), series) for series in range(9)]
COURSES = [("alfa", f"K-{n}") for n in range(5)] + [("beta", "K-0")]
OLD, NEW = {INDEX: Secret(b"i" * 32), DATA: Secret(b"d" * 32)}, {INDEX: Secret(b"I" * 32), DATA: Secret(b"D" * 32)}
both = pytest.mark.parametrize("purpose", [INDEX, DATA])


def moving(purpose: str) -> VaultKeys:
    """The keys of a job while one of them is rotated."""
    return VaultKeys(OLD[INDEX], OLD[DATA], **{f"next_{purpose}": NEW[purpose]})


def moved(purpose: str) -> VaultKeys:
    """The keys of a job after that."""
    return VaultKeys(**{**OLD, purpose: NEW[purpose]})


def filled(place: Place) -> Vault:
    """A vault with people, courses, and one H-number of each of two hospitals."""
    vault = place.vault()
    vault.assign(IDS, ["syn_tenor"] * len(IDS), COURSES, at(1))
    for seq, issuer in ((2, "alfa"), (3, "beta")):
        vault.assign([IDS[0]], ["hnr"], [], at(seq), issuer=issuer)
    return vault


def told(vault: Vault) -> list[pl.DataFrame]:
    """Everything that a vault answers."""
    people, courses = vault.find(IDS), vault.find_episodes(COURSES)
    h_numbers = [vault.find([IDS[0]], ["hnr"], issuer=issuer) for issuer in ("alfa", "beta")]
    every = [*people["pseudonym"], *(name for found in h_numbers for name in found["pseudonym"])]
    assert len(set(every)) == len(IDS) + 2
    return [people, courses, *h_numbers, vault.identities(every), vault.references(courses["episode"].to_list())]


def same(one: list[pl.DataFrame], other: list[pl.DataFrame]) -> bool:
    """Whether two vaults answer the same."""
    return all(left.equals(right) for left, right in zip(one, other, strict=True))


_seq = iter(range(100, 10_000))


def _step(place: Place, purpose: str) -> int:
    return rekey(place.engine, moving(purpose), purpose, at(next(_seq)), most=4)


@both
def test_it_answers_the_same_at_every_step(place: Place, purpose: str) -> None:
    """After each batch a job with both keys finds and opens all, names nobody anew, and writes under the new key."""
    before, seq = told(filled(place)), 10
    while rekey(place.engine, moving(purpose), purpose, at(seq), most=4):
        assert same(told(Vault(place.engine, moving(purpose))), before)
        assert Vault(place.engine, moving(purpose)).assign(IDS, ["syn_tenor"] * 9, COURSES, at(seq + 1)).new_people == 0
        seq += 2
    assert seq > 16
    assert same(told(Vault(place.engine, moved(purpose))), before)
    with place.engine.begin() as connection:
        for table in (identity, reference):
            versions = {(row.index_key_version, row.data_key_version) for row in connection.execute(select(table))}
            assert versions == {(2, 1) if purpose == INDEX else (1, 2)}


@both
def test_afterwards_the_old_key_opens_nothing(place: Place, purpose: str) -> None:
    """A job with the old keys halts; the vault keeps no probe of the old one, and no index or ciphertext of it."""
    filled(place)
    with place.engine.begin() as connection:
        old = {bytes(value) for row in connection.execute(select(identity)) for value in (row.bidx, row.ciphertext)}
    while _step(place, purpose):
        pass
    with pytest.raises(Halt, match="H_VAULT_KEY"):
        Vault(place.engine, KEYS)
    with place.engine.begin() as connection:
        left = {bytes(value) for row in connection.execute(select(identity)) for value in (row.bidx, row.ciphertext)}
        probes = {bytes(row.probe) for row in connection.execute(select(vault_key))}
    assert not old & left if purpose == INDEX else len(old & left) == len(IDS) + 2
    assert KEYS.probes()[purpose] not in probes


@both
def test_a_job_with_the_old_key_alone_halts_as_soon_as_it_began(place: Place, purpose: str) -> None:
    """From the first batch on nobody can write under the old key only, and so lose a person."""
    filled(place)
    _step(place, purpose)
    with pytest.raises(Halt, match="H_VAULT_KEY"):
        place.vault()


@both
def test_an_altered_row_stops_the_move_and_stays_as_it_is(place: Place, purpose: str) -> None:
    """A row that does not open is not sealed anew: the batch is undone whole."""
    filled(place)
    with place.engine.begin() as connection:
        connection.execute(identity.update().values(ciphertext=bytes(27)))
        before = sorted(map(tuple, connection.execute(select(identity))))
    with pytest.raises(Halt, match="H_VAULT_ALTERED"):
        _step(place, purpose)
    with place.engine.begin() as connection:
        assert sorted(map(tuple, connection.execute(select(identity)))) == before


def test_both_keys_one_after_the_other(place: Place) -> None:
    """Index and data key are rotated independently; every answer stays."""
    before = told(filled(place))
    for purpose in (INDEX, DATA):
        held = {**OLD, INDEX: NEW[INDEX]} if purpose == DATA else OLD
        keys = VaultKeys(**held, **{f"next_{purpose}": NEW[purpose]})
        while rekey(place.engine, keys, purpose, at(next(_seq)), most=5):
            pass
    assert same(told(Vault(place.engine, VaultKeys(**NEW))), before)
