"""What all tests share."""

from collections.abc import Callable, Iterator

import pytest

from tests.servers.postgres import Cluster, running_cluster

LONGEST_WALK = 1200  # seconds; many times what an idle machine needs


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A real PostgreSQL that lives as long as the test session."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_database(postgres_cluster: Cluster) -> Callable[[], str]:
    """Call it for the URL of a fresh PostgreSQL database."""
    return postgres_cluster.new_database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file run in one worker, and so do all that look at the demo, which is walked once for them.

    Long sweeps name their own groups, so that two workers share one file.
    """
    for item in items:
        group = "demo" if item.path.parent.name in {"demo", "browser"} else str(item.path)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
        if group == "demo" or item.path.parent.name in {"kills", "docs"}:
            # The first test of such a file walks a whole road, or types a whole page of commands.
            item.add_marker(pytest.mark.timeout(LONGEST_WALK))
