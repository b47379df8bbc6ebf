"""The only code that writes files: a name appears with its whole content, durably, or not at all.

Order of a write: temporary name in the same folder, content, fsync of the file, rename, fsync of the folder. A crash
before the rename leaves a `.tmp-` file that `sweep` removes; a crash after it leaves the finished file. Files are
opened with O_NOFOLLOW and must be regular files with one link, so that a planted link is refused, not followed.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from enclave.errors import Halt, explain

explain(
    "H_NOT_A_FILE",
    "A file that the server reads is a link, a device, or has a second name.",
    "Find out who put it there; replace it by a regular file with one name.",
)
explain("H_LOCKED", "Another server or job holds this lock.", "Wait for it to end, or stop it; never delete the lock.")
explain("H_EXISTS", "A file that must be new exists already.", "Nothing was overwritten; move the old one away.")
explain(
    "H_DISK_FULL",
    "The disk that holds the working folder is full.",
    "Make room; the next run takes up where this one stopped.",
    nb=("Disken som arbeidsmappen ligger på, er full.", "Frigjør plass; neste kjøring fortsetter der denne stanset."),
)

TEMPORARY = ".tmp-"
_SQLITE_FULL = 13
_POSTGRESQL_DISK_FULL = "53100"


def write(path: Path, content: bytes, *, mode: int = 0o600) -> str:
    """Put `content` under `path`, replacing what was there, and answer its SHA-256 (hex)."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    _write_temporary(temporary, content, mode)
    # A crash here leaves the temporary file, which `sweep` removes, and the old content under the name.
    os.rename(temporary, path)
    fsync_folder(path.parent)
    return hashlib.sha256(content).hexdigest()


def write_new(path: Path, content: bytes, *, mode: int = 0o600) -> str:
    """Put `content` under `path`, which must not exist yet, and answer its SHA-256 (hex)."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    _write_temporary(temporary, content, mode)
    _name_new(temporary, path)
    return hashlib.sha256(content).hexdigest()


@contextmanager
def writing(path: Path, *, new: bool = False, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which appears under `path` whole and durable at the end, or not at all.

    It replaces what was there; with `new` the name must not exist yet.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(temporary)
        raise
    if new:
        _name_new(temporary, path)
        return
    os.rename(temporary, path)
    fsync_folder(path.parent)


def _name_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        os.unlink(temporary)
        raise Halt("H_EXISTS", place=path.name) from None
    # A crash here leaves two names for one finished file; `sweep` removes the temporary one.
    os.unlink(temporary)
    fsync_folder(path.parent)


def supersede(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put `content` under the path of a file that exists, and overwrite what was there with random bytes.

    A crash leaves the old file, or the new one and perhaps old blocks on the disk that no name leads to any more.
    """
    with _writable(path) as old:
        write(path, content, mode=mode)
        _overwrite(old)


def _write_temporary(temporary: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file with one name, open for reading; a link or a device halts the server."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise Halt("H_NOT_A_FILE", place=path.name)
        yield file


def read(path: Path, *, limit: int | None = None) -> bytes:
    """The content of a regular file with one name; a link, device or file above `limit` bytes halts the server."""
    with opened(path) as file:
        if limit is not None and os.fstat(file.fileno()).st_size > limit:
            raise Halt("H_NOT_A_FILE", place=path.name)
        return file.read()


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 (hex) of every file in a folder, by name."""
    return {path.name: hashlib.sha256(read(path)).hexdigest() for path in folder.iterdir() if path.is_file()}


def append(path: Path, content: bytes) -> None:
    """Add `content` at the end of a file that exists, by one write, and make it durable.

    OSError means that nobody knows how much of it is there: never try again on the same file.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        written = os.write(descriptor, content)
        # A crash here, or before the next line, leaves the whole line, a beginning of it, or nothing.
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if written != len(content):
        raise OSError(errno.ENOSPC, "short write")


def shorten(path: Path, size: int) -> None:
    """Cut a file durably to its first `size` bytes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> bool:
    """Remove a file durably; answer whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    fsync_folder(path.parent)
    return True


def shred(path: Path) -> bool:
    """Overwrite a file with random bytes and remove it, both durably; answer whether it was there.

    A crash in between leaves the name with random content, or nothing; calling it again finishes. On flash and
    copy-on-write disks old blocks may outlive the overwriting: what is shredded must be ciphertext already.
    """
    try:
        with _writable(path) as descriptor:
            _overwrite(descriptor)
    except FileNotFoundError:
        return False
    return remove(path)


def discard(path: Path) -> bool:
    """Shred a file that nobody may ever read half overwritten: its name goes first; answers whether it was there.

    A crash leaves a `.tmp-` file, whole or overwritten, for whoever writes in this folder next.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        os.rename(path, temporary)
    except FileNotFoundError:
        return False
    fsync_folder(path.parent)
    return shred(temporary)


@contextmanager
def _writable(path: Path) -> Iterator[int]:
    """A regular file with one name, open to be overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise Halt("H_NOT_A_FILE", place=path.name)
        yield descriptor
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int) -> None:
    view = memoryview(secrets.token_bytes(os.fstat(descriptor).st_size))
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Make a folder and its missing parents, each durably named in its parent."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    os.mkdir(path, mode)
    fsync_folder(path.parent)


def is_full(error: BaseException | None) -> bool:
    """Whether a write failed for want of room, which passes when somebody makes some.

    The operating system tells it by errno, SQLite by its code, PostgreSQL by SQLSTATE (its Appendix A: `disk_full`).
    """
    return (
        getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        or getattr(error, "sqlite_errorcode", None) == _SQLITE_FULL
        or getattr(error, "sqlstate", None) == _POSTGRESQL_DISK_FULL
    )


def sweep(folder: Path) -> int:
    """Remove what killed writers left in this folder, whose lock the caller holds; answers how many."""
    left = [path for path in folder.iterdir() if path.name.startswith(TEMPORARY)]
    for path in left:
        remove(path)
    return len(left)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process; without `wait`, a lock that is held halts."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Halt("H_LOCKED", place=path.name) from None
        yield
    finally:
        os.close(descriptor)
