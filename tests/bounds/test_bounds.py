"""No single file costs more than 400 MiB above the idle process or a minute, and each ends as it must."""

import pytest

from tests.bounds.files import HOSTILE
from tests.bounds.measure import MOST_MIB, MOST_SECONDS, measure
from tests.faults.site import Site, new_site

IN_THE_SUITE = ("manifest of 200 MB", "ZIP bomb of a gigabyte", "XLSX nested a million deep", "CSV of NULs")
"""Those that are cheap to make; the long tests measure all of them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One server for all of them."""
    return new_site(tmp_path_factory.mktemp("bounds"))


def bounded(server: Site, name: str) -> None:
    """One hostile file stays within the bounds and ends as it must."""
    cost = measure(server, name)

    assert cost.mib < MOST_MIB
    assert cost.cpu < MOST_SECONDS
    assert cost.ended_rightly, (cost.reason, sorted(cost.rules))


@pytest.mark.parametrize("name", IN_THE_SUITE)
def test_a_hostile_file_stays_within_bounds(server: Site, name: str) -> None:
    """Memory and time of the whole way through the jobs, measured in a process of its own."""
    bounded(server, name)


@pytest.mark.long
@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_file_stays_within_bounds(server: Site, name: str) -> None:
    """The same for every file of the table in docs/hostile-input.md."""
    bounded(server, name)
