"""What a backup holds: two sets of files, each a tar that stock `tar` opens, and one manifest that stands in both.

The registry's set names nobody, whatever keys its holder has: pseudonymous rows, states, log, definitions. The vault's
set holds what could name people to whoever has the server's keys. What is not named here is in neither: private keys,
passphrases, the keystore, and what only the keystore opens – quarantine and loans.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from enclave import durable
from enclave.errors import Halt, Refused, explain
from enclave.model.drop import Closed, Digest

explain(
    "H_BACKUP_CHANGED",
    "A file changed while it was being backed up.",
    "Find out who writes to the working folder past the program; delete what was written, and back up again.",
)
explain(
    "R_BACKUP_SET",
    "This is not a whole, opened set of a backup: it is still sealed, cut, altered, or the other one of the two.",
    "Open each file with `age -d -i KEY FILE > NAME.tar` where its key is, and give the registry's first, then the "
    "vault's.",
)
explain(
    "R_BACKUP_PAIR",
    "The two sets are not of one backup.",
    "Take both from one folder of `enclave backup`: their manifest.json is the same, byte for byte.",
)

Which = Literal["registry", "vault"]
WHICH: tuple[Which, Which] = ("registry", "vault")
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 64 << 20
LOG = "audit/log.jsonl"
JOURNAL = "-journal"
CHUNK = 1 << 20
_END = bytes(2 * tarfile.BLOCKSIZE)

# A name begins with no dot, so that neither what a killed writer left nor a way out of the folder is one.
_NAME, _REGISTRY = r"[A-Za-z0-9_][A-Za-z0-9._-]*", r"registries/[a-z][a-z0-9_]*"
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IN_SETS: tuple[tuple[Which, re.Pattern[str]], ...] = (
    ("registry", re.compile(r"enclave\.toml|control\.db")),
    (
        "registry",
        re.compile(r"audit(-[0-9a-f]{16})?/(log\.jsonl|vkey|bookmark|checkpoints/[0-9]+|torn/[0-9]+-[0-9a-f]+)"),
    ),
    ("registry", re.compile(rf"outbox/{_NAME}")),
    ("registry", re.compile(rf"{_REGISTRY}/(registry\.db({JOURNAL})?|definitions/{_NAME})")),
    ("registry", re.compile(rf"site/[a-z][a-z0-9_]*/{_NAME}(/{_NAME})*")),
    # Public halves; and the master key's private one, which is sealed with what stands on the three papers only.
    (
        "registry",
        re.compile(
            r"keys/([a-z][a-z0-9_]*/)?([a-z-]+(\.next|\.earlier)?\.pub|register\.json|known_hosts|escrow\.identity\.age)"
        ),
    ),
    # Sealed to keys of jobs: whom a request is about, and what institutions are told under their own references. An
    # answer that names people (ID.answer.age) is gone in an hour and must not come back.
    (
        "vault",
        re.compile(rf"{_REGISTRY}/(vault\.db({JOURNAL})?|requests/{_UUID}\.age|(drafts|outbox)/({_NAME}/)?{_NAME})"),
    ),
)


class Member(Closed):
    """One file of a backup, by its path in the working folder."""

    name: str
    which: Which
    size: Annotated[int, Field(ge=0)]
    sha256: Digest


class Manifest(Closed):
    """What both sets of one backup hold, and of which moment: the same bytes stand in both."""

    v: Literal[1]
    server: str
    made_at: str
    log_id: str
    log_lines: int
    keys: dict[str, int]
    """the version of each key that databases, drops and requests are opened with, by `REGISTRY/NAME`"""
    elsewhere: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*/(registry|vault)$")], ...]
    """databases that are PostgreSQL's, and so not in the sets"""
    members: tuple[Member, ...]

    def text(self) -> bytes:
        """The manifest as it stands in the sets."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @property
    def sha256(self) -> str:
        """What names the backup in the log and in what two people sign."""
        return hashlib.sha256(self.text()).hexdigest()

    def of(self, which: Which) -> tuple[Member, ...]:
        """The files of one set, in their order."""
        return tuple(one for one in self.members if one.which == which)

    @property
    def log(self) -> Member:
        """The audit log as it was; Refused R_BACKUP_SET where the backup has none."""
        for one in self.members:
            if one.name == LOG:
                return one
        raise Refused("R_BACKUP_SET", place=LOG)


def set_of(name: str) -> Which | None:
    """Which set a file belongs to, by its path in the working folder; None for what is in no backup."""
    return next((which for which, pattern in _IN_SETS if pattern.fullmatch(name)), None)


def find_members(root: Path) -> tuple[Member, ...]:
    """Every file of a working folder that belongs in a backup, with its digest, sorted by name."""
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        which = set_of(name)
        if which is None or path.is_dir():
            continue
        size, sha256 = measure(path)
        # A journal stays as an empty file; one that holds something belongs to a database whose writer was killed.
        if size or not name.endswith(JOURNAL):
            found.append(Member(name=name, which=which, size=size, sha256=sha256))
    return tuple(found)


def measure(path: Path, most: int | None = None) -> tuple[int, str]:
    """Size and SHA-256 (hex) of a file, or of its first `most` bytes."""
    size, digest = 0, hashlib.sha256()
    with durable.opened(path) as file:
        while piece := file.read(CHUNK if most is None else min(CHUNK, most - size)):
            size += len(piece)
            digest.update(piece)
    return size, digest.hexdigest()


def pack(root: Path, manifest: Manifest, which: Which) -> Iterator[bytes]:
    """A set as a tar, piece by piece; Halt H_BACKUP_CHANGED where a file is not as the manifest says any more."""
    text = manifest.text()
    yield from (_header(MANIFEST, len(text)), text, _padding(len(text)))
    for member in manifest.of(which):
        yield _header(member.name, member.size)
        yield from _content(root / member.name, member)
        yield _padding(member.size)
    yield _END


def _header(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _content(path: Path, member: Member) -> Iterator[bytes]:
    left, digest = member.size, hashlib.sha256()
    with durable.opened(path) as file:
        # The log may have grown: what was appended since is not part of the backup.
        while left and (piece := file.read(min(CHUNK, left))):
            left -= len(piece)
            digest.update(piece)
            yield piece
    if left or digest.hexdigest() != member.sha256:
        raise Halt("H_BACKUP_CHANGED", place=member.name)


def examine(tar: Path, which: Which) -> Manifest:
    """The manifest of an opened set, after every byte was compared with it; Refused R_BACKUP_SET otherwise."""
    try:
        with durable.opened(tar) as file, tarfile.open(fileobj=file, mode="r|") as opened:
            manifest = _manifest(opened, opened.next())
            for member in manifest.of(which):
                if set_of(member.name) != which or _drain(_plain_file(opened, opened.next(), member)) != member.sha256:
                    raise Refused("R_BACKUP_SET", place=member.name)
        if tar.stat().st_size != _length(manifest, which):
            raise Refused("R_BACKUP_SET", place=tar.name)
    except (tarfile.TarError, EOFError, FileNotFoundError):
        raise Refused("R_BACKUP_SET", place=tar.name) from None
    return manifest


def _length(manifest: Manifest, which: Which) -> int:
    """How long a set's tar is, so that nothing can follow its last file."""
    files = [(MANIFEST, len(manifest.text())), *((one.name, one.size) for one in manifest.of(which))]
    whole = (len(_header(name, size)) + size + len(_padding(size)) for name, size in files)
    return sum(whole) + len(_END)


def unpack(tar: Path, manifest: Manifest, which: Which, put: Callable[[Member, Iterable[bytes]], None]) -> None:
    """Hand each file of a set that was examined to `put`, in its order; Refused R_BACKUP_SET where it changed since."""
    with durable.opened(tar) as file, tarfile.open(fileobj=file, mode="r|") as opened:
        opened.next()
        for member in manifest.of(which):
            put(member, _checked(_plain_file(opened, opened.next(), member), member))


def _manifest(opened: tarfile.TarFile, header: tarfile.TarInfo | None) -> Manifest:
    if header is None or header.name != MANIFEST or not header.isreg() or header.size > LARGEST_MANIFEST:
        raise Refused("R_BACKUP_SET")
    content = _file(opened, header).read()
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise Refused("R_BACKUP_SET", place=MANIFEST) from None
    if manifest.text() != content:
        raise Refused("R_BACKUP_SET", place=MANIFEST)
    return manifest


def _plain_file(opened: tarfile.TarFile, header: tarfile.TarInfo | None, member: Member) -> IO[bytes]:
    if header is None or (header.name, header.size) != (member.name, member.size) or not header.isreg():
        raise Refused("R_BACKUP_SET", place=member.name)
    return _file(opened, header)


def _file(opened: tarfile.TarFile, header: tarfile.TarInfo) -> IO[bytes]:
    file = opened.extractfile(header)
    if file is None:
        raise Refused("R_BACKUP_SET")
    return file


def _drain(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _checked(file: IO[bytes], member: Member) -> Iterator[bytes]:
    digest = hashlib.sha256()
    while piece := file.read(CHUNK):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != member.sha256:
        raise Refused("R_BACKUP_SET", place=member.name)
