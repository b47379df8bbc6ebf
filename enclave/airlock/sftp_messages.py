"""What SFTP version 3 says and answers (draft-ietf-secsh-filexfer-02): the messages, and the fields within them."""

import struct
from dataclasses import dataclass
from enum import IntEnum


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


class Reader:
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
        """Whether nothing is left."""
        return self._at == len(self._body)

    def rest(self) -> bytes:
        """All that is left."""
        return self._take(len(self._body) - self._at)

    def number(self) -> int:
        """The next four bytes."""
        return int.from_bytes(self._take(4), "big")

    def text(self) -> bytes:
        """The next text, of the length that stands before it."""
        return self._take(self.number())

    def attributes(self) -> Attributes:
        """What is stated about a file, by the flags that stand before it."""
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


def framed(content: bytes) -> bytes:
    """A text as a field: its length before it."""
    return struct.pack(">I", len(content)) + content


def links_of(line: bytes) -> int:
    """How many names a file has, by the second word of an `ls -l` line; 1 where the line does not say."""
    words = line.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() and len(words[1]) < 10 else 1
