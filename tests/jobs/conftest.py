"""What the tests of jobs share; each file makes its own `founded` server, once."""

from collections.abc import Iterator

import pytest

from tests.jobs.clinics import Server
from tests.kills.forks import Forks


@pytest.fixture
def server(founded: Server) -> Iterator[Server]:
    """The file's server, put back as it was after each test."""
    with founded.undone():
        yield founded


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """What runs a job or a command in a process that can be killed."""
    with Forks() as started:
        yield started
