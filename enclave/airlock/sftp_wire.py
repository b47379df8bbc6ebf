"""One SFTP version 3 conversation, as far as the airlock needs it, over an open channel.

Why not paramiko's own SFTPClient: its listing fails on a name that is not UTF-8, which a sender can plant; its prefetch
spins for ever when a server stalls and believes the size that a server states; and it writes names to the log. Here
names are bytes, every answer is bounded and must belong to a request, and nothing is logged. Requests are pipelined:
one round trip each would cost a factor of twenty.
"""

import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from enclave.airlock.sftp_messages import (
    Answered,
    Attributes,
    BrokenError,
    Message,
    Name,
    Open,
    Reader,
    Status,
    framed,
    links_of,
)


class Channel(Protocol):
    """What is needed of an SSH channel; `recv` answers nothing at its end and raises TimeoutError when it stalls."""

    def recv(self, nbytes: int) -> bytes:
        """Read at most `nbytes`."""
        ...

    def sendall(self, s: bytes) -> None:
        """Write all."""
        ...


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
        reader = Reader(body)
        if kind != Message.VERSION or reader.number() != 3:
            raise BrokenError("not version 3")
        extensions = set()
        while not reader.is_at_end():
            extensions.add(reader.text())
            reader.text()
        return frozenset(extensions)

    def lstat(self, path: bytes) -> Attributes:
        """What is stated about a path, not following a link at its end."""
        return Reader(self._ask(Message.LSTAT, framed(path), Message.ATTRIBUTES)).attributes()

    def fstat(self, handle: bytes) -> Attributes:
        """What is stated about an open file."""
        return Reader(self._ask(Message.FSTAT, framed(handle), Message.ATTRIBUTES)).attributes()

    def names(self, path: bytes, most: int) -> list[Name]:
        """At most `most` names in a folder, without the folder itself and its parent, in the server's order."""
        handle = Reader(self._ask(Message.OPENDIR, framed(path), Message.HANDLE)).text()
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
                reader = Reader(self._ask(Message.READDIR, framed(handle), Message.NAME))
            except Answered as answer:
                if answer.status == Status.END:
                    return
                raise
            count = reader.number()
            if count == 0:
                raise BrokenError("an empty listing without an end")
            for _ in range(count):
                name, line = reader.text(), reader.text()
                yield Name(name, links_of(line), reader.attributes())

    def open(self, path: bytes, how: Open) -> bytes:
        """Open a file and answer its handle."""
        body = framed(path) + struct.pack(">II", how, 0)
        return Reader(self._ask(Message.OPEN, body, Message.HANDLE)).text()

    def close(self, handle: bytes) -> None:
        """Close a handle."""
        self._ask(Message.CLOSE, framed(handle), Message.STATUS)

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
                data = Reader(self._answer(number, Message.DATA)).text()
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
        return self._send(Message.READ, framed(handle) + struct.pack(">QI", offset, size))

    def write(self, handle: bytes, content: bytes) -> None:
        """Write a content from the start of an open file."""
        under_way: deque[int] = deque()
        for offset in range(0, len(content), _CHUNK):
            chunk = content[offset : offset + _CHUNK]
            under_way.append(self._send(Message.WRITE, framed(handle) + struct.pack(">Q", offset) + framed(chunk)))
            if len(under_way) >= _IN_FLIGHT:
                self._answer(under_way.popleft(), Message.STATUS)
        for number in under_way:
            self._answer(number, Message.STATUS)

    def fsync(self, handle: bytes) -> bool:
        """Make an open file durable at the server; answers False where the server does not offer it."""
        if b"fsync@openssh.com" not in self._extensions:
            return False
        self._ask(Message.EXTENDED, framed(b"fsync@openssh.com") + framed(handle), Message.STATUS)
        return True

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename; a new name that exists is an error."""
        self._ask(Message.RENAME, framed(old) + framed(new), Message.STATUS)

    def replace(self, old: bytes, new: bytes) -> None:
        """Rename as POSIX does, in one step, where the server offers it; else as `rename` does."""
        if b"posix-rename@openssh.com" not in self._extensions:
            self.rename(old, new)
            return
        body = framed(b"posix-rename@openssh.com") + framed(old) + framed(new)
        self._ask(Message.EXTENDED, body, Message.STATUS)

    def remove(self, path: bytes) -> None:
        """Remove a name that is not a folder; a link goes, what it points at stays."""
        self._ask(Message.REMOVE, framed(path), Message.STATUS)

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        self._ask(Message.RMDIR, framed(path), Message.STATUS)

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
            reader = Reader(packet)
            answered = reader.number()
            if answered not in self._waiting:
                raise BrokenError("an answer to nothing")
            self._waiting.remove(answered)
            self._early[answered] = (kind, reader.rest())
        kind, body = self._early.pop(number)
        if kind == Message.STATUS:
            status = Reader(body).number()
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
