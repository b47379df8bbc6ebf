"""Calls cut at every message, and a collection killed at every step, end as if nothing had happened."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enclave.airlock.collect import pack, survey, take, unpack
from enclave.airlock.folder import FolderAirlock
from enclave.airlock.port import Airlock, Box
from enclave.airlock.rules import Limits, claimed_name, is_claimed
from enclave.airlock.sftp import SftpAirlock
from enclave.airlock.sftp_connection import Address
from enclave.airlock.sftp_messages import Answered, BrokenError, Message
from enclave.airlock.sftp_wire import Session
from enclave.crypto.secret import Secret
from enclave.demo.airlock import make_folders
from enclave.errors import Refused
from tests.airlock.conftest import ONCE, QUICK
from tests.airlock.test_collect import KEY, NOW, files
from tests.servers.sshd import Sshd

UUID = "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d"


class Cut:
    """Breaks the line when the server has done the n-th message of the next call, before its answer is seen.

    That the n-th never reached the server is, for the server, the same as this after the one before.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        send = Session._send

        def cut(session: Session, kind: Message, body: bytes) -> int:
            number = send(session, kind, body)
            self.left -= 1
            if self.left == 0:
                with contextlib.suppress(Answered, BrokenError):
                    session._answer(number, Message.STATUS)
                raise BrokenError("cut")
            return number

        monkeypatch.setattr(Session, "_send", cut)


@pytest.fixture
def airlock(sshd: Sshd) -> Iterator[SftpAirlock]:
    """A connection to sshd of this test's own."""
    address = Address(sshd.host, sshd.port, sshd.server.login, sshd.known_hosts)
    with SftpAirlock(address, Secret(sshd.server.key.read_bytes()), timeouts=QUICK, retry=ONCE) as found:
        yield found


def test_a_delivery_cut_at_any_message_is_whole_after_the_next(
    sshd: Sshd, airlock: SftpAirlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every message done without an answer, the next attempt ends with one whole file and nothing beside it."""
    box = sshd.root / "alpha" / "out" / "feedback"
    content = b"x" * 40_000
    cut = Cut(monkeypatch)
    survived = False
    number = 0
    while not survived:
        number += 1
        cut.left = number
        try:
            airlock.put("alpha", Box.FEEDBACK, "a.zip", content)
            survived = True
        except Refused:
            assert not (box / "a.zip").exists() or (box / "a.zip").read_bytes() == content
        cut.left = 0
        airlock.put("alpha", Box.FEEDBACK, "a.zip", content)
        assert [path.name for path in box.iterdir()] == ["a.zip"]
        assert (box / "a.zip").read_bytes() == content
        (box / "a.zip").unlink()
    assert number > 15


def test_a_claim_and_a_removal_cut_at_any_message_are_done_after_the_next(
    sshd: Sshd, airlock: SftpAirlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever message was the last, doing it again ends with the drop claimed, and then gone."""
    place = sshd.root / "alpha" / "in"
    calls: tuple[Callable[[], None], ...] = (
        lambda: airlock.claim("alpha", "drop", claimed_name(UUID)),
        lambda: airlock.remove("alpha", claimed_name(UUID)),
    )
    cut = Cut(monkeypatch)
    survived = False
    number = 0
    while not survived:
        number += 1
        (place / "drop" / "below").mkdir(parents=True)
        (place / "drop" / "below" / "file").write_bytes(b"first")
        sshd.own(place / "drop")
        survived = True
        for call in calls:
            cut.left = number
            try:
                call()
            except Refused:
                survived = False
            cut.left = 0
            call()
        assert list(place.iterdir()) == []
    assert number > 10


class KilledError(Exception):
    """The process is gone."""


class Mortal:
    """An airlock whose user is killed at the n-th call, before or after it is done."""

    def __init__(self, airlock: Airlock, dies_at: int, *, after: bool) -> None:
        self.airlock, self.left, self.after = airlock, dies_at, after

    def __getattr__(self, name: str) -> object:
        def call(*arguments: object) -> object:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise KilledError
            answer = getattr(self.airlock, name)(*arguments)
            if self.left == 0:
                raise KilledError
            return answer

        return call


def collect(airlock: Airlock, intents: list[str], quarantine: dict[str, bytes]) -> None:
    """What the job does, with a list for the audit log and a mapping for the quarantine, both durable."""
    limits = Limits()
    for drop_uuid in intents:  # what an earlier run began
        if drop_uuid not in quarantine and airlock.look("alpha", claimed_name(drop_uuid)) is not None:
            quarantine[drop_uuid] = pack(take(airlock, "alpha", drop_uuid, limits))
        if drop_uuid in quarantine:
            airlock.remove("alpha", claimed_name(drop_uuid))
    found = survey(airlock, "alpha", now=NOW, sightings={}, sighting_key=KEY, limits=limits)
    for ready in found.ready:
        drop_uuid = f"00000000-0000-4000-8000-{len(intents):012x}"
        intents.append(drop_uuid)
        airlock.claim("alpha", ready.name, claimed_name(drop_uuid))
        quarantine[drop_uuid] = pack(take(airlock, "alpha", drop_uuid, limits))
        airlock.remove("alpha", claimed_name(drop_uuid))


@pytest.mark.parametrize("after", [False, True])
def test_a_collection_killed_at_any_call_loses_and_doubles_nothing(tmp_path: Path, after: bool) -> None:
    """Each drop is in quarantine once, and none is left at the airlock, wherever the first run ended."""
    number, killed = 0, True
    while killed:
        number += 1
        root = tmp_path / str(number)
        make_folders(root, "alpha")
        for payload in (b"one", b"two"):
            folder = root / "alpha" / "in" / payload.decode()
            folder.mkdir()
            for name, content in files(payload).items():
                (folder / name).write_bytes(content)
        airlock = FolderAirlock(root)
        intents: list[str] = []
        quarantine: dict[str, bytes] = {}
        killed = False
        try:
            collect(Mortal(airlock, number, after=after), intents, quarantine)  # type: ignore[arg-type]
        except KilledError:
            killed = True
            assert len(quarantine) + len(airlock.list_incoming("alpha")) >= 2
        collect(airlock, intents, quarantine)
        assert sorted(unpack(content).payload for content in quarantine.values()) == [b"one", b"two"]
        assert airlock.list_incoming("alpha") == ()
    assert number > 10


def test_a_forged_claim_is_told_from_ours_by_the_log_alone(tmp_path: Path) -> None:
    """A sender can name a folder as we name claimed ones; it is listed apart and never taken as ready."""
    make_folders(tmp_path, "alpha")
    folder = tmp_path / "alpha" / "in" / claimed_name(UUID)
    folder.mkdir()
    manifest = json.dumps({"payload_size": 1, "payload_sha256": hashlib.sha256(b"x").hexdigest()}).encode()
    for name, content in (files(b"x") | {"manifest.json": manifest}).items():
        (folder / name).write_bytes(content)
    found = survey(FolderAirlock(tmp_path), "alpha", now=NOW, sightings={}, sighting_key=KEY, limits=Limits())
    assert not found.ready
    assert all(is_claimed(name) for name in found.claimed)
