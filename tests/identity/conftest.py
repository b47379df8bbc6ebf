"""A vault on both databases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from enclave.audit.record import Position
from enclave.crypto.secret import Secret
from enclave.identity.vault import Vault, create
from enclave.identity.vault_keys import VaultKeys
from enclave.identity.vault_reader import VaultReader
from enclave.store.engines import postgres_engine, sqlcipher_engine

LOG = "0b1f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10"
KEYS = VaultKeys(Secret(b"i" * 32), Secret(b"d" * 32))
MATCHED = KEYS.matched({(purpose, 1): probe for purpose, probe in KEYS.probes().items()})


def at(seq: int) -> Position:
    """The position of an intent in the tests' log."""
    return Position(LOG, seq)


@dataclass(frozen=True)
class Place:
    """A fresh vault; `connect` makes further engines on it."""

    connect: Callable[..., Engine]
    engine: Engine

    def vault(self) -> Vault:
        """The writer."""
        return Vault(self.engine, KEYS)


@pytest.fixture(params=["sqlcipher", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty vault in SQLCipher and in PostgreSQL."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")()
        engine = postgres_engine(url)

        def connect(*, read_only: bool = False) -> Engine:
            return postgres_engine(url, read_only=read_only)
    else:
        key = Secret(b"k" * 32)
        engine = sqlcipher_engine(tmp_path / "vault.db", key, create=True)

        def connect(*, read_only: bool = False) -> Engine:
            return sqlcipher_engine(tmp_path / "vault.db", key, read_only=read_only)

    create(engine, KEYS)
    yield Place(connect, engine)
    engine.dispose()


@pytest.fixture
def vault(place: Place) -> Vault:
    """The writer of an empty vault."""
    return place.vault()


@pytest.fixture
def reader(place: Place) -> Iterator[VaultReader]:
    """A reader of the same vault, on an engine that cannot write."""
    engine = place.connect(read_only=True)
    yield VaultReader(engine, KEYS)
    engine.dispose()
