"""The SFTP messages against a peer that says anything."""

import contextlib
import random
import struct
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.airlock.sftp_messages import Answered, BrokenError, Message, Open, Status
from enclave.airlock.sftp_wire import Session

VERSION = struct.pack(">IBI", 5, Message.VERSION, 3)


def text(content: bytes) -> bytes:
    """A string as SFTP writes it."""
    return struct.pack(">I", len(content)) + content


class Peer:
    """A channel whose other end answers each request by a function: (type, number, body) → bytes of packets."""

    def __init__(self, answer: Callable[[int, int, bytes], bytes], version: bytes = VERSION) -> None:
        self.answer = answer
        self.outgoing = bytearray()
        self.version = version

    def sendall(self, s: bytes) -> None:
        """Take one packet and queue what the peer says to it."""
        kind = s[4]
        if kind == Message.INIT:
            self.outgoing += self.version
            return
        (number,) = struct.unpack(">I", s[5:9])
        self.outgoing += self.answer(kind, number, s[9:])

    def recv(self, nbytes: int) -> bytes:
        """A few bytes at a time, so that packets arrive in pieces; nothing when the peer has hung up."""
        taken = bytes(self.outgoing[: min(nbytes, 1000)])
        del self.outgoing[: len(taken)]
        return taken


def packet(kind: int, number: int, body: bytes) -> bytes:
    """One packet."""
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def status(number: int, code: int) -> bytes:
    """A status with a text that must not be passed on."""
    return packet(Message.STATUS, number, struct.pack(">I", code) + text(b"/in/01019012345") + text(b"en"))


class File:
    """A well-behaved server of one file, whose ways can be changed."""

    def __init__(self, content: bytes, *, most: int = 1 << 20, held: int = 0) -> None:
        self.content, self.most, self.held = content, most, held
        self.queue: deque[bytes] = deque()

    def __call__(self, kind: int, number: int, body: bytes) -> bytes:
        """Answer, at most `most` bytes of data at a time, holding `held` answers back to shuffle them."""
        if kind == Message.OPEN:
            return packet(Message.HANDLE, number, text(b"h"))
        if kind != Message.READ:
            return status(number, Status.OK)
        offset, size = struct.unpack(">QI", body[5:17])
        data = self.content[offset : offset + min(size, self.most)]
        self.queue.append(packet(Message.DATA, number, text(data)) if data else status(number, Status.END))
        if len(self.queue) <= self.held:
            return b""
        self.held = 0
        answers = list(self.queue)
        self.queue.clear()
        random.Random(number).shuffle(answers)
        return b"".join(answers)


@pytest.mark.parametrize("size", [0, 1, 32768, 32769, 200_000])
@pytest.mark.parametrize("most", [1 << 20, 1000, 32767])
def test_short_answers_are_completed(size: int, most: int) -> None:
    """A server may send less than asked for, anywhere; the content is whole all the same."""
    content = random.Random(size).randbytes(size)
    session = Session(Peer(File(content, most=most)))
    assert session.read(session.open(b"x", Open.READ), size) == content


def test_answers_in_another_order_find_their_requests() -> None:
    """A server may answer requests under way in any order."""
    content = random.Random(1).randbytes(48 * 32768 - 1)
    session = Session(Peer(File(content, held=47)))
    assert session.read(session.open(b"x", Open.READ), len(content)) == content


def test_a_file_longer_or_shorter_than_stated_shows() -> None:
    """A longer file gives more than the stated size, a shorter one less; neither hangs."""
    session = Session(Peer(File(b"x" * 100_000)))
    assert len(session.read(b"h", 50_000)) > 50_000
    assert len(session.read(b"h", 98_304)) > 98_304
    assert len(session.read(b"h", 1_000_000)) == 100_000


@pytest.mark.parametrize(
    "answer",
    [
        lambda _kind, number, _body: packet(Message.DATA, number + 7, text(b"x")),
        lambda _kind, number, _body: packet(Message.DATA, number, text(b"x" * 40_000)),
        lambda _kind, number, _body: packet(Message.DATA, number, text(b"")),
        lambda _kind, number, _body: packet(Message.HANDLE, number, text(b"x")),
        lambda _kind, number, _body: packet(Message.DATA, number, struct.pack(">I", 4_000_000_000)),
        lambda _kind, number, _body: status(number, Status.OK),
        lambda _kind, _number, _body: b"",
        lambda _kind, _number, _body: struct.pack(">I", 0),
        lambda _kind, _number, _body: struct.pack(">IB", 0xFFFFFFFF, Message.DATA),
        lambda _kind, number, _body: packet(Message.DATA, number, text(b"x"))[:7],
    ],
)
def test_a_peer_that_breaks_the_rules_is_broken(answer: Callable[[int, int, bytes], bytes]) -> None:
    """Answers to nothing, too long, empty, of another kind, cut or missing end the session."""
    session = Session(Peer(answer))
    with pytest.raises(BrokenError):
        session.read(b"h", 100)


def test_data_behind_the_end_is_broken() -> None:
    """A file with a hole that the server says is its end is no file."""

    def answer(_kind: int, number: int, body: bytes) -> bytes:
        (offset,) = struct.unpack(">Q", body[5:13])
        return status(number, Status.END) if offset == 0 else packet(Message.DATA, number, text(b"x" * 32768))

    with pytest.raises(BrokenError):
        Session(Peer(answer)).read(b"h", 100_000)


def test_a_listing_without_an_end_is_cut_at_its_cap() -> None:
    """A server that lists for ever gives as many names as asked for; names that are paths are broken."""
    attributes = struct.pack(">IQII", 0x5, 1, 0o100644, 0)[:16]

    def endless(name: bytes) -> Callable[[int, int, bytes], bytes]:
        def answer(kind: int, number: int, _body: bytes) -> bytes:
            if kind == Message.OPENDIR:
                return packet(Message.HANDLE, number, text(b"h"))
            if kind == Message.READDIR:
                one = text(name) + text(b"-rw-r--r--    2 u g") + attributes
                return packet(Message.NAME, number, struct.pack(">I", 3) + one * 3)
            return status(number, Status.OK)

        return answer

    names = Session(Peer(endless(b"x"))).names(b"/", 10)
    assert [(name.name, name.links) for name in names] == [(b"x", 2)] * 10
    for name in (b"a/b", b"/etc", b"", b"a\0"):
        with pytest.raises(BrokenError):
            Session(Peer(endless(name))).names(b"/", 10)


def test_the_text_of_a_status_is_dropped() -> None:
    """What a server writes for people may hold a name; it reaches no exception."""
    session = Session(Peer(lambda _kind, number, _body: status(number, Status.FAILURE)))
    with pytest.raises(Answered) as caught:
        session.lstat(b"/in/x")
    assert "01019012345" not in repr(caught.value)
    assert caught.value.status == Status.FAILURE


def test_what_is_not_offered_is_not_asked_for() -> None:
    """Without the extension a file is not made durable by it, and a rename is the plain one."""
    asked: list[int] = []

    def answer(kind: int, number: int, _body: bytes) -> bytes:
        asked.append(kind)
        return status(number, Status.OK)

    session = Session(Peer(answer))
    assert session.fsync(b"h") is False
    session.replace(b"a", b"b")
    assert asked == [Message.RENAME]
    offered = struct.pack(">BI", Message.VERSION, 3) + text(b"fsync@openssh.com") + text(b"1")
    session = Session(Peer(answer, version=text(offered)))
    assert session.fsync(b"h") is True


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_any_bytes_from_a_peer_give_an_answer_or_a_broken_session(noise: list[bytes], framed: bool) -> None:
    """Noise, framed as packets or not, raises nothing but Answered and BrokenError, and ends."""
    packets = iter(noise)

    def answer(kind: int, number: int, _body: bytes) -> bytes:
        body = next(packets, b"")
        if not framed:
            return body
        return packet(body[0] if body else kind, number, body[1:])

    session = Session(Peer(answer))
    with contextlib.suppress(Answered, BrokenError):
        session.lstat(b"x")
        session.names(b"x", 5)
        session.read(session.open(b"x", Open.READ), 70_000)
        session.fstat(b"h")
