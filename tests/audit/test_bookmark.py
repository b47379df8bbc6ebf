"""A start reads on from a signed bookmark, and knows what it would know had it read every line."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from enclave.audit import bookmark, checkpoint
from enclave.audit.chain import HALT, Chain
from enclave.audit.log import BOOKMARK, FileLog, open_log
from enclave.audit.record import Entry, Phase
from enclave.crypto.secret import Secret
from enclave.errors import Halt
from tests.audit.conftest import SEED, House, acts_of, fill

NOTE = Entry(act="server.started", phase=Phase.NOTE, actor="server")


def leave_open(log: FileLog, count: int = 1) -> None:
    """Record intents that a kill left without their outcome."""
    acts = acts_of(log)
    for _ in range(count):
        acts.act("drop.take", "drop", str(uuid.uuid4())).__enter__()


@pytest.fixture
def marked(house: House) -> House:
    """A log with a torn tail, an open intent and a halt before its bookmark, and more torn and open after it."""
    log = house.open()
    fill(log, 2)
    leave_open(log)
    house.file.write_bytes(house.file.read_bytes() + b"{torn")
    log.record(Entry(act=HALT, phase=Phase.NOTE, actor="server", reason="H_TEST"))
    log.sign_checkpoint(SEED)
    leave_open(log)
    house.file.write_bytes(house.file.read_bytes() + b"{torn again")
    fill(log, 1)
    return house


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that are judged from now on."""
    lines: list[bytes] = []
    take = Chain.take
    monkeypatch.setattr(Chain, "take", lambda chain, line: (lines.append(line), take(chain, line))[1])
    return lines


def known(log: FileLog) -> tuple[object, ...]:
    """What is known of a log after it was opened."""
    chain = log._chain
    return (
        *(chain.first, chain.last, chain.offset, chain.prev, chain.origin),
        *(chain.frontier.subtrees, chain.frontier.root(), chain.open_intents, chain.noted_tails, chain.halt),
    )


def test_only_lines_after_the_bookmark_are_judged_again(marked: House, taken: list[bytes]) -> None:
    """Bytes that were verified when the bookmark was signed are only compared with its digest."""
    marked.open()

    assert taken == marked.lines()[8:]


def test_what_is_known_is_the_same_as_after_reading_every_line(marked: House) -> None:
    """Head, open intents, torn tails and the next link of the chain do not depend on where the reading began."""
    from_bookmark = known(marked.open())
    assert marked.open().halt() == "H_TEST"
    (marked.folder / BOOKMARK).unlink()

    assert from_bookmark == known(marked.open())


def test_every_change_before_the_bookmark_is_seen(marked: House, tmp_path: Path) -> None:
    """A byte changed, a line left out or moved before the bookmark halts as it does without one."""
    lines = marked.lines()
    changed = [
        [*lines[:3], lines[3].replace(b'"rows":1', b'"rows":7'), *lines[4:]],
        [*lines[:4], *lines[5:]],
        [*lines[:4], lines[5], lines[4], *lines[6:]],
        lines[:7],
    ]
    for number, damaged in enumerate(changed):
        copy = House(tmp_path / f"copy-{number}", marked.clock)
        shutil.copytree(marked.folder, copy.folder)
        copy.file.write_bytes(b"".join(damaged))
        with pytest.raises(Halt, match=r"H_LOG_(BROKEN|SHORTER)"):
            copy.open()


def of_another_key(house: House) -> bytes:
    """A bookmark of this very log, signed by a key that is not its own."""
    log = house.open()
    with house.file.open("rb") as file:
        made = bookmark.make(log._chain, file, Secret(b"x" * 32), log.origin)
    assert made is not None
    return made


def cut(house: House) -> bytes:
    """A bookmark without its end."""
    return (house.folder / BOOKMARK).read_bytes()[:-9]


def a_checkpoint(house: House) -> bytes:
    """A signed text of another kind."""
    return house.open().newest_checkpoint() or b""


def nothing(house: House) -> bytes:
    """An empty file."""
    return b""


@pytest.mark.parametrize("make", [of_another_key, cut, a_checkpoint, nothing])
def test_a_bookmark_that_is_none_is_passed_over(
    marked: House, taken: list[bytes], make: Callable[[House], bytes]
) -> None:
    """What is no bookmark of this log's key leads to reading every line, which finds the log in order."""
    content = make(marked)
    (marked.folder / BOOKMARK).write_bytes(content)
    taken.clear()
    marked.open()

    assert taken == marked.lines()


def test_a_bookmark_beyond_the_newest_checkpoint_is_passed_over(marked: House, taken: list[bytes]) -> None:
    """Where checkpoints are gone, the one that is left is compared with the lines themselves."""
    log = marked.open()
    before = {path.name for path in (marked.folder / "checkpoints").iterdir()}
    log.sign_checkpoint(SEED)
    for path in (marked.folder / "checkpoints").iterdir():
        if path.name not in before:
            path.unlink()
    taken.clear()
    marked.open()

    assert taken == marked.lines()


def test_a_checkpoint_over_another_root_is_not_believed_for_a_bookmark(marked: House) -> None:
    """A bookmark does not excuse a log from being the one that its newest checkpoint was signed over."""
    log = marked.open()
    (marked.folder / "checkpoints" / "000000000008").write_bytes(checkpoint.sign(log.origin, 8, b"\x07" * 32, SEED))

    with pytest.raises(Halt, match="H_LOG_FORKED"):
        marked.open()


def test_a_kill_before_the_bookmark_leaves_the_older_one(marked: House, taken: list[bytes]) -> None:
    """A checkpoint whose bookmark was not written any more is reached by reading on from the one before."""
    older = (marked.folder / BOOKMARK).read_bytes()
    marked.open().sign_checkpoint(SEED)
    (marked.folder / BOOKMARK).write_bytes(older)
    taken.clear()
    log = open_log(marked.folder, marked.clock)

    assert taken == marked.lines()[8:]
    assert log.head()[0] == len(marked.lines())


def test_too_many_open_intents_make_no_bookmark(house: House, taken: list[bytes]) -> None:
    """A log with more open intents than a bookmark may hold is read whole."""
    log = house.open()
    leave_open(log, bookmark.MOST_OPEN_INTENTS + 1)
    log.sign_checkpoint(SEED)
    taken.clear()
    house.open()

    assert not (house.folder / BOOKMARK).exists()
    assert taken == house.lines()
