"""Files and folders of others by descriptor: no link is followed, and what is read did not change meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def opened(name: str, flags: int, folder: int) -> Iterator[int]:
    """A descriptor of one name in an open folder."""
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def identity(facts: os.stat_result) -> tuple[int, ...]:
    """What is the same before and after reading a file that nobody changed."""
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_mode, facts.st_nlink)


def exactly(descriptor: int, most: int) -> bytes:
    """The bytes from here on, at most `most`."""
    parts = bytearray()
    while len(parts) < most and (part := os.read(descriptor, min(most - len(parts), 1024 * 1024))):
        parts += part
    return bytes(parts)
