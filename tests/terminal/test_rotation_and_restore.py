"""A restore in the midst of a rotation, and after it: no key is retired that alone opens what came back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave.audit.signed_note import public_keys_in
from enclave.control.requests import find_request, requests_of
from enclave.crypto import keyring
from enclave.crypto.key_register import REGISTER
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import RequestState
from enclave.folders import WorkingFolder
from enclave.terminal.key_desk import KeyDesk
from jobs.checkpoint import checkpoint
from jobs.rotation import OF_DATABASES
from tests.jobs.clinics import COURSES, REGISTRY, InProcess, Server
from tests.jobs.working import wired
from tests.terminal.backups import Holders, backed_up, pause, put_back, settings_of

FILED, DONE = RequestState.FILED, RequestState.DONE


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, Holders]:
    """A server with admitted rows, whose backups two people can open."""
    server, holders = Server(tmp_path_factory.mktemp("both"), InProcess()), Holders.new()
    holders.registered(server.folder)
    server.send()
    return server, holders


@pytest.fixture
def standing(founded: tuple[Server, Holders]) -> Iterator[tuple[Server, Holders]]:
    """The server, put back as it was after each test."""
    with founded[0].undone():
        yield founded


def desk(server: Server) -> KeyDesk:
    """The terminal."""
    return KeyDesk(server.folder, settings_of(server.folder), REGISTRY)


def keys(server: Server) -> Path:
    """Where the keys of the registry lie."""
    return server.folder.registry(REGISTRY).keys


def opens(server: Server) -> None:
    """Both databases open with the keys that lie there."""
    server.wiring("rights").open_vault()
    server.wiring("rights").open_registry_writer()


@pytest.mark.parametrize("name", OF_DATABASES)
def test_what_came_back_under_the_old_key_is_moved_again(
    standing: tuple[Server, Holders], tmp_path: Path, name: str
) -> None:
    """The old key is not retired before, though all was moved once."""
    server, holders = standing
    backed_up(server.folder, tmp_path / "sealed")
    request_id = desk(server).rotate(name)
    server.run("rights")
    assert find_request(server.control, request_id).state is DONE
    pause(server.folder)
    put_back(server, holders.opened(tmp_path / "sealed"))

    assert find_request(server.control, request_id).state is FILED
    with pytest.raises(Refused, match="R_KEY_NOT_MOVED"):
        desk(server).retire(name)
    server.run("rights")
    desk(server).retire(name)
    opens(server)


def test_a_public_half_that_was_the_next_one_does_not_come_back(
    standing: tuple[Server, Holders], tmp_path: Path
) -> None:
    """Nothing would be sealed any more that somebody can open: its private half was retired since."""
    server, holders = standing
    desk(server).rotate("viewing")
    backed_up(server.folder, tmp_path / "sealed")
    desk(server).retire("viewing")
    desk(server).rotate("viewing")
    desk(server).retire("viewing")
    pause(server.folder)
    put_back(server, holders.opened(tmp_path / "sealed"))

    assert keyring.recipient(keys(server), "viewing") == keyring.public(keys(server), "viewing")
    keyring.Keyring(keys(server), frozenset({"viewing"}))


def test_the_halves_of_a_rotation_come_back_together(standing: tuple[Server, Holders], tmp_path: Path) -> None:
    """Where the key's own public half is lost, as on a new machine, the next one comes back with it."""
    server, holders = standing
    desk(server).rotate("viewing")
    halves = keyring.halves(keys(server), "viewing")
    backed_up(server.folder, tmp_path / "sealed")
    for name in ("viewing.pub", "viewing.next.pub"):
        (keys(server) / name).unlink()
    pause(server.folder)
    put_back(server, holders.opened(tmp_path / "sealed"))
    assert keyring.halves(keys(server), "viewing") == halves


def test_a_new_machine_whose_keys_were_rotated_since(standing: tuple[Server, Holders], tmp_path: Path) -> None:
    """Public halves follow from the private copies that were put there, and not from the backup: the log's key too."""
    server, holders = standing
    backed_up(server.folder, tmp_path / "sealed")
    for name in ("viewing", "audit-sign"):
        desk(server).rotate(name)
        server.run("checkpoint")
        desk(server).retire(name)
    new = WorkingFolder(tmp_path / "new")
    only_private = shutil.ignore_patterns("*.pub", "*.json")
    shutil.copytree(server.folder.keys, new.keys, ignore=only_private)
    shutil.copy(server.folder.settings, new.settings)
    put_back(server, holders.opened(tmp_path / "sealed"), new)

    keyring.Keyring(new.registry(REGISTRY).keys, frozenset({"viewing", "intake", "bundle-sign"}))
    wiring = wired(new, "checkpoint")
    checkpoint(wiring)
    (vkey,) = public_keys_in(wiring.log.vkey)
    assert vkey.hex() == keyring.public(server.folder.keys, "audit-sign")


@pytest.mark.parametrize("name", OF_DATABASES)
@pytest.mark.parametrize("moved", [True, False])
def test_a_backup_from_the_midst_of_a_rotation_needs_both_keys(
    standing: tuple[Server, Holders], tmp_path: Path, name: str, moved: bool
) -> None:
    """As the guide says: the older key in its place, the present one as its next, and the rotation goes on."""
    server, holders = standing
    older = (keys(server) / f"{name}.key").read_bytes()
    desk(server).rotate(name)
    if moved:
        server.run("rights")
    backed_up(server.folder, tmp_path / "sealed")
    server.run("rights")
    desk(server).retire(name)
    pause(server.folder)
    assert put_back(server, holders.opened(tmp_path / "sealed")).other_keys == (f"{REGISTRY}/{name}",)

    put_older_beside(server, name, older)
    opens(server)
    desk(server).rotate(name)
    server.run("rights")
    assert desk(server).retire(name) == 3
    opens(server)


def test_a_withdrawal_that_is_carried_out_again_needs_its_key(standing: tuple[Server, Holders], tmp_path: Path) -> None:
    """Whom it is about is under the retired key of `rights`: the restore names it, and the guide's way opens it."""
    server, holders = standing
    older = (keys(server) / "rights.key").read_bytes()
    asked = server.desk.withdraw(Secret(COURSES[1].person.encode()), "2026/9")
    backed_up(server.folder, tmp_path / "sealed")
    server.run("rights")
    desk(server).rotate("rights")
    server.run("rights")
    desk(server).retire("rights")
    pause(server.folder)
    assert put_back(server, holders.opened(tmp_path / "sealed")).other_keys == (f"{REGISTRY}/rights",)

    put_older_beside(server, "rights", older)
    desk(server).rotate("rights")
    server.run("rights")
    assert find_request(server.control, asked).state is DONE
    desk(server).retire("rights")


def put_older_beside(server: Server, name: str, older: bytes) -> None:
    """What the guide says: the older key in its place, the present one as its next."""
    (keys(server) / f"{name}.key").rename(keys(server) / f"{name}.next.key")
    (keys(server) / f"{name}.key").write_bytes(older)
    (keys(server) / f"{name}.key").chmod(0o600)


@pytest.mark.parametrize("name", OF_DATABASES)
def test_a_lost_register_retires_nothing(standing: tuple[Server, Holders], name: str) -> None:
    """The move to an earlier version of a key is none to the version that is drawn when nobody knows its number."""
    server, _ = standing
    desk(server).rotate(name)
    server.run("rights")
    desk(server).retire(name)
    (keys(server) / REGISTER).unlink()

    desk(server).rotate(name)
    with pytest.raises(Refused, match="R_KEY_NOT_MOVED"):
        desk(server).retire(name)
    server.run("rights")
    desk(server).retire(name)
    opens(server)
    assert not requests_of(server.control, REGISTRY, FILED)
