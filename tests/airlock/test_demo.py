"""The demo's institutions at the demo's airlock and at a real one."""

from pathlib import Path

import asyncssh
import paramiko
import pytest

from enclave.airlock.port import Box
from enclave.demo.airlock import EmbeddedAirlock
from enclave.demo.visit import visiting
from tests.airlock.conftest import World
from tests.servers.sshd import Sshd, new_key


def test_a_simulated_institution_sends_and_fetches(
    sftp_world: World, demo: EmbeddedAirlock, sshd: Sshd, login_key: Path
) -> None:
    """What it sends is whole at once, and what it fetched lies in `fetched/`, at both servers."""
    world = sftp_world
    if world.sshd is None:
        visit = visiting(demo.host, demo.port, "alpha", login_key.read_text(), demo.known_hosts)
    else:
        account = sshd.institutions["alpha"]
        visit = visiting(sshd.host, sshd.port, account.login, account.key.read_text(), sshd.known_hosts)
    digest = world.airlock.put("alpha", Box.BUNDLES, "b.zip", b"bundle")
    with visit as institution:
        institution.send("drop", {"manifest.json": b"m", "payload.zip": b"p" * 100_000})
        assert institution.fetch("bundles") == {"b.zip": b"bundle"}
        assert institution.fetch("bundles") == {}
    assert world.airlock.read("alpha", "drop", "payload.zip", 100_000) == b"p" * 100_000
    assert world.airlock.find_delivered("alpha", Box.BUNDLES, "b.zip") == digest


def test_the_demos_airlock_keeps_institutions_apart(demo: EmbeddedAirlock, login_key: Path) -> None:
    """A login sees its own folder as the whole, whatever path it asks for, and can make no link."""
    with visiting(demo.host, demo.port, "alpha", login_key.read_text(), demo.known_hosts) as institution:
        assert sorted(institution.sftp.listdir("/../..")) == ["fetched", "in", "out"]
        with pytest.raises(PermissionError):
            institution.sftp.symlink("/etc", "in/link")


def test_the_demos_airlock_lets_in_only_its_keys(demo: EmbeddedAirlock, login_key: Path, tmp_path: Path) -> None:
    """Another key, an unknown login and another server's host key are refused."""
    new_key(tmp_path / "other")
    other = (tmp_path / "other").read_text()
    for login, key in (("alpha", other), ("gamma", login_key.read_text())):
        with (
            pytest.raises(paramiko.AuthenticationException),
            visiting(demo.host, demo.port, login, key, demo.known_hosts),
        ):
            pass
    wrong = f"[{demo.host}]:{demo.port} " + asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with (
        pytest.raises(ConnectionError),
        visiting(demo.host, demo.port, "alpha", login_key.read_text(), wrong),
    ):
        pass
