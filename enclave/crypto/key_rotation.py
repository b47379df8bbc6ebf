"""The files of a rotation: the next key of a name beside the present one, and then in its place.

Whoever calls holds the locks of everybody who reads these files; every state that a kill leaves is one in which a
keyring loads, what was sealed opens, and what is sealed now has a private half on disk.
"""

import os
from pathlib import Path

from enclave import durable
from enclave.crypto import keyring
from enclave.crypto.keyring import NEXT
from enclave.errors import Halt

EARLIER = ".earlier"
"""What stands behind the name of the public halves that were retired and are still good for what is old."""
KEPT_FOR_THE_OLD = frozenset({"bundle-sign", "audit-sign"})
"""Signing keys whose old signatures are still checked: a bundle or a checkpoint of last year is as good as today's."""


def shred_unfinished(folder: Path) -> None:
    """Destroy what a killed writer left: it may be a private key."""
    for path in folder.iterdir():
        if path.name.startswith(durable.TEMPORARY):
            durable.shred(path)


def draw_next(folder: Path, name: str) -> None:
    """Make the private key that will replace another, unless it is there; Halt H_KEY_MISSING where only half of it is.

    Nobody knows of it before `publish_next`.
    """
    private, public_half = folder / f"{name}{NEXT}.key", folder / f"{name}{NEXT}.pub"
    if not os.path.lexists(private):
        if os.path.lexists(public_half):
            # Something may be sealed to it already; another pair in its place would lose that.
            raise Halt("H_KEY_MISSING", place=private.name)
        durable.write(private, keyring.new_private(name), mode=0o600)


def publish_next(folder: Path, name: str) -> None:
    """Let everything new be sealed to the next key, whose private half is durable; again is no act."""
    public_half = folder / f"{name}{NEXT}.pub"
    half = keyring.public_text(name, keyring.load(folder, name, NEXT))
    if half and not os.path.lexists(public_half):
        durable.write(public_half, half, mode=0o644)


def put_next_in_place(folder: Path, name: str) -> None:
    """Let the next key stand under the plain name too; `clear_replaced` then ends the rotation. Again is no act."""
    half = keyring.public_text(name, keyring.load(folder, name, NEXT))
    if half:
        following = half.decode("ascii").strip()
        if following != keyring.read_public(folder, f"{name}{NEXT}"):
            raise Halt("H_KEY_WRONG", place=f"{name}{NEXT}.pub")
        _keep_earlier(folder, name, following)
        durable.write(folder / f"{name}.pub", half, mode=0o644)
    # A crash here leaves the old private half beside the new public one; a keyring that has the next one takes both.
    present, content = folder / f"{name}.key", durable.read(folder / f"{name}{NEXT}.key")
    if os.path.lexists(present):
        durable.supersede(present, content)
    else:
        durable.write(present, content)  # the old one is a credential, and nowhere in this folder


def is_replaced(folder: Path, name: str) -> bool:
    """Whether a next key stands in its predecessor's place, and something of it is left under its own name too."""
    if os.path.lexists(folder / f"{name}{NEXT}.key"):
        there = os.path.lexists(folder / f"{name}.key")
        return there and keyring.load(folder, name) == keyring.load(folder, name, NEXT)
    following = keyring.next_public(folder, name)
    return following is not None and following == keyring.public(folder, name)


def clear_replaced(folder: Path, name: str) -> None:
    """Remove what `is_replaced` finds. Killed anywhere, a second call ends it."""
    if is_replaced(folder, name):
        durable.discard(folder / f"{name}{NEXT}.key")
        # A crash here leaves the public half twice, of which either is right.
        durable.remove(folder / f"{name}{NEXT}.pub")


def state_halves(folder: Path) -> None:
    """Write the public halves that are missing beside private ones, as where copies of these were put into a folder."""
    for name in keyring.KEY_KINDS:
        for suffix in ("", NEXT):
            stem = f"{name}{suffix}"
            if os.path.lexists(folder / f"{stem}.key") and not os.path.lexists(folder / f"{stem}.pub"):
                half = keyring.public_text(name, keyring.load(folder, name, suffix))
                if half:
                    durable.write(folder / f"{stem}.pub", half, mode=0o644)


def earlier_halves(folder: Path, name: str) -> tuple[str, ...]:
    """The public halves that were retired and that old signatures still verify with, oldest first."""
    path = folder / f"{name}{EARLIER}.pub"
    return tuple(durable.read(path).decode("ascii").splitlines()) if os.path.lexists(path) else ()


def _keep_earlier(folder: Path, name: str, following: str) -> None:
    if name not in KEPT_FOR_THE_OLD:
        return
    retired, known = keyring.public(folder, name), earlier_halves(folder, name)
    if retired == following or retired in known:
        return  # the second time, after a kill
    lines = "".join(f"{one}\n" for one in (*known, retired))
    durable.write(folder / f"{name}{EARLIER}.pub", lines.encode("ascii"), mode=0o644)
