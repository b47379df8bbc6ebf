"""Rows 35–39 of the fault matrix: the way to the airlock, with OpenSSH's own server and client."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from enclave.airlock import sftp_messages, sftp_wire
from enclave.control.drops import Drop
from enclave.errors import Halt
from enclave.flow import DropState
from enclave.wiring import open_log
from tests.airlock.test_sftp_attacks import listening
from tests.faults.judged import assert_nothing_left
from tests.faults.site import ATTACKER, HONEST, Making, Site
from tests.servers.sshd import running_sshd


def making(site: Site, sender: str = ATTACKER, **changes: object) -> Making:
    """A drop of one new person, with changes."""
    return Making(site.planter.file(rows=1), sender, **changes)  # type: ignore[arg-type]


def states(drops: tuple[Drop, ...]) -> list[tuple[str, str, str]]:
    """Sender, state and reason of drops."""
    return [(drop.sender, drop.state.value, drop.reason) for drop in drops]


@contextmanager
def airlock_at(site: Site, port: int, known_hosts: str, timeout: float = 5.0) -> Iterator[None]:
    """The server's settings lead to another port, with another pin, for a while."""
    assert site.sshd is not None
    settings, pins = site.folder.settings, site.folder.registry("kar").known_hosts
    kept, pinned = settings.read_text(), pins.read_text()
    changed = kept.replace(f"port = {site.sshd.port}", f"port = {port}")
    settings.write_text(changed.replace("timeout_seconds = 5.0", f"timeout_seconds = {timeout}"))
    pins.write_text(known_hosts)
    try:
        yield
        assert pins.read_text() == known_hosts, "no host key is ever added by the server itself"
    finally:
        settings.write_text(kept)
        pins.write_text(pinned)


def test_row_35_a_drop_in_anothers_folder_is_denied_and_if_planted_rejected(sshd_site: Site) -> None:
    """Sshd lets nobody out of its folder; what the airlock itself lays into another's is told by its signature.

    Owners are not compared: an airlock may keep all files under one user, as this one does; the signature says more.
    """
    site = sshd_site
    assert site.sshd is not None
    drop = site.make(making(site))
    account = site.sshd.institutions[ATTACKER]
    for target in (f"../{HONEST}/in/x", f"/{HONEST}/in/x", "../../x"):
        assert site.sshd.sftp(account, f"put {drop / 'manifest.json'} {target}\n").returncode != 0
    assert list(site.incoming(HONEST).iterdir()) == []
    before = site.rows()
    site.place(drop, sender=HONEST)
    site.place(site.make(making(site, outer={"sender": HONEST})), sender=HONEST)

    assert states(site.walk()) == [(HONEST, "rejected", "E_SENDER")] * 2

    assert site.rows() == before
    assert_nothing_left(site)


def test_row_36_an_unknown_or_changed_host_key_halts(sshd_site: Site) -> None:
    """No pin, or another one: the job halts, takes nothing, and adds nothing to the pins."""
    site = sshd_site
    assert site.sshd is not None
    port = site.sshd.port
    drop = site.send(making(site))
    other = site.keys[HONEST].with_suffix(".pub").read_text()
    for pins, code in (("", "H_KNOWN_HOSTS"), (f"[{site.sshd.host}]:{port} {other}", "H_HOST_KEY")):
        with airlock_at(site, port, pins), pytest.raises(Halt, match=code):
            site.collect()
    assert drop.is_dir()

    assert states(site.walk()) == [(ATTACKER, "admitted", "")]


def test_row_37_a_broken_or_stalled_line_is_tried_again_and_nothing_half_is_taken(
    sshd_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in a payload, silent, or dripping: the run ends in time and says so; the next one takes the whole drop."""
    site = sshd_site
    assert site.sshd is not None
    site.send(making(site))
    read, cut = sftp_wire.Session.read, []

    def cut_once(session: sftp_wire.Session, handle: bytes, size: int) -> bytes:
        if size > 600 and not cut:  # the payload
            cut.append(size)
            raise sftp_messages.BrokenError("cut")
        return read(session, handle, size)

    with monkeypatch.context() as patched:
        patched.setattr(sftp_wire.Session, "read", cut_once)
        assert site.collect()["unreachable"] == 1
    assert cut
    for say, slowly in ((b"", 0.0), (b"SSH-2.0-x\r\n" + b"\0\0\0\x0c\x0a" * 50, 0.05)):
        with (
            listening(say, slowly=slowly) as (port, _),
            airlock_at(site, port, site.sshd.known_hosts.replace(str(site.sshd.port), str(port)), timeout=0.5),
        ):
            assert site.collect() == {"taken": 0, "refused": 0, "unreachable": 2}

    assert states(site.walk()) == [(ATTACKER, "admitted", "")]
    assert_nothing_left(site)


def test_row_38_a_server_that_lies_about_content_is_tried_again_and_then_told_of(
    sshd_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Altered or short once: read again and taken. Otherwise at each reading: left where it is, and noted as failed."""
    site = sshd_site
    read, lies = sftp_wire.Session.read, []
    site.send(making(site))
    site.send(making(site, HONEST))

    def lying(session: sftp_wire.Session, handle: bytes, size: int) -> bytes:
        content = read(session, handle, size)
        if size < 600 or len(lies) >= times:
            return content
        lies.append(size)
        return content[:-1] if len(lies) == 1 else content[:-1] + bytes([len(lies)])

    times = 2
    with monkeypatch.context() as patched:
        patched.setattr(sftp_wire.Session, "read", lying)
        assert states(site.walk()) == [(ATTACKER, "admitted", ""), (HONEST, "admitted", "")]
    lies.clear()
    times = 99
    site.send(making(site))
    with monkeypatch.context() as patched:
        patched.setattr(sftp_wire.Session, "read", lying)
        assert site.collect()["unreachable"] == 1
    noted = [entry.reason for entry in open_log(site.folder).entries() if entry.act == "airlock.away"]
    assert noted[-1] == "R_DROP_UNSTEADY"

    assert states(site.walk()) == [(ATTACKER, "admitted", "")]


@pytest.mark.parametrize("option", ["Ciphers aes128-cbc,3des-cbc", "KexAlgorithms diffie-hellman-group14-sha1"])
def test_row_39_a_server_with_weak_algorithms_only_is_refused(sshd_site: Site, option: str) -> None:
    """The job halts rather than speak them; nothing is taken."""
    site = sshd_site
    known = {drop.drop_uuid for drop in site.drops()}
    with running_sshd([], options=[option]) as weak, airlock_at(site, weak.port, weak.known_hosts):
        with pytest.raises(Halt, match="H_AIRLOCK_WEAK"):
            site.collect()
    assert {drop.drop_uuid for drop in site.drops()} == known
    assert DropState.COLLECTED not in {drop.state for drop in site.drops()}
