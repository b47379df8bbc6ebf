"""A job makes itself safe before it sees a key: no core dump, no debugger, plaintext only on tmpfs, Landlock around it.

Landlock (Linux 5.13 and later) refuses, in the kernel and also to root, every file outside the job's row of
`schedule.py`, and from Linux 6.7 every TCP connection outside it. It does not judge named Unix sockets or UDP: there
the hardened systemd units are the wall. Where the kernel has no Landlock the units' own confinement stands alone; a
kernel that has it but may not be asked (a system-call filter) halts, so that no job runs less confined than it can.
"""

import ctypes
import errno
import hashlib
import os
import resource
import shutil
import stat
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

from enclave.errors import Halt, explain
from enclave.folders import WorkingFolder
from enclave.settings import Settings

explain(
    "H_NOT_TMPFS",
    "The folder for temporary files is not in memory (tmpfs), so plaintext could reach a disk.",
    "Set `temporary_folder` in enclave.toml to a folder on tmpfs, such as /dev/shm.",
)
explain(
    "H_TEMPORARY_TAKEN",
    "The folder for this job's temporary files belongs to somebody else.",
    "Find out who made it; remove it, or set `temporary_folder` in enclave.toml to a tmpfs of this server's own.",
)
explain(
    "H_CONFINEMENT",
    "The kernel refused to confine this job.",
    "Nothing was opened. Check the kernel's Landlock and prctl settings; never run the job unconfined.",
)

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_TMPFS_MAGIC = 0x01021994
_ABI_WITH_REFER, _ABI_WITH_TRUNCATE, _ABI_WITH_NETWORK, _ABI_WITH_IOCTL, _ABI_WITH_SCOPE = 2, 3, 4, 5, 6
_CAPABILITY_VERSION = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 3
"""CAP_DAC_OVERRIDE and CAP_FOWNER."""
_WITHOUT_LANDLOCK = (errno.ENOSYS, errno.EOPNOTSUPP)


class _File(IntFlag):
    """Landlock's access rights to files (linux/landlock.h)."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


_READ = _File.READ_FILE | _File.READ_DIR
_RUN = _READ | _File.EXECUTE
_WRITE = (
    _READ | _File.WRITE_FILE | _File.REMOVE_FILE | _File.MAKE_REG | _File.MAKE_DIR | _File.REMOVE_DIR | _File.TRUNCATE
)
_ON_A_FILE = _File.READ_FILE | _File.WRITE_FILE | _File.EXECUTE | _File.TRUNCATE
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_NO_ABSTRACT_SOCKETS, _NO_SIGNALS = 1 << 0, 1 << 1


@dataclass(frozen=True)
class Confinement:
    """Everything that a job's process may open: folders and files by right, and TCP ports to connect to."""

    run: tuple[Path, ...]
    read: tuple[Path, ...]
    write: tuple[Path, ...]
    connect_tcp: tuple[int, ...]


def keep_memory_private() -> None:
    """Forbid core dumps and other processes' looks into this one's memory (`/proc/PID/mem`, ptrace)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise Halt("H_CONFINEMENT", place="prctl")


@contextmanager
def temporary_folder(folder: WorkingFolder, settings: Settings, job: str, registry: str) -> Iterator[Path]:
    """Send the temporary files of every library to a folder of this job's own on tmpfs; it is emptied on both ends.

    The caller holds the job's lock. A kill leaves the folder, in memory, to the next start of the same job.
    """
    if not _is_tmpfs(Path(settings.temporary_folder)):
        raise Halt("H_NOT_TMPFS", place=settings.temporary_folder)
    own = temporary_of(folder, settings, job, registry)
    shutil.rmtree(own, ignore_errors=True)
    # A confined run that was not killed leaves its folder empty: Landlock lets it remove the content, not the name.
    own.mkdir(mode=0o700, exist_ok=True)
    facts = own.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or any(own.iterdir()):
        raise Halt("H_TEMPORARY_TAKEN", place=own.name)
    own.chmod(0o700)
    for variable in ("TMPDIR", "POLARS_TEMP_DIR", "SQLITE_TMPDIR", "MPLCONFIGDIR"):
        os.environ[variable] = str(own)
    tempfile.tempdir = str(own)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def temporary_of(folder: WorkingFolder, settings: Settings, job: str, registry: str) -> Path:
    """The folder that one job's libraries may spill to."""
    server = hashlib.sha256(str(folder.root.resolve()).encode()).hexdigest()[:16]
    return Path(settings.temporary_folder) / f"enclave-{server}-{job}-{registry}"


def _is_tmpfs(folder: Path) -> bool:
    return folder.is_dir() and _filesystem_magic(folder) == _TMPFS_MAGIC


def _filesystem_magic(folder: Path) -> int:
    buffer = ctypes.create_string_buffer(256)
    if _LIBC.statfs(os.fsencode(folder), buffer) != 0:
        raise Halt("H_CONFINEMENT", place="statfs")
    return int(struct.unpack_from("@l", buffer)[0])


def landlock_version() -> int:
    """The kernel's Landlock ABI; 0 where it has none."""
    version = int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))
    if version < 0 and ctypes.get_errno() not in _WITHOUT_LANDLOCK:
        raise Halt("H_CONFINEMENT", place=f"errno {ctypes.get_errno()}")
    return max(0, version)


def confine(to: Confinement) -> bool:
    """Bind this process, for ever, to `to`; answers whether the kernel could."""
    version = landlock_version()
    _drop_capabilities()
    if version == 0:
        return False
    handled_files = _handled_files(version)
    handled_ports = _CONNECT_TCP | _BIND_TCP if version >= _ABI_WITH_NETWORK else 0
    attributes = struct.pack("=Q", handled_files)
    if version >= _ABI_WITH_NETWORK:
        attributes += struct.pack("=Q", handled_ports)
    if version >= _ABI_WITH_SCOPE:
        attributes += struct.pack("=Q", _NO_ABSTRACT_SOCKETS | _NO_SIGNALS)
    ruleset = _checked(_LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        for paths, rights in ((to.run, _RUN), (to.read, _READ), (to.write, _WRITE)):
            _allow_paths(ruleset, paths, int(rights) & handled_files)
        if handled_ports:
            for port in to.connect_tcp:
                rule = struct.pack("=QQ", _CONNECT_TCP, port)
                _checked(_LIBC.syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, rule, 0))
        _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _drop_capabilities() -> None:
    """Leave root, where a job runs as root, only what opens another owner's files: no look into other processes.

    CAP_PERFMON or CAP_SYS_ADMIN alone would read their /proc/PID/environ past Landlock.
    """
    header = struct.pack("=II", _CAPABILITY_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    _checked(_LIBC.capget(header, held))
    words = [word & _KEPT_CAPABILITIES if at < 3 else 0 for at, word in enumerate(struct.unpack("=6I", held.raw))]
    kept = struct.pack("=6I", *words)
    if kept != held.raw:  # the units' system-call filter forbids capset, and leaves nothing to drop
        _checked(_LIBC.capset(header, kept))


def _handled_files(version: int) -> int:
    since = {
        _File.REFER: _ABI_WITH_REFER,
        _File.TRUNCATE: _ABI_WITH_TRUNCATE,
        _File.IOCTL_DEV: _ABI_WITH_IOCTL,
    }
    return sum(right for right in _File if version >= since.get(right, 1))


def _allow_paths(ruleset: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        if not path.exists():
            continue
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = rights if path.is_dir() else rights & int(_ON_A_FILE)
            _checked(_LIBC.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0))
        finally:
            os.close(descriptor)


def _checked(answer: int) -> int:
    if answer < 0:
        raise Halt("H_CONFINEMENT", place=f"errno {ctypes.get_errno()}")
    return int(answer)
