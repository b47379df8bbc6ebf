"""The three airlocks that the contract suite runs on: OpenSSH's sshd, the demo's server, a local folder."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from enclave.airlock.folder import FolderAirlock
from enclave.airlock.port import Airlock
from enclave.airlock.retry import Retry
from enclave.airlock.sftp import SftpAirlock
from enclave.airlock.sftp_connection import Address, Timeouts
from enclave.crypto.secret import Secret
from enclave.demo.airlock import SERVER_LOGIN, EmbeddedAirlock, embedded_airlock, make_folders
from tests.servers.sshd import INSTITUTION_FOLDERS, Sshd, new_key, running_sshd

INSTITUTIONS = ("alpha", "beta")
ONCE = Retry(attempts=1)
TWICE = Retry(attempts=2, first=0.01)
QUICK = Timeouts(connect=10.0, answer=10.0, call=30.0)


@dataclass(frozen=True)
class World:
    """An airlock as the server sees it, and its folder on disk as senders and tests see it."""

    airlock: Airlock
    root: Path
    sshd: Sshd | None = None

    def plant(self, institution: str, name: str, files: dict[str, bytes]) -> Path:
        """Place a folder with files in an institution's `in/`."""
        folder = self.root / institution / "in" / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        self.own(folder)
        return folder

    def own(self, path: Path) -> None:
        """Give what was planted to whom the airlock runs as."""
        if self.sshd is not None:
            self.sshd.own(path)


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """An OpenSSH server with two institutions, which tests leave running."""
    with running_sshd(INSTITUTIONS) as server:
        yield server


@pytest.fixture(scope="session")
def login_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's login key for the demo's airlock."""
    key = tmp_path_factory.mktemp("login") / "key"
    new_key(key)
    return key


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, login_key: Path) -> Iterator[EmbeddedAirlock]:
    """The demo's embedded airlock."""
    public = login_key.with_suffix(".pub").read_text()
    with embedded_airlock(tmp_path_factory.mktemp("demo"), public, dict.fromkeys(INSTITUTIONS, public)) as server:
        yield server


@pytest.fixture(scope="session")
def sshd_airlock(sshd: Sshd) -> Iterator[SftpAirlock]:
    """One connection to sshd for all tests of the contract."""
    address = Address(sshd.host, sshd.port, sshd.server.login, sshd.known_hosts)
    with SftpAirlock(address, Secret(sshd.server.key.read_bytes()), timeouts=QUICK, retry=ONCE) as airlock:
        yield airlock


@pytest.fixture(scope="session")
def demo_airlock(demo: EmbeddedAirlock, login_key: Path) -> Iterator[SftpAirlock]:
    """One connection to the demo's airlock for all tests of the contract."""
    address = Address(demo.host, demo.port, SERVER_LOGIN, demo.known_hosts)
    with SftpAirlock(address, Secret(login_key.read_bytes()), timeouts=QUICK, retry=ONCE) as airlock:
        yield airlock


@pytest.fixture(params=["sshd", "demo", "folder"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Each airlock in turn, empty."""
    if request.param == "folder":
        for institution in INSTITUTIONS:
            make_folders(tmp_path, institution)
        return World(FolderAirlock(tmp_path), tmp_path)
    return _emptied(request)


@pytest.fixture(params=["sshd", "demo"])
def sftp_world(request: pytest.FixtureRequest) -> World:
    """Each airlock that senders reach by SFTP, empty."""
    return _emptied(request)


def _emptied(request: pytest.FixtureRequest) -> World:
    if request.param == "demo":
        demo: EmbeddedAirlock = request.getfixturevalue("demo")
        found = World(request.getfixturevalue("demo_airlock"), demo.root)
    else:
        sshd: Sshd = request.getfixturevalue("sshd")
        found = World(request.getfixturevalue("sshd_airlock"), sshd.root, sshd)
    for institution in INSTITUTIONS:
        for place in INSTITUTION_FOLDERS:
            _empty(found.root / institution / place)
    return found


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
