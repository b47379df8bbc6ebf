"""A fresh registry database on each of the two engines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.postgres import Cluster
from tests.store.registry import Database, emptied_postgres, new_sqlcipher


@pytest.fixture(params=["sqlcipher", "postgres"])
def technology(request: pytest.FixtureRequest) -> str:
    """Which database holds the registry."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres_url(postgres_cluster: Cluster) -> str:
    """One PostgreSQL database, which each test empties: making one for each takes longer than the test."""
    return postgres_cluster.new_database()


@pytest.fixture
def fresh_database(technology: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Database]:
    """Call it for an empty database of the technology at hand; on PostgreSQL the one before it is emptied."""
    if technology == "postgres":
        url = request.getfixturevalue("postgres_url")
        return lambda: emptied_postgres(url)
    return lambda: new_sqlcipher(tmp_path)


@pytest.fixture
def database(fresh_database: Callable[[], Database]) -> Database:
    """An empty database of the technology at hand."""
    return fresh_database()
