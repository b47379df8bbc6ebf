"""What would be left of a loan, and the look for it through every folder that the server hands things over in.

A copy is known by what stands in it and in nothing else: the key share in an age envelope's header, which is drawn anew
for each sealing; the digest of the whole file; and, for a copy in clear, the columns that a loan file begins with.
"""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from enclave.model.loan import BackupsRead, Residue

CHUNK = 1 << 20
_KEY_SHARE = re.compile(rb"-> X25519 [A-Za-z0-9+/]{43}")
MOST_HEADER = 1 << 18  # bytes: manifests, signature and the envelope's header stand at the beginning of a packed file


@dataclass(frozen=True, repr=False)
class Marks:
    """What tells a copy of a loan: texts that stand in no other file, and SHA-256 (hex) of whole files."""

    texts: frozenset[bytes]
    digests: frozenset[str]


def marks_of(wrapped: bytes, copies: Iterable[Path], digests: Iterable[str], in_clear: str) -> Marks:
    """The marks of a loan from what is still there of it, its wrapped key included, and from what the ledger knows.

    `in_clear` is how a line of a copy in clear would begin; "" where nobody knows any more.
    """
    headers = [wrapped, *(_beginning(path) for path in copies)]
    shares = {share for header in headers for share in _KEY_SHARE.findall(header)}
    clear = {in_clear.encode(), in_clear.encode("utf-16-le")} if in_clear else set()
    return Marks(frozenset({*shares, *clear}), frozenset(digests))


def _beginning(path: Path) -> bytes:
    file = _opened(path)
    if file is None:
        return b""
    with file:
        return file.read(MOST_HEADER)


def look_through(folders: Sequence[tuple[str, Path]], marks: Marks) -> Residue:
    """Read every file below `folders`, (name, path) each, for the marks; what other jobs remove meanwhile is gone.

    Links are not followed. `left_in` names folders, never a file: its name may be anybody's.
    """
    files, left_in = 0, []
    for name, folder in folders:
        for path in _files(folder):
            found = _is_marked(path, marks)
            files += found is not None
            if found:
                left_in.append(name)
    return Residue(tuple(name for name, _ in folders), files, tuple(left_in))


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in sorted(names))


def _is_marked(path: Path, marks: Marks) -> bool | None:
    """Whether a file is or holds a copy; None where it is no regular file, or gone."""
    file = _opened(path)
    if file is None:
        return None
    with file:
        digest, before = hashlib.sha256(), b""
        overlap = max(map(len, marks.texts), default=1) - 1
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            window = before + chunk
            if any(text in window for text in marks.texts):
                return True
            before = window[-overlap:] if overlap else b""
    return digest.hexdigest() in marks.digests


def read_manifests(manifests: Iterable[tuple[str, Path]], marks: Marks) -> BackupsRead:
    """Read what each backup held – (SHA-256 of its manifest, where that is kept) – for the loan's key and files.

    A manifest that is gone, or is not the one that the log names, counts as missing.
    """
    read, missing, naming = 0, 0, []
    for sha256, path in manifests:
        file = _opened(path)
        content = b"" if file is None else file.read()
        if file is not None:
            file.close()
        if hashlib.sha256(content).hexdigest() != sha256:
            missing += 1
            continue
        read += 1
        if any(_is_of_a_loan(member, marks) for member in json.loads(content)["members"]):
            naming.append(f"backup {sha256[:16]}")
    return BackupsRead(read, missing, tuple(naming))


def _is_of_a_loan(member: dict[str, str], marks: Marks) -> bool:
    return "keystore/" in member["name"] or "/loans/" in member["name"] or member["sha256"] in marks.digests


def _opened(path: Path) -> BinaryIO | None:
    """A regular file, to read; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as why:
        if why.errno == errno.ELOOP:
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")
