"""What all tests share."""

from collections.abc import Callable, Iterator

import pytest

from tests.servers.postgres import Cluster, running_cluster


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A real PostgreSQL that lives as long as the test session."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_database(postgres_cluster: Cluster) -> Callable[[], str]:
    """Call it for the URL of a fresh PostgreSQL database."""
    return postgres_cluster.new_database
