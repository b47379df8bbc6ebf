"""The SFTP version 3 messages that the airlock needs (draft-ietf-secsh-filexfer-02), over an open channel.

Why not paramiko's own SFTPClient: its listing fails on a name that is not UTF-8, which a sender can plant; its prefetch
spins for ever when a server stalls and believes the size that a server states; and it writes names to the log. Here
names are bytes, every answer is bounded and must belong to a request, and nothing is logged. Requests are pipelined:
one round trip each would cost a factor of twenty.
"""

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Message(IntEnum):
    """The types of message that we send or accept."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    RMDIR = 15
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRIBUTES = 105
    EXTENDED = 200


class Status(IntEnum):
    """The statuses that we tell apart."""

    OK = 0
    END = 1
    NOT_THERE = 2
    DENIED = 3
    FAILURE = 4


class Open(IntEnum):
    """How a file is opened: for reading, or as a new one that must not exist (O_EXCL follows no link)."""

    READ = 0x01
    NEW = 0x02 | 0x08 | 0x20


class Answered(Exception):
    """The server answered a request with a status other than OK; its text, which may hold names, is dropped."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class BrokenError(Exception):
    """The server does not speak SFTP version 3 as it must, or hung up."""


class Channel(Protocol):
    """What is needed of an SSH channel; `recv` answers nothing at its end and raises TimeoutError when it stalls."""

    def recv(self, nbytes: int) -> bytes:
        """Read at most `nbytes`."""
        ...

    def sendall(self, s: bytes) -> None:
        """Write all."""
        ...


@dataclass(frozen=True, repr=False)
class Attributes:
    """What a server states about a file; -1 where it states nothing."""

    size: int
    owner: int
    mode: int
    modified: int


@dataclass(frozen=True, repr=False)
class Name:
    """One name in a folder; `links` is read from the line made for people, as version 3 has no field for it."""

    name: bytes
    links: int
    attributes: Attributes


_CHUNK = 32 * 1024
_IN_FLIGHT = 48  # chunks under way: 1.5 MiB, below the channel's window of 2 MiB
_LARGEST = 256 * 1024 + 64


class Session:
    """One SFTP conversation. Not to be used again after an error other than Answered."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._received = bytearray()
        self._number = 0
        self._early: dict[int, tuple[int, bytes]] = {}
        self._waiting: set[int] = set()
        self._extensions = self._start()

    def _start(self) -> frozenset[bytes]:
        self._channel.sendall(struct.pack(">IBI", 5, Message.INIT, 3))
        kind, body = self._packet()
        reader = _Reader(body)
        if kind != Message.VERSION or reader.number() != 3:
            raise BrokenError("not version 3")
        extensions = set()
        while not reader.is_at_end():
            extensions.add(reader.text())
            reader.text()
        return frozenset(extensions)

    def lstat(self, path: bytes) -> Attributes:
        """What is stated about a path, not following a link at its end."""
        return _Reader(self._ask(Message.LSTAT, _text(path), Message.ATTRIBUTES)).attributes()

    def fstat(self, handle: bytes) -> Attributes:
        """What is stated about an open file."""
        return _Reader(self._ask(Message.FSTAT, _text(handle), Message.ATTRIBUTES)).attributes()

    def names(self, path: bytes, most: int) -> list[Name]:
        """At most `most` names in a folder, without the folder itself and its parent, in the server's order."""
        handle = _Reader(self._ask(Message.OPENDIR, _text(path), Message.HANDLE)).text()
        names: list[Name] = []
        for name in self._listing(handle):
            if name.name in {b".", b".."}:
                continue
            if not name.name or b"/" in name.name or b"\0" in name.name:
                raise BrokenError("a name that is no name")
            names.append(name)
            if len(names) >= most:
                break
        self.close(handle)
        return names

    def _listing(self, handle: bytes) -> Iterator[Name]:
        while True:
            try:
                reader = _Reader(self._ask(Message.READDIR, _text(handle), Message.NAME))
            except Answered as answer:
                if answer.status == Status.END:
                    return
                raise
            count = reader.number()
            if count == 0:
                raise BrokenError("an empty listing without an end")
            for _ in range(count):
                name, line = reader.text(), reader.text()
                yield Name(name, _links(line), reader.attributes())

    def open(self, path: bytes, how: Open) -> bytes:
        """Open a file and answer its handle."""
        body = _text(path) + struct.pack(">II", how, 0)
        return _Reader(self._ask(Message.OPEN, body, Message.HANDLE)).text()

    def close(self, handle: bytes) -> None:
        """Close a handle."""
        self._ask(Message.CLOSE, _text(handle), Message.STATUS)

    def read(self, handle: bytes, size: int) -> bytes:
        """The first `size` bytes of an open file, and what lies behind them up to a further chunk; fewer at its end."""
        parts: dict[int, bytes] = {}
        offsets = iter(range(0, size + 1, _CHUNK))
        under_way: deque[tuple[int, int, int]] = deque()
        ended = False
        while True:
            while not ended and len(under_way) < _IN_FLIGHT and (offset := next(offsets, None)) is not None:
                under_way.append((self._send_read(handle, offset, _CHUNK), offset, _CHUNK))
            if not under_way:
                return _joined(parts)
            number, offset, wanted = under_way.popleft()
            try:
                data = _Reader(self._answer(number, Message.DATA)).text()
            except Answered as answer:
                if answer.status != Status.END:
                    raise
                ended = True
                continue
            if not data or len(data) > wanted:
                raise BrokenError("more or less data than asked for")
            parts[offset] = data
            if len(data) < wanted:
                # A short answer is allowed anywhere; what it left out is asked for until the end says so.
                rest = offset + len(data)
                under_way.appendleft((self._send_read(handle, rest, wanted - len(data)), rest, wanted - len(data)))

    def _send_read(self, handle: bytes, offset: int, size: int) -> int:
        return self._send(Message.READ, _text(handle) + struct.pack(">QI", offset, size))

    def write(self, handle: bytes, content: bytes) -> None:
        """Write a content from the start of an open file."""
        under_way: deque[int] = deque()
        for offset in range(0, len(content), _CHUNK):
            chunk = content[offset : offset + _CHUNK]
            under_way.append(self._send(Message.WRITE, _text(handle) + struct.pack(">Q", offset) + _text(chunk)))
            if len(under_way) >= _IN_FLIGHT:
                self._answer(under_way.popleft(), Message.STATUS)
        for number in under_way:
            self._answer(number, Message.STATUS)

    def fsync(self, handle: bytes) -> bool:
        """Make an open file durable at the server; answers False where the server does not offer it."""
        if b"fsync@openssh.com" not in self._extensions:
            return False
        self._ask(Message.EXTENDED, _text(b"fsync@openssh.com") + _text(handle), Message.STATUS)
        return True

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename; a new name that exists is an error."""
        self._ask(Message.RENAME, _text(old) + _text(new), Message.STATUS)

    def replace(self, old: bytes, new: bytes) -> None:
        """Rename as POSIX does, in one step, where the server offers it; else as `rename` does."""
        if b"posix-rename@openssh.com" not in self._extensions:
            self.rename(old, new)
            return
        body = _text(b"posix-rename@openssh.com") + _text(old) + _text(new)
        self._ask(Message.EXTENDED, body, Message.STATUS)

    def remove(self, path: bytes) -> None:
        """Remove a name that is not a folder; a link goes, what it points at stays."""
        self._ask(Message.REMOVE, _text(path), Message.STATUS)

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        self._ask(Message.RMDIR, _text(path), Message.STATUS)

    def _ask(self, kind: Message, body: bytes, expected: Message) -> bytes:
        return self._answer(self._send(kind, body), expected)

    def _send(self, kind: Message, body: bytes) -> int:
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._waiting.add(self._number)
        self._channel.sendall(struct.pack(">IBI", len(body) + 5, kind, self._number) + body)
        return self._number

    def _answer(self, number: int, expected: Message) -> bytes:
        """The body of the answer to a request; answers to other requests under way are kept for their turn."""
        while number not in self._early:
            kind, packet = self._packet()
            reader = _Reader(packet)
            answered = reader.number()
            if answered not in self._waiting:
                raise BrokenError("an answer to nothing")
            self._waiting.remove(answered)
            self._early[answered] = (kind, reader.rest())
        kind, body = self._early.pop(number)
        if kind == Message.STATUS:
            status = _Reader(body).number()
            if status != Status.OK or expected != Message.STATUS:
                raise Answered(status) if status != Status.OK else BrokenError("OK is no answer to this")
        elif kind != expected:
            raise BrokenError("an answer of another kind")
        return body

    def _packet(self) -> tuple[int, bytes]:
        (length,) = struct.unpack(">I", self._exactly(4))
        if not 1 <= length <= _LARGEST:
            raise BrokenError("a message of impossible length")
        packet = self._exactly(length)
        return packet[0], packet[1:]

    def _exactly(self, length: int) -> bytes:
        while len(self._received) < length:
            received = self._channel.recv(_LARGEST)
            if not received:
                raise BrokenError("the server hung up")
            self._received += received
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken


def _joined(parts: dict[int, bytes]) -> bytes:
    end = 0
    for offset in sorted(parts):
        if offset != end:
            raise BrokenError("data behind the end")
        end += len(parts[offset])
    return b"".join(parts[offset] for offset in sorted(parts))


class _Reader:
    """Reads the fields of one message; anything beyond its end is a broken message."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def _take(self, length: int) -> bytes:
        taken = self._body[self._at : self._at + length]
        if len(taken) != length:
            raise BrokenError("a message cut short")
        self._at += length
        return taken

    def is_at_end(self) -> bool:
        return self._at == len(self._body)

    def rest(self) -> bytes:
        return self._take(len(self._body) - self._at)

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def text(self) -> bytes:
        return self._take(self.number())

    def attributes(self) -> Attributes:
        flags = self.number()
        size = int.from_bytes(self._take(8), "big") if flags & 0x1 else -1
        owner = self.number() if flags & 0x2 else -1
        if flags & 0x2:
            self.number()
        mode = self.number() if flags & 0x4 else -1
        if flags & 0x8:
            self.number()
        modified = self.number() if flags & 0x8 else -1
        if flags & 0x80000000:
            for _ in range(self.number()):
                self.text()
                self.text()
        return Attributes(size, owner, mode, modified)


def _text(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _links(line: bytes) -> int:
    """How many names a file has, by the second word of an `ls -l` line; 1 where the line does not say."""
    words = line.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() and len(words[1]) < 10 else 1
