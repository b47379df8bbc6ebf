"""The keys that one job may use, read once from its folder (or from $CREDENTIALS_DIRECTORY) and from nowhere else.

A private half is `NAME.key` (mode 0600), a public half `NAME.pub` beside it; while a key is rotated `NAME.next.key` and
`NAME.next.pub` are those that will replace them, and everything new is sealed to the latter. Symmetric keys and Ed25519
seeds are one line of hex; age identities, OpenSSH and OpenPGP keys stand as their own tools write them.
"""

import os
import re
import secrets
import stat
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enclave import durable
from enclave.crypto import age, openpgp, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused, explain

explain(
    "H_KEY_OUTSIDE_ROW",
    "A job asked for a key that its row of the job table does not name.",
    "This is a mistake in the program, or somebody else's program; nothing was read. Report it.",
)
explain("H_KEY_MISSING", "A key file is missing.", "Restore it from the key ceremony's copy; see keys/README.")
explain(
    "H_KEY_WRONG",
    "A key file is empty, has the wrong length or kind, or does not belong to its public half.",
    "Restore it from the key ceremony's copy; see keys/README.",
)
explain(
    "H_KEY_READABLE",
    "A key file or its folder can be read or changed by others than its owner.",
    "Find out who could have read it, set mode 0600 (folder 0700), and rotate the key if in doubt.",
)
explain(
    "R_NO_NEXT_KEY",
    "The key that should replace another one was not handed to the job.",
    "Draw it with `enclave key rotate NAME`. Under systemd, seal NAME.next.key as a credential of every job that has "
    "NAME.key, and file the rotation again.",
)
explain(
    "H_NEXT_KEY_MISSING",
    "A key is being replaced, and this job was not handed both private halves, the present one and the next.",
    "Under systemd, seal NAME.next.key as a further credential of every job that has NAME.key, until the old one is "
    "retired; the next run then goes on. Else restore the file: nothing else opens what is sealed to it.",
)


class Kind(StrEnum):
    """What a key file holds."""

    SYMMETRIC = "symmetric"
    ED25519 = "ed25519"
    AGE = "age"
    SSH = "ssh"
    OPENPGP = "openpgp"


KEY_KINDS: dict[str, Kind] = {
    "audit-sign": Kind.ED25519,
    "bundle-sign": Kind.SSH,
    "registry-db": Kind.SYMMETRIC,
    "vault-db": Kind.SYMMETRIC,
    "vault-index": Kind.SYMMETRIC,
    "vault-data": Kind.SYMMETRIC,
    "quarantine": Kind.AGE,
    "intake": Kind.AGE,
    "drafts": Kind.AGE,
    "viewing": Kind.AGE,
    "loans": Kind.AGE,
    "rights": Kind.AGE,
    "airlock-login": Kind.SSH,
    "nettskjema": Kind.OPENPGP,
}
NEXT = ".next"
"""What stands behind the name of the key that will replace another."""
RAW_LENGTH = 32
LARGEST = 4096
_HEX = re.compile(rb"[0-9a-f]{64}\n?")
_SHARED = stat.S_IRWXG | stat.S_IRWXO
_CHANGEABLE = stat.S_IWGRP | stat.S_IWOTH


class Keyring:
    """The named keys of one folder, all loaded and checked when it is made; any other name halts.

    `halves` is the folder of the public halves, where that is another.
    """

    def __init__(self, folder: Path, names: frozenset[str], halves: Path | None = None) -> None:
        self._halves = halves or folder
        for name in names:
            _kind(name)
        self._keys = {name: load(folder, name) for name in sorted(names)}
        drawn = [name for name in sorted(names) if os.path.lexists(folder / f"{name}{NEXT}.key")]
        self._next = {name: load(folder, name, NEXT) for name in drawn}
        for name in sorted(names):
            self._check_halves(name)

    def next(self, name: str) -> Secret | None:
        """The key that will replace this one, while it is being rotated; None where there is none, or it is the same.

        A crash between putting it in its predecessor's place and removing its own leaves the same key twice.
        """
        key, following = self.get(name), self._next.get(name)
        return None if following is None or following == key else following

    def get(self, name: str) -> Secret:
        """The private key: 32 raw bytes, or the text of an age, OpenSSH or OpenPGP key; Halt H_KEY_OUTSIDE_ROW."""
        if name not in self._keys:
            raise Halt("H_KEY_OUTSIDE_ROW")
        return self._keys[name]

    def require_next(self, name: str) -> Secret:
        """The key that replaces another; Refused R_NO_NEXT_KEY where there is none."""
        following = self.next(name)
        if following is None:
            raise Refused("R_NO_NEXT_KEY", place=name)
        return following

    def opening(self, name: str) -> tuple[Secret, ...]:
        """Every key that what was sealed to this name may open with: the present one, and its next."""
        following = self.next(name)
        return (self.get(name),) if following is None else (self.get(name), following)

    def public(self, name: str) -> str:
        """The public half, which any job may read: `age1…`, `ssh-ed25519 AAAA…`, an OpenPGP certificate, or hex."""
        return public(self._halves, name)

    def _check_halves(self, name: str) -> None:
        """Halt where a key is not its public half's, or the one that replaces it is not held too.

        Others may seal to it by now; and who signs or logs in without it would fail once it has replaced this one.
        """
        kind = KEY_KINDS[name]
        held = [public_of(kind, key).split() for key in (self._keys[name], self._next.get(name)) if key is not None]
        present, following = (self._stated(f"{name}{suffix}", len(held[0])) for suffix in ("", NEXT))
        # While the next key is put in its predecessor's place, old private half and new public one stand together.
        if present is not None and held[0] not in (present, following) and present not in held:
            raise Halt("H_KEY_WRONG", place=f"{name}.pub")
        if following is None:
            return
        if len(held) > 1 and held[1] not in (following, present):
            raise Halt("H_KEY_WRONG", place=f"{name}{NEXT}.pub")
        if not all(half in held for half in (present, following) if half is not None):
            raise Halt("H_NEXT_KEY_MISSING", place=name)

    def _stated(self, stem: str, words: int) -> list[str] | None:
        """The words of a public half, without an SSH comment; None where there is none, as beside credentials."""
        there = os.path.lexists(self._halves / f"{stem}.pub")
        return read_public(self._halves, stem).split()[:words] if words and there else None

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"


def public(folder: Path, name: str) -> str:
    """The public half of a key pair, of which the private half may be elsewhere; Halt H_KEY_MISSING or H_KEY_WRONG."""
    if _kind(name) is Kind.SYMMETRIC:
        raise Halt("H_KEY_OUTSIDE_ROW", place=name)
    return read_public(folder, name)


def next_public(folder: Path, name: str) -> str | None:
    """The public half that will replace another, once its private half is durable; None where there is none."""
    try:
        return read_public(folder, f"{name}{NEXT}") if os.path.lexists(folder / f"{name}{NEXT}.pub") else None
    except Halt:
        if os.path.lexists(folder / f"{name}{NEXT}.pub"):
            raise
        return None  # it took its predecessor's place in between


def recipient(folder: Path, name: str) -> str:
    """The public half that new things are sealed to: from the draw of the next key on, the next."""
    return halves(folder, name)[-1]


def halves(folder: Path, name: str) -> tuple[str, ...]:
    """The public half and, while it is being replaced, the next."""
    present, following = public(folder, name), next_public(folder, name)
    return (present,) if following is None or following == present else (present, following)


def read_public(folder: Path, stem: str) -> str:
    """The text of a file with a public half; Halt H_KEY_MISSING or H_KEY_WRONG."""
    try:
        text = durable.read(folder / f"{stem}.pub", limit=LARGEST).decode("ascii").strip()
    except FileNotFoundError:
        raise Halt("H_KEY_MISSING", place=f"{stem}.pub") from None
    except UnicodeDecodeError:
        raise Halt("H_KEY_WRONG", place=f"{stem}.pub") from None
    if not text:
        raise Halt("H_KEY_WRONG", place=f"{stem}.pub")
    return text


def create(folder: Path, name: str) -> None:
    """Make a key in an existing folder; Halt H_EXISTS if it is there already.

    The public half is written first: a crash in between leaves a public half that nothing was sealed to, and making
    the key again replaces it.
    """
    if os.path.lexists(folder / f"{name}.key"):
        raise Halt("H_EXISTS", place=f"{name}.key")
    content = new_private(name)
    half = public_text(name, _parse(_kind(name), content))
    if half:
        durable.write(folder / f"{name}.pub", half, mode=0o644)
    durable.write_new(folder / f"{name}.key", content, mode=0o600)


def public_text(name: str, key: Secret) -> bytes:
    """The content of a file with a key's public half; empty for a symmetric key."""
    half = public_of(_kind(name), key)
    comment = f" {name}" if _kind(name) is Kind.SSH else ""
    return f"{half}{comment}\n".encode() if half else b""


def new_private(name: str) -> bytes:
    """The content of a fresh private key file of the kind that this name has."""
    kind = _kind(name)
    if kind is Kind.AGE:
        return age.new_identity()[0].reveal() + b"\n"
    if kind is Kind.SSH:
        return sshsig.new_key(name)[0].reveal()
    if kind is Kind.OPENPGP:
        return openpgp.new_key(f"enclave {name}")[0].reveal()
    return secrets.token_bytes(RAW_LENGTH).hex().encode() + b"\n"


def _kind(name: str) -> Kind:
    kind = KEY_KINDS.get(name)
    if kind is None:
        raise Halt("H_KEY_OUTSIDE_ROW")
    return kind


def load(folder: Path, name: str, suffix: str = "") -> Secret:
    """One private key, checked to be of its kind; with NEXT the one that will replace it."""
    kind, name = _kind(name), f"{name}{suffix}"
    content = _read_private(folder, name)
    try:
        key = _parse(kind, content)
        public_of(kind, key)
    except Halt:
        raise Halt("H_KEY_WRONG", place=f"{name}.key") from None
    return key


def _read_private(folder: Path, name: str) -> bytes:
    """The bytes of a private key file, after the same open file was found to be its owner's alone."""
    if not folder.is_dir():
        raise Halt("H_KEY_MISSING", place=f"{name}.key")
    if folder.stat().st_mode & _CHANGEABLE:
        raise Halt("H_KEY_READABLE", place="folder of keys")
    try:
        descriptor = os.open(folder / f"{name}.key", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Halt("H_KEY_MISSING", place=f"{name}.key") from None
    except OSError:
        # A symbolic link, or a file that this job's user may not read.
        raise Halt("H_KEY_WRONG", place=f"{name}.key") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or not 0 < facts.st_size <= LARGEST:
            raise Halt("H_KEY_WRONG", place=f"{name}.key")
        if facts.st_mode & _shared(facts) or facts.st_uid not in (0, os.geteuid()):
            raise Halt("H_KEY_READABLE", place=f"{name}.key")
        return os.read(descriptor, LARGEST)
    finally:
        os.close(descriptor)


def _shared(facts: os.stat_result) -> int:
    """The permission bits that a private key file may not have.

    systemd lets a unit's user read root's credential by an access list, whose mask shows as the bits of group root.
    """
    is_credential = facts.st_uid == facts.st_gid == 0 != os.geteuid()
    return _SHARED & ~stat.S_IRGRP if is_credential else _SHARED


def _parse(kind: Kind, content: bytes) -> Secret:
    if kind is Kind.AGE:
        return Secret(content.strip())
    if kind in (Kind.SSH, Kind.OPENPGP):
        return Secret(content)
    if not _HEX.fullmatch(content):
        raise Halt("H_KEY_WRONG")
    raw = bytes.fromhex(content.decode("ascii"))
    if len(set(raw)) == 1:
        # All zeros or the like: a placeholder, never a key that was drawn.
        raise Halt("H_KEY_WRONG")
    return Secret(raw)


def public_of(kind: Kind, key: Secret) -> str:
    """The public half, which also proves that the private one is of its kind; empty for a symmetric key."""
    if kind is Kind.AGE:
        return age.recipient_of(key)
    if kind is Kind.SSH:
        return sshsig.public_of(key)
    if kind is Kind.OPENPGP:
        return openpgp.public_of(key)
    if kind is Kind.ED25519:
        return Ed25519PrivateKey.from_private_bytes(key.reveal()).public_key().public_bytes_raw().hex()
    return ""
