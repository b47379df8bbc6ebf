"""Watching a process write: every path that it opens for writing, every name that it gives, every byte that it writes.

strace follows all threads and children, so a plaintext file that was made and removed again is seen as well. What it
cannot see is what a program writes into a shared mapping of a file; such mappings are listed instead.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg")
OPENS = ("open", "openat", "openat2", "creat")
NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "mknodat")
UNSEEN = ("sendfile", "copy_file_range", "splice", "tee", "vmsplice", "mmap")
LONGEST = 64 * 1024 * 1024

_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$", re.DOTALL)
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^(?:-?\d+|AT_FDCWD)<([^>]*)>")
_RESULT = re.compile(r"\) += (-?\d+)(?:<([^>]*)>)?")


@dataclass
class Watched:
    """What a process did. `written` pairs where it went (a path, or `socket:…`, `pipe:…`) with the bytes."""

    opened: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    written: list[tuple[str, bytes]] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    calls: int = 0


def under_strace(output: Path) -> list[str]:
    """The words to put before a command so that `read_trace` can tell what it did."""
    traced = ",".join(f"?{call}" for call in (*WRITES, *OPENS, *NAMES, *UNSEEN))
    return [
        "strace", "-f", "-qq", "--seccomp-bpf", "-y", "-xx", "-s", str(LONGEST), "-e", f"trace={traced}",
        "-e", "signal=none", "-o", str(output),
    ]  # fmt: skip


def read_trace(output: Path) -> Watched:
    """What strace saw; a call that another thread interrupted in the listing is put together again."""
    watched, begun = Watched(), dict[str, str]()
    for line in output.read_text("ascii").splitlines():
        resumed = _RESUMED.match(line)
        if line.endswith("<unfinished ...>"):
            begun[line.split(maxsplit=1)[0]] = line.removesuffix("<unfinished ...>")
            continue
        if resumed is not None:
            line = begun.pop(resumed[1], "") + resumed[3]  # noqa: PLW2901  two lines are one call
        call = _LINE.match(line)
        if call is not None:
            _note(watched, call[2], call[3])
    for line in begun.values():  # a process that ended in the middle of a call
        call = _LINE.match(line)
        if call is not None:
            _note(watched, call[2], call[3])
    return watched


def _note(watched: Watched, name: str, rest: str) -> None:
    watched.calls += 1
    result = _RESULT.search(rest)
    strings = [_bytes(found) for found in _STRING.finditer(rest)]
    if name in WRITES:
        where = _DESCRIPTOR.match(rest)
        watched.written += [(_text(where[1]) if where else "?", content) for content in strings]
    elif name in OPENS:
        wanted = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", rest) or name == "creat"
        if wanted and (result is None or int(result[1]) >= 0):
            watched.opened.add(_text(result[2]) if result and result[2] else strings[0].decode("utf-8", "replace"))
    elif name in NAMES:
        if result is None or int(result[1]) == 0:
            watched.named |= {content.decode("utf-8", "surrogateescape") for content in strings}
    elif name == "mmap":
        if "MAP_SHARED" in rest and "PROT_WRITE" in rest and "MAP_ANONYMOUS" not in rest:
            watched.unseen.add(f"mmap {_text(rest)}")
    elif result is None or int(result[1]) > 0:
        watched.unseen.add(name)


def _bytes(found: re.Match[str]) -> bytes:
    if found[2]:
        raise ValueError("strace cut a string; nothing can be said about what was left out")
    return bytes.fromhex(found[1].replace("\\x", ""))


def _text(escaped: str) -> str:
    return re.sub(
        r"(?:\\x[0-9a-f]{2})+", lambda run: bytes.fromhex(run[0].replace("\\x", "")).decode("utf-8", "replace"), escaped
    )


def beneath(path: str, folders: Sequence[Path]) -> bool:
    """Whether a path is one of these files or lies in one of these folders; a removed file counts where it was."""
    clean = Path(path.removesuffix("(deleted)").rstrip())
    return any(clean == folder or folder in clean.parents for folder in folders)
