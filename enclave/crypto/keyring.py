"""The keys that one job may use, read once from its folder (or from $CREDENTIALS_DIRECTORY) and from nowhere else.

A private half is `NAME.key` (mode 0600), a public half `NAME.pub` beside it; while a key is rotated `NAME.next.key` is
the one that will replace it. Symmetric keys and Ed25519 seeds are one line of hex; age identities, OpenSSH and OpenPGP
keys stand as their own tools write them.
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
from enclave.errors import Halt, explain

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
    """The named keys of one folder, all loaded and checked when it is made; any other name halts."""

    def __init__(self, folder: Path, names: frozenset[str]) -> None:
        self._folder = folder
        for name in names:
            _kind(name)
        self._keys = {name: _load(folder, name) for name in sorted(names)}
        drawn = [name for name in sorted(names) if os.path.lexists(folder / f"{name}{NEXT}.key")]
        self._next = {name: _load(folder, name, NEXT) for name in drawn}

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

    def public(self, name: str) -> str:
        """The public half, which any job may read: `age1…`, `ssh-ed25519 AAAA…`, an OpenPGP certificate, or hex."""
        return public(self._folder, name)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys)"


def public(folder: Path, name: str) -> str:
    """The public half of a key pair, of which the private half may be elsewhere; Halt H_KEY_MISSING or H_KEY_WRONG."""
    if _kind(name) is Kind.SYMMETRIC:
        raise Halt("H_KEY_OUTSIDE_ROW", place=name)
    return _read_public(folder, name)


def _read_public(folder: Path, name: str) -> str:
    try:
        text = durable.read(folder / f"{name}.pub", limit=LARGEST).decode("ascii").strip()
    except FileNotFoundError:
        raise Halt("H_KEY_MISSING", place=f"{name}.pub") from None
    except UnicodeDecodeError:
        raise Halt("H_KEY_WRONG", place=f"{name}.pub") from None
    if not text:
        raise Halt("H_KEY_WRONG", place=f"{name}.pub")
    return text


def create(folder: Path, name: str, *, following: bool = False) -> None:
    """Make a key in an existing folder, or with `following` the next of it; Halt H_EXISTS if it is there already.

    The public half is written first: a crash in between leaves a public half that nothing was sealed to, and making
    the key again replaces it.
    """
    kind, stem = _kind(name), f"{name}{NEXT}" if following else name
    if os.path.lexists(folder / f"{stem}.key"):
        raise Halt("H_EXISTS", place=f"{stem}.key")
    content, public_half = _make(kind, name)
    if public_half:
        durable.write(folder / f"{stem}.pub", f"{public_half}\n".encode(), mode=0o644)
    durable.write_new(folder / f"{stem}.key", content, mode=0o600)


def replace_by_next(folder: Path, name: str) -> bool:
    """Put a symmetric key's next in its place; answers whether there was one. A second call ends what a kill left."""
    if _kind(name) is not Kind.SYMMETRIC:
        raise Halt("H_KEY_OUTSIDE_ROW", place=name)
    following = folder / f"{name}{NEXT}.key"
    if not os.path.lexists(following):
        return False
    durable.write(folder / f"{name}.key", _read_private(folder, f"{name}{NEXT}"), mode=0o600)
    # A crash here leaves the same key under both names, which a keyring takes as one.
    return durable.shred(following)


def _kind(name: str) -> Kind:
    kind = KEY_KINDS.get(name)
    if kind is None:
        raise Halt("H_KEY_OUTSIDE_ROW")
    return kind


def _make(kind: Kind, name: str) -> tuple[bytes, str]:
    """File content of the private half, and the public half (empty for a symmetric key)."""
    if kind is Kind.AGE:
        identity, recipient = age.new_identity()
        return identity.reveal() + b"\n", recipient
    if kind is Kind.SSH:
        private, line = sshsig.new_key(name)
        return private.reveal(), line
    if kind is Kind.OPENPGP:
        private, public_half = openpgp.new_key(f"enclave {name}")
        return private.reveal(), public_half
    raw = Secret(secrets.token_bytes(RAW_LENGTH))
    return raw.reveal().hex().encode() + b"\n", _public_of(kind, raw)


def _load(folder: Path, name: str, suffix: str = "") -> Secret:
    kind, name = KEY_KINDS[name], f"{name}{suffix}"
    content = _read_private(folder, name)
    try:
        key = _parse(kind, content)
        public_half = _public_of(kind, key)
    except Halt:
        raise Halt("H_KEY_WRONG", place=f"{name}.key") from None
    # Credentials may come without their public half; where it is there, it must be this key's.
    if public_half and os.path.lexists(folder / f"{name}.pub"):
        stated = _read_public(folder, name).split()
        if stated[: len(public_half.split())] != public_half.split():
            raise Halt("H_KEY_WRONG", place=f"{name}.pub")
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


def _public_of(kind: Kind, key: Secret) -> str:
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
