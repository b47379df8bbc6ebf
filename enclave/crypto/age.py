"""age envelopes to X25519 recipients: cut, reordered or altered ciphertext never opens; the sender is not named."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

import pyrage

from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected, explain

explain(
    "E_AGE",
    "The age envelope cannot be opened: it was cut or altered after it was sealed.",
    "Seal the files again, and send a new drop.",
    nb=(
        "age-konvolutten kan ikke åpnes: den er avkortet eller endret etter at den ble forseglet.",
        "Forsegl filene på nytt, og send en ny innsending.",
    ),
)
explain(
    "E_AGE_KEY",
    "The age envelope is not sealed to the key that it is opened with.",
    "Seal the files again to the public key that you were given, and send a new drop.",
    nb=(
        "age-konvolutten er ikke forseglet til nøkkelen den skal åpnes med.",
        "Forsegl filene på nytt med den offentlige nøkkelen dere har fått, og send en ny innsending.",
    ),
)
explain(
    "H_AGE_KEY",
    "A key that should be an age key is not one.",
    "Compare the key with the one that was made; nothing is sealed to a key that cannot be read.",
)

HEADER = b"age-encryption.org/v1\n"
LARGEST_HEADER = 4096
"""Bytes, room for some thirty recipients; the library reads a header in time that grows with its square."""
_OTHER_KEY = "No matching keys found"
"""What the library says where the header is right and no part of it is for this key."""


def new_identity() -> tuple[Secret, str]:
    """A fresh key pair: the identity (text `AGE-SECRET-KEY-1…`) and the recipient (`age1…`) that others seal to."""
    identity = pyrage.x25519.Identity.generate()
    return Secret(str(identity).encode()), str(identity.to_public())


def recipient_of(identity: Secret) -> str:
    """The public half (`age1…`) of an identity; Halt H_AGE_KEY if it is not one."""
    return str(_identity(identity).to_public())


def is_recipient(text: str) -> bool:
    """Whether a text is the public half (`age1…`) of a key."""
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True


def seal(content: bytes, recipients: Sequence[str]) -> bytes:
    """Ciphertext that each of `recipients` (`age1…`, at least one) can open; Halt H_AGE_KEY for a bad or no one."""
    return bytes(pyrage.encrypt(content, _recipients(recipients)))


def seal_stream(content: Iterable[bytes], write: Callable[[bytes], object], recipients: Sequence[str]) -> None:
    """As `seal`, piece by piece: neither plaintext nor ciphertext is whole in memory.

    Whatever `content` or `write` raises is raised; what was written until then opens to nobody.
    """
    reader, writer = _Reader(iter(content)), _Writer(write)
    with suppress(pyrage.EncryptError):
        # Of what goes wrong in these two the library keeps the text only, or nothing where it is in the last piece.
        pyrage.encrypt_io(reader, writer, _recipients(recipients))
        if reader.failed is None and writer.failed is None:
            return
    raise reader.failed or writer.failed or Halt("H_AGE_KEY")


class _Reader:
    """Pieces of any length, as a file that is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = (piece for piece in pieces if piece)  # an empty one would be taken for the end
        self._left = b""
        self.failed: BaseException | None = None

    def read(self, most: int) -> bytes:
        try:
            self._left = self._left or next(self._pieces, b"")
        except BaseException as error:  # a person's Ctrl-C too is told as what it is
            self.failed = error
            raise
        taken, self._left = self._left[:most], self._left[most:]
        return taken


class _Writer:
    """A function that takes pieces, as a file that is written."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.failed: BaseException | None = None

    def write(self, piece: bytes) -> int:
        try:
            self._write(piece)
        except BaseException as error:
            self.failed = error
            raise
        return len(piece)

    def flush(self) -> None:
        """What `write` was given is written."""


def open(content: bytes, *identities: Secret) -> bytes:  # noqa: A001  # read as `age.open`, never imported by itself
    """The plaintext, by any of the identities, after every chunk and the end have been authenticated.

    Rejected E_AGE_KEY or E_AGE otherwise.
    """
    keys = [_identity(identity) for identity in identities]
    if content.find(b"\n--- ", 0, LARGEST_HEADER) < 0:
        raise Rejected("E_AGE")
    try:
        return bytes(pyrage.decrypt(content, keys))
    except pyrage.DecryptError as failed:
        raise Rejected("E_AGE_KEY" if str(failed) == _OTHER_KEY else "E_AGE") from None


def is_sealed_to(content: bytes, identity: Secret) -> bool:
    """Whether an identity opens this."""
    try:
        open(content, identity)
    except Rejected:
        return False
    return True


def seal_with(content: bytes, passphrase: Secret) -> bytes:
    """Ciphertext that a passphrase opens, stretched by scrypt for about a second."""
    return bytes(pyrage.passphrase.encrypt(content, passphrase.reveal().decode("ascii")))


def open_with(content: bytes, passphrase: Secret) -> bytes:
    """What `seal_with` sealed; Rejected E_AGE for another passphrase, or where it was cut or altered."""
    try:
        return bytes(pyrage.passphrase.decrypt(content, passphrase.reveal().decode("ascii")))
    except pyrage.DecryptError:
        raise Rejected("E_AGE") from None


def _recipients(recipients: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    if not recipients:
        raise Halt("H_AGE_KEY")
    try:
        return [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    except pyrage.RecipientError:
        raise Halt("H_AGE_KEY") from None


def _identity(identity: Secret) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(identity.reveal().decode("ascii").strip())
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise Halt("H_AGE_KEY") from None
