"""What all tests share."""

import hashlib
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


@pytest.fixture(scope="module", autouse=True)
def _one_worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """No two workers run tests of one file: what a file makes once would be made twice, and nobody would notice."""
    scope = _ByFile.scope_of(request.node.nodeid)
    if worker_id == "master" or _is_shared(request.config, scope):
        return
    mine = tmp_path_factory.getbasetemp().parent / f"worker-of-{hashlib.sha256(scope.encode()).hexdigest()[:16]}"
    try:
        with mine.open("x") as file:
            file.write(worker_id)
    except FileExistsError:
        assert mine.read_text() in ("", worker_id), f"two workers run {scope}"


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
        scope = self.scope_of(nodeid)
        return nodeid if _is_shared(self.config, scope) else scope

    @staticmethod
    def scope_of(nodeid: str) -> str:
        """The file of a test, or the demo that it looks at."""
        path = nodeid.partition("::")[0]
        return "demo" if path.split("/")[1] in LOOKS_AT_THE_DEMO else path


def _is_shared(config: pytest.Config, scope: str) -> bool:
    return scope.startswith("tests/kills/") and config.option.markexpr == "long"
