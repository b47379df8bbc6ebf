"""Everybody is answered: institutions take turns drop by drop, and each has quotas of its own."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from enclave.control.drops import drops_of
from enclave.flow import ReleaseState
from enclave.model.draft import Kind
from enclave.terminal.status import look
from tests.jobs.senders import REGISTRY, SENDER, Senders, arrival, new_server

FLOOD = "aaa"
"""First in the order of names."""


def flood(server: Senders, drops: int) -> None:
    """One institution leaves many drops; only the first is worth admitting, the others are made to cost a turn."""
    server.add(FLOOD)
    first = server.send(FLOOD, [arrival(900, "F-1")])
    for _ in range(drops - 1):
        copy = first.with_name(str(uuid4()))
        shutil.copytree(first, copy)


def fill(server: Senders, institutions: int) -> list[str]:
    """Many institutions send one drop each."""
    names = [f"k{number:03}" for number in range(institutions)]
    server.add(*names)
    for number, name in enumerate(names):
        server.send(name, [arrival(number, f"K-{number}")])
    return names


def all_are_answered(server: Senders, names: list[str]) -> None:
    """Each institution's drop is admitted, and its receipt lies in its folder at the airlock."""
    assert {tuple(server.outcomes(name)) for name in names} == {("admitted",)}
    for name in names:
        (receipt,) = server.releases(Kind.RECEIPT, name)
        assert receipt.state is ReleaseState.DELIVERED
        lies = server.root / "airlock" / name / "out" / "receipts"
        assert {path.name for path in lies.iterdir()} == set(receipt.sealed or {})


def test_twenty_are_answered_while_one_floods(tmp_path: Path) -> None:
    """In one round of jobs all twenty get their receipts; of the flood no more is taken than a turn holds."""
    server = new_server(tmp_path, drops_per_turn=5)
    flood(server, 40)
    names = fill(server, 20)

    server.run("collect", "admit", "checkpoint", "seal", "deliver")

    all_are_answered(server, names)
    assert len(server.drops(FLOOD)) == 5


@pytest.mark.timeout(1200)
def test_426_are_answered_while_one_floods(tmp_path: Path) -> None:
    """As many institutions as Norway had municipalities send at once, one of them hundreds of drops."""
    server = new_server(tmp_path)
    flood(server, 300)
    names = fill(server, 425)

    server.run("collect", "admit", "checkpoint", "seal", "deliver")

    all_are_answered(server, names)
    assert len(server.drops(FLOOD)) == 20


def test_every_first_drop_is_taken_before_any_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up in the middle, the flood has had no more than the others."""
    server = new_server(tmp_path)
    flood(server, 10)
    names = fill(server, 4)
    free = iter([1 << 40] * 5)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(free, 0)))

    assert server.run("collect")["taken"] == 5

    taken = sorted(drop.sender for drop in drops_of(server.control, REGISTRY))
    assert taken == sorted([FLOOD, *names])


def test_a_turn_and_a_day_have_their_bytes_and_drops(tmp_path: Path) -> None:
    """What is over a quota stays at the airlock, unharmed: for the next run, or until a day has passed."""
    server = new_server(tmp_path, drops_per_turn=20, bytes_per_turn=4096, drops_per_day=5)
    server.add(SENDER)
    for number in range(8):
        server.send(SENDER, [arrival(number, f"K-{number}")])
    sizes = [path.stat().st_size for path in (server.root / "airlock" / SENDER / "in").glob("*/payload.zip")]
    per_turn = 4096 // max(sizes)
    assert 1 < per_turn < 5

    assert server.run("collect")["taken"] == per_turn
    while server.run("collect")["taken"]:
        pass

    assert len(server.drops(SENDER)) == 5
    assert len(list((server.root / "airlock" / SENDER / "in").iterdir())) == 3
    server.run("collect", after=timedelta(hours=23))
    assert len(server.drops(SENDER)) == 5
    for _ in range(4):
        server.run("collect", after=timedelta(hours=25))
    assert len(server.drops(SENDER)) == 8


def test_a_drop_larger_than_a_turn_has_its_turn_alone(tmp_path: Path) -> None:
    """The quota of bytes never keeps out for ever what a single drop may be."""
    server = new_server(tmp_path, bytes_per_turn=1024, bytes_per_day=1024)
    server.add(SENDER)
    server.send(SENDER, [arrival(number, f"K-{number}") for number in range(60)])

    assert server.run("collect", "admit")["admitted"] == 1


def test_a_fetched_package_is_noticed_and_one_that_is_not_grows_old_visibly(tmp_path: Path) -> None:
    """Moved to `fetched/` it is entered in the ledger once, with the time; left lying, status tells for how long."""
    server = new_server(tmp_path)
    server.add(SENDER)
    server.send(SENDER, [arrival(1, "K-1", sex="neither")])
    server.run("collect", "admit", "checkpoint", "seal", "deliver")
    (receipt,) = server.releases(Kind.RECEIPT)
    box = server.root / "airlock" / SENDER
    for path in (box / "out" / "receipts").iterdir():
        path.rename(box / "fetched" / path.name)

    assert server.run("deliver")["fetched"] == 1
    assert server.run("deliver", after=timedelta(days=1))["fetched"] == 0

    ((receipt,), (feedback,)) = server.releases(Kind.RECEIPT), server.releases(Kind.FEEDBACK)
    assert receipt.fetched_at is not None
    assert feedback.fetched_at is None
    assert receipt.fetched_at < (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    told = look(server.folder, REGISTRY, datetime.now(UTC) + timedelta(days=20)).waiting
    assert [(one.what, one.why) for one in told if one.what.startswith("package")] == [
        ("package of feedback", "not fetched for 20 days")
    ]
