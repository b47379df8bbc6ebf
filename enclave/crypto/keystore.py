"""The keystore: one wrapped key for each drop and loan. Destroying a key here is the deletion of all it sealed.

It is the one folder that is in no backup, since a copy of a key would undo its destruction.
"""

import re
from pathlib import Path

from enclave import durable
from enclave.crypto import age
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused, explain

explain(
    "R_KEY_DESTROYED",
    "The key of this drop or loan is not in the keystore: it was destroyed, and what it sealed is gone.",
    "Nothing can open it again; ask for the data anew if they are still needed.",
)
explain(
    "H_KEYSTORE_TAKEN",
    "The keystore already holds another key under this name.",
    "Nothing was overwritten; look in the audit log for the act that put the first one there.",
)
explain(
    "H_KEYSTORE_NAME",
    "A name in the keystore is outside its grammar, or what was to be kept there is not a wrapped key.",
    "This is a mistake in the program; nothing was written. Report it.",
)

SUFFIX = ".age"
BURIED = ".destroyed"
LARGEST = 16384
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def wrap_identity(identity: Secret, to: str) -> bytes:
    """An age identity sealed to another recipient (`age1…`)."""
    return age.seal(identity.reveal(), [to])


def unwrap_identity(wrapped: bytes, *identities: Secret) -> Secret:
    """The age identity that was wrapped to one of these; Rejected E_AGE_KEY or E_AGE otherwise."""
    unwrapped = Secret(age.open(wrapped, *identities))
    age.recipient_of(unwrapped)
    return unwrapped


class Keystore:
    """Wrapped keys in one existing folder, by the drop's UUID or the loan's id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, wrapped: bytes) -> None:
        """Keep a wrapped key durably; the same again is no act, another under a taken name is Halt H_KEYSTORE_TAKEN."""
        path = self._path(name)
        if not wrapped.startswith(age.HEADER) or len(wrapped) > LARGEST:
            raise Halt("H_KEYSTORE_NAME")
        if self.is_buried(name):
            raise Halt("H_KEYSTORE_TAKEN", place=path.name)
        if self.has(name):
            if durable.read(path, limit=LARGEST) != wrapped:
                raise Halt("H_KEYSTORE_TAKEN", place=path.name)
            return
        # Renamed into place, not linked: at no moment has a key two names, of which destruction could miss one.
        durable.write(path, wrapped)

    def rewrap(self, name: str, wrapped: bytes) -> None:
        """Keep the same key wrapped to another; Refused R_KEY_DESTROYED where there is none any more.

        The caller holds what destruction waits for: a key that is destroyed meanwhile would come back by this.
        """
        self.get(name)
        if not wrapped.startswith(age.HEADER) or len(wrapped) > LARGEST:
            raise Halt("H_KEYSTORE_NAME")
        # A crash leaves the key wrapped in the old way or the new one, perhaps a temporary file; `sweep` removes it.
        durable.supersede(self._path(name), wrapped)

    def get(self, name: str) -> bytes:
        """The wrapped key; Refused R_KEY_DESTROYED if it is not there, is buried, or its destruction was begun."""
        path = self._path(name)
        if self.is_buried(name):
            raise Refused("R_KEY_DESTROYED", place=path.name)
        try:
            wrapped = durable.read(path, limit=LARGEST)
        except FileNotFoundError:
            raise Refused("R_KEY_DESTROYED", place=path.name) from None
        if not wrapped.startswith(age.HEADER):
            # Overwritten, but killed before its name went.
            raise Refused("R_KEY_DESTROYED", place=path.name)
        return wrapped

    def has(self, name: str) -> bool:
        """Whether a file of this name is there, whole or overwritten."""
        return self._path(name).is_file()

    def destroy(self, name: str) -> bool:
        """Overwrite and remove a key durably; answer whether there was one. Killed anywhere, a second call ends it."""
        return durable.shred(self._path(name))

    def bury(self, name: str) -> bool:
        """Destroy a key for good: whoever puts a copy of it back finds its grave, and is given nothing.

        The grave is written first and is in no backup, like all of this folder. Killed anywhere, a second call ends it.
        """
        if not self.is_buried(name):
            durable.write(self._grave(name), b"")
        # A crash here leaves a key that nobody is given any more.
        return self.destroy(name)

    def is_buried(self, name: str) -> bool:
        """Whether a key of this name was destroyed for good."""
        return self._grave(name).exists()

    def names(self) -> tuple[str, ...]:
        """Every name in the keystore, sorted; what a killed writer left is not among them."""
        return tuple(sorted(path.name.removesuffix(SUFFIX) for path in self._folder.iterdir() if _is_ours(path.name)))

    def __repr__(self) -> str:
        return "Keystore()"

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Halt("H_KEYSTORE_NAME")
        return self._folder / f"{name}{SUFFIX}"

    def _grave(self, name: str) -> Path:
        return self._path(name).with_name(f"{name}{BURIED}")


def _is_ours(file_name: str) -> bool:
    return file_name.endswith(SUFFIX) and _NAME.fullmatch(file_name.removesuffix(SUFFIX)) is not None
