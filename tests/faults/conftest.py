"""One server on a folder airlock for the rows about drops; its temporary files go where they are searched."""

import tempfile
from collections.abc import Iterator

import pytest

from tests.faults.site import ATTACKER, HONEST, Site, new_site
from tests.servers.sshd import running_sshd


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server, its folder airlock and two senders."""
    made = new_site(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patched:
        for variable in ("TMPDIR", "POLARS_TEMP_DIR", "SQLITE_TMPDIR"):
            patched.setenv(variable, str(made.live / "tmp"))
        patched.setattr(tempfile, "tempdir", str(made.live / "tmp"))
        yield made


@pytest.fixture(scope="module")
def sshd_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same server with OpenSSH's sshd for an airlock."""
    with running_sshd([ATTACKER, HONEST]) as sshd:
        yield new_site(tmp_path_factory.mktemp("sshd-site"), sshd, timeout_seconds=5.0, attempts=1)
