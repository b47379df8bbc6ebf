"""The demo, run once for all tests of this folder as a newcomer runs it."""

import pytest

from tests.demo.done import Done, walked


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The demo, once for all tests of this folder and of `tests/browser`."""
    return walked(tmp_path_factory)
