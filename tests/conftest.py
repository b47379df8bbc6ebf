"""What all tests share."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.servers.postgres import Cluster, running_cluster

# Machines that run the suite are busy; what must be quick is measured in time of the processor, where it is.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

LOOKS_AT_THE_DEMO = ("demo", "browser")
WALKS_A_ROAD = (*LOOKS_AT_THE_DEMO, "kills", "docs", "flow")
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
    """What takes longest begins first, so that no worker waits for another at the end."""
    for item in items:
        if item.path.parent.name in WALKS_A_ROAD:
            # The first test of such a file walks a whole road, or types a whole page of commands.
            item.add_marker(pytest.mark.timeout(LONGEST_WALK))
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Workers take whole files, in the order of their first tests."""
    config.option.loadscopereorder = False
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    """Tests of one file run in one worker, and so do all that look at the demo, which is walked once for them.

    Long sweeps over the road take hours: workers share a file of them, each on a road of its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.split("/")[1]
        if folder in LOOKS_AT_THE_DEMO:
            return "demo"
        return nodeid if folder == "kills" and self.config.option.markexpr == "long" else path
