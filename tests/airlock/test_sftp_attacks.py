"""An airlock that is not what it should be: impostors, stalls, lies, old algorithms, broken lines."""

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest

from enclave.airlock.port import Box
from enclave.airlock.retry import Retry
from enclave.airlock.rules import claimed_name
from enclave.airlock.sftp import SftpAirlock
from enclave.airlock.sftp_connection import Address, Timeouts
from enclave.crypto.secret import Secret
from enclave.demo import airlock as demo_airlock
from enclave.demo.airlock import SERVER_LOGIN, embedded_airlock
from enclave.errors import EnclaveError, Halt, Refused, Rejected
from tests.airlock.conftest import ONCE, QUICK, TWICE
from tests.servers.sshd import Account, Sshd, new_key, running_sshd

UUID = "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d"
IMPATIENT = Timeouts(connect=0.6, answer=0.5, call=0.6)


def address_of(sshd: Sshd, **changes: object) -> Address:
    """Where the test's sshd is, with changes."""
    facts = {"host": sshd.host, "port": sshd.port, "login": sshd.server.login, "known_hosts": sshd.known_hosts}
    return Address(**(facts | changes))  # type: ignore[arg-type]


def refused_by(address: Address, key: Path, *, timeouts: Timeouts = QUICK, retry: Retry = ONCE) -> str:
    """The code with which a listing at this address ends."""
    with SftpAirlock(address, Secret(key.read_bytes()), timeouts=timeouts, retry=retry) as airlock:
        with pytest.raises(EnclaveError) as caught:
            airlock.list_incoming("alpha")
        return caught.value.code


def test_an_unknown_host_key_halts(sshd: Sshd, tmp_path: Path) -> None:
    """A key that is not pinned for this host and port is never accepted, nor added."""
    new_key(tmp_path / "other")
    kind, other = (tmp_path / "other.pub").read_text().split()[:2]
    pin = f"[{sshd.host}]:{sshd.port} {kind} {other}\n"
    assert refused_by(address_of(sshd, known_hosts=pin), sshd.server.key) == "H_HOST_KEY"
    for nothing in (
        "",
        "# comment\n",
        sshd.known_hosts.replace(str(sshd.port), "22"),
        "[other]:1 " + kind + " " + other,
    ):
        assert refused_by(address_of(sshd, known_hosts=nothing), sshd.server.key) == "H_KNOWN_HOSTS"


def test_a_changed_host_key_halts_until_the_pin_is_changed(tmp_path: Path) -> None:
    """After the server changed its key the old pin halts; the old and the new together, and the new alone, work."""
    with running_sshd(["alpha"]) as sshd:
        before = sshd.known_hosts
        sshd.stop()
        sshd.new_host_key()
        sshd.start()
        assert refused_by(address_of(sshd, known_hosts=before), sshd.server.key) == "H_HOST_KEY"
        for pins in (before + sshd.known_hosts, sshd.known_hosts):
            with SftpAirlock(
                address_of(sshd, known_hosts=pins), Secret(sshd.server.key.read_bytes()), timeouts=QUICK, retry=ONCE
            ) as airlock:
                lying = sorted(path.name for path in (sshd.root / "alpha" / "in").iterdir())
        assert [one.name for one in airlock.list_incoming("alpha")] == lying


def test_a_hashed_pin_is_understood_and_nonsense_is_not(sshd: Sshd, tmp_path: Path) -> None:
    """Pins are read as OpenSSH writes them, hashed too; a line that is not understood halts."""
    pins = tmp_path / "pins"
    pins.write_text(sshd.known_hosts)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(pins)], check=True, capture_output=True)
    assert sshd.host not in pins.read_text()
    hashed = address_of(sshd, known_hosts=pins.read_text())
    with SftpAirlock(hashed, Secret(sshd.server.key.read_bytes()), timeouts=QUICK, retry=ONCE) as airlock:
        lying = sorted(path.name for path in (sshd.root / "alpha" / "in").iterdir())
        assert [one.name for one in airlock.list_incoming("alpha")] == lying
    for line in (
        "@revoked " + sshd.known_hosts,
        "one two",
        "a ssh-ed25519 !!!",
        "a ssh-dss AAAA",
        "a ssh-ed25519 AAAA",
    ):
        assert refused_by(address_of(sshd, known_hosts=sshd.known_hosts + line), sshd.server.key) == "H_KNOWN_HOSTS"


def test_a_login_that_is_not_accepted_halts(sshd: Sshd, tmp_path: Path) -> None:
    """Another key, another login and a file that is no key halt, each without a password ever being tried."""
    new_key(tmp_path / "other")
    assert refused_by(address_of(sshd), tmp_path / "other") == "H_AIRLOCK_LOGIN"
    assert refused_by(address_of(sshd, login="nobody-at-all"), sshd.server.key) == "H_AIRLOCK_LOGIN"
    (tmp_path / "broken").write_bytes(sshd.server.key.read_bytes()[:100])
    (tmp_path / "bytes").write_bytes(os.urandom(100))
    for name in ("broken", "bytes"):
        assert refused_by(address_of(sshd), tmp_path / name) == "H_AIRLOCK_KEY"


@pytest.mark.parametrize(
    "options",
    [
        ["Ciphers aes128-cbc,3des-cbc,aes256-cbc"],
        ["MACs hmac-sha1,hmac-md5", "Ciphers aes256-ctr"],
        ["KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1,diffie-hellman-group14-sha256"],
    ],
)
def test_a_server_with_old_algorithms_only_halts(options: list[str]) -> None:
    """CBC, 3DES, MD5 and SHA-1 are not spoken, even where the server speaks nothing else."""
    with running_sshd([], options=options) as sshd:
        assert refused_by(address_of(sshd), sshd.server.key) == "H_AIRLOCK_WEAK"


@contextmanager
def listening(say: bytes, *, slowly: float = 0.0) -> Iterator[tuple[int, list[float]]]:
    """A server that says something, perhaps byte by byte, and then nothing; answers its port and when it was called."""
    calls: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        ended = threading.Event()

        def serve() -> None:
            plugs = []
            door.settimeout(0.05)
            while not ended.is_set():
                try:
                    plug, _ = door.accept()
                except TimeoutError:
                    continue
                calls.append(time.monotonic())
                plugs.append(plug)
                try:
                    for byte in say:
                        plug.sendall(bytes([byte]))
                        ended.wait(slowly)
                except OSError:
                    continue
            for plug in plugs:
                plug.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield door.getsockname()[1], calls
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("say", "slowly"),
    [(b"", 0.0), (b"SSH-2.0-x\r\n", 0.0), (b"x" * 100, 0.05), (b"SSH-2.0-x\r\n" + b"\0\0\0\x0c\x0a" * 50, 0.02),
     (os.urandom(500), 0.0)],
)  # fmt: skip
def test_a_peer_that_stalls_drips_or_talks_nonsense_is_left_in_time(
    sshd: Sshd, say: bytes, slowly: float, capfd: pytest.CaptureFixture[str]
) -> None:
    """The call ends within its time as Refused, and nothing is printed."""
    with listening(say, slowly=slowly) as (port, _):
        pin = sshd.known_hosts.replace(str(sshd.port), str(port))
        start = time.monotonic()
        address = address_of(sshd, port=port, known_hosts=pin)
        assert refused_by(address, sshd.server.key, timeouts=IMPATIENT) == "R_AIRLOCK_AWAY"
        assert time.monotonic() - start < 4
    assert capfd.readouterr() == ("", "")


def test_a_server_of_an_older_protocol_halts(sshd: Sshd) -> None:
    """SSH version 1 is not spoken."""
    with listening(b"SSH-1.0-x\r\n") as (port, _):
        pin = sshd.known_hosts.replace(str(sshd.port), str(port))
        assert refused_by(address_of(sshd, port=port, known_hosts=pin), sshd.server.key) == "H_AIRLOCK_WEAK"


def test_an_airlock_that_is_away_is_tried_again_with_growing_waits(sshd: Sshd) -> None:
    """As often as `Retry` says and no more, with waits that double up to the cap."""
    waits: list[float] = []
    retry = Retry(attempts=5, first=1.0, cap=3.0, sleep=waits.append)
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        port = plug.getsockname()[1]
        pin = sshd.known_hosts.replace(str(sshd.port), str(port))
        address = address_of(sshd, port=port, known_hosts=pin)
        assert refused_by(address, sshd.server.key, retry=retry) == "R_AIRLOCK_AWAY"
    assert waits == [1.0, 2.0, 3.0, 3.0]


def test_a_line_that_breaks_between_calls_is_made_again() -> None:
    """After sshd was stopped and started, the same airlock object works on."""
    with running_sshd(["alpha"]) as sshd:
        key = Secret(sshd.server.key.read_bytes())
        with SftpAirlock(address_of(sshd), key, timeouts=QUICK, retry=TWICE) as airlock:
            airlock.put("alpha", Box.BUNDLES, "a.zip", b"x")
            sshd.stop()
            with pytest.raises(Refused) as caught:
                airlock.list_incoming("alpha")
            assert caught.value.code == "R_AIRLOCK_AWAY"
            sshd.start()
            assert airlock.put("alpha", Box.BUNDLES, "a.zip", b"x")


class _Stalling(demo_airlock._Files):
    """Answers everything but reading."""

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:  # noqa: ARG002
        """Never."""
        try:
            await asyncio.sleep(60)
        finally:
            file_obj.close()  # type: ignore[attr-defined]
        return b""


class _Stating(demo_airlock._Files):
    """States a size that is not the file's; `states` is set by the test."""

    states = 0

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        """The truth but for the size."""
        attributes = asyncssh.SFTPAttrs.from_local(os.lstat(self.map_path(path)))
        if path.endswith(b"payload.zip"):
            attributes.size = self.states
        return attributes

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        """The same untruth."""
        attributes = asyncssh.SFTPAttrs.from_local(os.fstat(file_obj.fileno()))  # type: ignore[attr-defined]
        attributes.size = self.states
        return attributes


class _Dropping(demo_airlock._Files):
    """Cuts the line in the middle of a write, once."""

    cut = False

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """The first chunks arrive, then the line is gone."""
        if offset > 100_000 and not _Dropping.cut:
            _Dropping.cut = True
            self.connection.abort()
        file_obj.seek(offset)  # type: ignore[attr-defined]
        return file_obj.write(data)  # type: ignore[attr-defined,no-any-return]


@contextmanager
def served_by(
    files: type[demo_airlock._Files], tmp_path: Path, login_key: Path, monkeypatch: pytest.MonkeyPatch, **ways: object
) -> Iterator[SftpAirlock]:
    """An airlock on a server whose ways with files are those of a class."""
    monkeypatch.setattr(demo_airlock, "_Files", files)
    public = login_key.with_suffix(".pub").read_text()
    with embedded_airlock(tmp_path, public, {"alpha": public}) as server:
        address = Address(server.host, server.port, SERVER_LOGIN, server.known_hosts)
        with SftpAirlock(address, Secret(login_key.read_bytes()), **ways) as airlock:  # type: ignore[arg-type]
            yield airlock


def plant(root: Path, content: bytes) -> None:
    """A drop with a payload."""
    (root / "alpha" / "in" / "drop").mkdir()
    (root / "alpha" / "in" / "drop" / "payload.zip").write_bytes(content)


def test_a_server_that_stalls_in_a_file_is_left_in_time(
    tmp_path: Path, login_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read without an answer ends as Refused, however long the server would keep us."""
    with served_by(_Stalling, tmp_path, login_key, monkeypatch, timeouts=IMPATIENT, retry=ONCE) as airlock:
        plant(tmp_path, b"x" * 1000)
        start = time.monotonic()
        with pytest.raises(Refused) as caught:
            airlock.read("alpha", "drop", "payload.zip", 10_000)
        assert caught.value.code == "R_AIRLOCK_AWAY"
        assert time.monotonic() - start < 4


@pytest.mark.parametrize("states", [0, 999, 1001, 40_000, 2**40, 2**63 - 1])
def test_a_stated_size_is_not_believed(
    tmp_path: Path, login_key: Path, monkeypatch: pytest.MonkeyPatch, states: int
) -> None:
    """A size below, above or far above the truth gives no content, and takes no memory for what is only stated."""
    _Stating.states = states
    with served_by(_Stating, tmp_path, login_key, monkeypatch, timeouts=QUICK, retry=ONCE) as airlock:
        plant(tmp_path, b"x" * 1000)
        with pytest.raises(Rejected) as caught:
            airlock.read("alpha", "drop", "payload.zip", 100_000)
        assert caught.value.code == ("E_DROP_SIZE" if states > 100_000 else "E_DROP_CHANGED")


def test_a_line_cut_while_a_file_is_placed_leaves_nothing_half_under_its_name(
    tmp_path: Path, login_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt removes the temporary file and places the whole one."""
    _Dropping.cut = False
    content = os.urandom(400_000)
    box = tmp_path / "alpha" / "out" / "bundles"
    with served_by(_Dropping, tmp_path, login_key, monkeypatch, timeouts=QUICK, retry=ONCE) as airlock:
        with pytest.raises(Refused):
            airlock.put("alpha", Box.BUNDLES, "a.zip", content)
        assert [path.name for path in box.iterdir()] == [".a.zip.part"]
        airlock.put("alpha", Box.BUNDLES, "a.zip", content)
        assert [path.name for path in box.iterdir()] == ["a.zip"]
        assert (box / "a.zip").read_bytes() == content


def test_what_a_sender_swaps_while_a_file_is_read_is_not_taken(sshd: Sshd, sshd_airlock: SftpAirlock) -> None:
    """Against a sender who swaps file and link as fast as possible, a read gives its own content or none."""
    place = sshd.root / "alpha" / "in" / "swapping"
    place.mkdir()
    file, new = place / "payload.zip", place / "new"
    file.write_bytes(b"a" * 50_000)
    sshd.own(place)
    ended = threading.Event()

    def swap() -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            if turn % 3 == 0:
                new.symlink_to("/beta/in/theirs")
            else:
                new.write_bytes(bytes([97 + turn % 2]) * (50_000 + turn % 2))
            os.rename(new, file)

    theirs = sshd.root / "beta" / "in" / "theirs"
    theirs.write_bytes(b"t" * 777)
    sshd.own(theirs)
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(60):
            try:
                content = sshd_airlock.read("alpha", "swapping", "payload.zip", 100_000)
            except (Rejected, Refused):
                continue
            assert content in (b"a" * 50_000, b"b" * 50_001)
    finally:
        ended.set()
        thread.join()
        shutil.rmtree(place)
        theirs.unlink()


def test_a_file_that_the_airlock_does_not_let_us_read_is_rejected(sshd: Sshd, sshd_airlock: SftpAirlock) -> None:
    """A drop whose sender took its permissions away is E_DROP_UNREADABLE, and can still be removed."""
    place = sshd.root / "alpha" / "in" / claimed_name(UUID)
    place.mkdir()
    (place / "payload.zip").write_bytes(b"x")
    sshd.own(place)
    (place / "payload.zip").chmod(0)
    with pytest.raises(Rejected) as caught:
        sshd_airlock.read("alpha", place.name, "payload.zip", 100)
    assert caught.value.code == "E_DROP_UNREADABLE"
    sshd_airlock.remove("alpha", place.name)
    assert not place.exists()


def test_no_name_and_no_content_reaches_a_log_or_an_error(
    sshd: Sshd, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """With every logger at its loudest, a sender's name for a folder and a file appears nowhere."""
    caplog.set_level(logging.DEBUG)
    canary = "01019012345"
    place = sshd.root / "alpha" / "in" / canary
    place.mkdir()
    (place / canary).write_text(canary)
    sshd.own(place)
    key = Secret(sshd.server.key.read_bytes())
    with SftpAirlock(address_of(sshd), key, timeouts=QUICK, retry=ONCE) as airlock:
        shown = [repr(airlock.list_incoming("alpha")), repr(vars(airlock))]
        for attempt in (
            lambda: airlock.read("alpha", canary, canary, 3),
            lambda: airlock.read("alpha", canary, f"{canary}2", 3),
            lambda: airlock.claim("alpha", f"{canary}2", claimed_name(UUID)),
        ):
            with pytest.raises(EnclaveError) as caught:
                attempt()
            shown += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
        airlock.claim("alpha", canary, claimed_name(UUID))
        airlock.remove("alpha", claimed_name(UUID))
    shown += [caplog.text, *capfd.readouterr()]
    assert canary not in "".join(shown)


def test_stock_sftp_delivers_a_drop_and_fetches_a_bundle(sshd: Sshd, sshd_airlock: SftpAirlock, tmp_path: Path) -> None:
    """OpenSSH's own client uploads under `.part` and renames; it fetches a bundle and moves it to `fetched/`."""
    institution: Account = sshd.institutions["beta"]
    (tmp_path / "drop").mkdir()
    for name in ("manifest.json", "manifest.json.sig", "payload.zip"):
        (tmp_path / "drop" / name).write_text(name)
        (tmp_path / "drop" / name).chmod(0o600)
    sent = sshd.sftp(institution, "put -r drop in/drop.part\nrename in/drop.part in/drop\n", folder=tmp_path)
    assert sent.returncode == 0, sent.stderr
    assert sshd_airlock.read("beta", "drop", "payload.zip", 100) == b"payload.zip"
    sshd_airlock.claim("beta", "drop", claimed_name(UUID))
    sshd_airlock.remove("beta", claimed_name(UUID))
    digest = sshd_airlock.put("beta", Box.BUNDLES, "b.zip", b"bundle")
    batch = "get out/bundles/b.zip\nrename out/bundles/b.zip fetched/b.zip\n"
    got = sshd.sftp(institution, batch, folder=tmp_path)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "b.zip").read_bytes() == b"bundle"
    assert sshd_airlock.find_delivered("beta", Box.BUNDLES, "b.zip") == digest
    (sshd.root / "beta" / "fetched" / "b.zip").unlink()


@pytest.mark.parametrize(
    "batch", ["ls ../alpha", "ls /alpha", "put drop /drop", "rmdir out", "rename in out2", "ln -s /etc in/link",
              "ln in/a in/b", "get /etc/passwd"],
)  # fmt: skip
def test_an_institution_reaches_only_its_own_folder(sshd: Sshd, tmp_path: Path, batch: str) -> None:
    """Neither other folders nor links nor the places themselves are in a sender's power."""
    (tmp_path / "drop").write_bytes(b"x")
    assert sshd.sftp(sshd.institutions["beta"], batch + "\n", folder=tmp_path).returncode != 0


def test_halts_say_what_to_do(sshd: Sshd) -> None:
    """A halt names the host and the remedy, not the key."""
    halt = Halt("H_HOST_KEY", place=sshd.host)
    assert "by another way" in str(halt)
