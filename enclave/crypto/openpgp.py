"""OpenPGP messages, in armour or binary: one, encrypted and whole, before the library sees it; opened in memory only.

Sequoia's own reader takes text around the armour, a message that nobody encrypted, and one of any size, and ends with
a panic on some that are cut; what is refused before it is called does not depend on that. It is given packets only.
"""

import base64
import binascii
import os
import re
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import pysequoia

from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected, explain

explain(
    "E_OPENPGP_FORM",
    "This is not exactly one whole OpenPGP message, encrypted to a public key and protected against changes.",
    "Encrypt the file again with `gpg --encrypt`, and send it as it is.",
    nb=(
        "Dette er ikke nøyaktig én hel OpenPGP-melding, kryptert til en offentlig nøkkel og sikret mot endringer.",
        "Krypter filen på nytt med «gpg --encrypt», og send den uendret.",
    ),
)
explain(
    "E_OPENPGP",
    "The OpenPGP message cannot be opened: it was cut or altered after it was encrypted, or is packed with bzip2.",
    "Encrypt the file again, without choosing how it is packed, and send it anew.",
    nb=(
        "OpenPGP-meldingen kan ikke åpnes: den er avkortet eller endret etter krypteringen, eller pakket med bzip2.",
        "Krypter filen på nytt, uten å velge pakkemetode, og send den på nytt.",
    ),
)
explain(
    "E_OPENPGP_KEY",
    "The OpenPGP message is not encrypted to the registry's key.",
    "Encrypt the file again to the registry's key, and send it anew.",
    nb=(
        "OpenPGP-meldingen er ikke kryptert til registerets nøkkel.",
        "Krypter filen på nytt til registerets nøkkel, og send den på nytt.",
    ),
)
explain(
    "E_OPENPGP_SIZE",
    "The OpenPGP message holds more than is taken.",
    "Divide the content over several messages.",
    nb=("OpenPGP-meldingen inneholder mer enn det som tas imot.", "Del innholdet på flere meldinger."),
)
explain(
    "E_OPENPGP_UNSIGNED",
    "The OpenPGP message has no valid signature by a key that is known here.",
    "Sign with the registered key when encrypting, and send it anew.",
    nb=(
        "OpenPGP-meldingen har ingen gyldig signatur fra en kjent nøkkel.",
        "Signer med den registrerte nøkkelen når du krypterer, og send den på nytt.",
    ),
)
explain(
    "H_OPENPGP_KEY",
    "A key that should be an OpenPGP key is not one.",
    "Restore it from the key ceremony's copy; see keys/README.",
)

VALIDITY = timedelta(days=3 * 365)
_ARMOUR = re.compile(
    rb"\s*-----BEGIN PGP MESSAGE-----[ \t]*\r?\n(?:[A-Za-z]+: [^\r\n]*\r?\n)*[ \t]*\r?\n"
    rb"((?:[A-Za-z0-9+/]{1,76}={0,2}\r?\n)++)(?:=[A-Za-z0-9+/]{4}\r?\n)?-----END PGP MESSAGE-----\s*"
)
_SESSION_KEY = 1
_PROTECTED = frozenset({18, 20})
"""Packet tags of RFC 9580: encrypted with integrity protection; 9, without it, is not among them."""
_MOST_RECIPIENTS = 16
_PRIVATE = "BEGIN PGP PRIVATE KEY BLOCK"
_TOO_LARGE, _OTHER_KEY = "File too large", "No key to decrypt message"
_FIRST_PACKET, _A_PACKET, _NEW_FORMAT, _INDETERMINATE = b"\x80", 0x80, 0xC0, 8
_TWO_OCTETS, _PARTIAL, _FIVE_OCTETS = 192, 224, 255


def new_key(name: str) -> tuple[Secret, str]:
    """A fresh key of `name`, valid for three years: the private half and the public one, both in armour.

    Of the generation that every GnuPG in use reads (version 4, Curve25519).
    """
    made = pysequoia.Tsk.generate(
        user_id=name,
        profile=pysequoia.Profile.RFC4880,
        cipher_suite=pysequoia.CipherSuite.Cv25519,
        validity_seconds=int(VALIDITY.total_seconds()),
    )
    return Secret(str(made).encode()), str(made.extract_certificate())


def public_of(private: Secret) -> str:
    """The public half, in armour; Halt H_OPENPGP_KEY if it is no private key."""
    return str(_private(private).extract_certificate())


def key_id(public: str) -> str:
    """The long id of a key, as TSD names its folder: 16 upper-case hexadecimal digits."""
    return _certificate(public).fingerprint[-16:].upper()


def expires(public: str) -> datetime | None:
    """When a key expires; None if it never does."""
    return _certificate(public).expiration


def seal(content: bytes, public: str) -> bytes:
    """An armoured message to one key, unsigned; in RFC 9580's packets, which GnuPG does not read yet."""
    return bytes(pysequoia.encrypt(bytes=content, recipients=[_certificate(public)]))


def begins_message(content: bytes) -> bool:
    """Whether this begins with a packet, or with armour; the rest is not looked at."""
    return content[:1] >= _FIRST_PACKET or content[:64].lstrip().startswith(b"-----BEGIN PGP ")


def is_whole(content: bytes) -> bool:
    """Whether this is exactly one encrypted message, whole to its last packet; opens nothing."""
    try:
        _message(content)
    except Rejected:
        return False
    return True


def open(  # noqa: A001  # read as `openpgp.open`, never imported by itself
    content: bytes, private: Secret, *, limit: int, signed_by: Sequence[str] | None = None
) -> bytes:
    """The plaintext, at most `limit` bytes, after all of it was authenticated.

    With `signed_by` (public keys) the message must hold a valid signature by one of them: no signature, and one that
    only does not fail, are both Rejected E_OPENPGP_UNSIGNED; the library finds none in a message that was packed
    before it was encrypted (`gpg --compress-algo none`). Without `signed_by` signatures are not looked at. Rejected
    E_OPENPGP_FORM, E_OPENPGP_KEY, E_OPENPGP, E_OPENPGP_SIZE.
    """
    message = _message(content)
    key = _private(private)
    plain, _ = _decrypt(message, key, limit)
    if signed_by is not None and not _is_signed(message, key, limit, signed_by):
        raise Rejected("E_OPENPGP_UNSIGNED")
    return plain


def open_with_any(content: bytes, privates: Sequence[Secret], *, limit: int) -> bytes:
    """The plaintext by the first of several keys that the message is encrypted to; Rejected as by `open`."""
    for private in privates[:-1]:
        try:
            return open(content, private, limit=limit)
        except Rejected as why:
            if why.code != "E_OPENPGP_KEY":
                raise
    return open(content, privates[-1], limit=limit)


def _message(content: bytes) -> bytes:
    """The packets of exactly one message that is encrypted to public keys, with integrity protection."""
    message = content if content[:1] >= _FIRST_PACKET else _dearmoured(content)
    packets = _packets(message)
    tags = [tag for tag, _ in packets]
    if (
        all(whole for _, whole in packets)
        and 1 < len(tags) <= _MOST_RECIPIENTS + 1
        and set(tags[:-1]) == {_SESSION_KEY}
        and tags[-1] in _PROTECTED
    ):
        return message
    raise Rejected("E_OPENPGP_FORM")


def _is_signed(message: bytes, key: pysequoia.Tsk, limit: int, signed_by: Sequence[str]) -> bool:
    certificates = [_certificate(public) for public in signed_by]
    try:
        _, signatures = _decrypt(message, key, limit, certificates)
    except Rejected:
        return False
    # The library does not fail for a message that nobody signed in every case: the list is what counts.
    return bool(signatures)


def _decrypt(
    message: bytes, key: pysequoia.Tsk, limit: int, signers: list[pysequoia.Cert] | None = None
) -> tuple[bytes, list[object]]:
    """Through files in memory, since only what is written to a file can be limited while it grows."""
    store = None if signers is None else lambda _ids: signers
    with _memory_file(message) as sealed, _memory_file() as opened:
        try:
            with _growing_at_most(limit):
                done = pysequoia.decrypt_file(
                    input=f"/proc/self/fd/{sealed}",
                    output=f"/proc/self/fd/{opened}",
                    decryptor=key.decryptor(),
                    store=store,
                )
        except OSError as failed:
            raise Rejected("E_OPENPGP_SIZE" if _TOO_LARGE in str(failed) else "E_OPENPGP") from None
        except BaseException as failed:
            # The library's errors are RuntimeError, its panics no Exception at all; the text of neither is repeated.
            if isinstance(failed, RuntimeError) or type(failed).__name__ == "PanicException":
                raise Rejected("E_OPENPGP_KEY" if str(failed).startswith(_OTHER_KEY) else "E_OPENPGP") from None
            raise
        return os.pread(opened, limit, 0), list(done.valid_sigs)


@contextmanager
def _memory_file(content: bytes = b"") -> Iterator[int]:
    descriptor = os.memfd_create("openpgp", os.MFD_CLOEXEC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _growing_at_most(limit: int) -> Iterator[None]:
    """While this lasts, no file of this process grows beyond `limit` bytes; Python ignores the signal for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _dearmoured(content: bytes) -> bytes:
    """The packets inside the armour; nothing where it is not one armoured message and nothing else."""
    match = _ARMOUR.fullmatch(content)
    if match is None:
        return b""
    try:
        return base64.b64decode(match[1].translate(None, b"\r\n"), validate=True)
    except binascii.Error:
        return b""


def _packets(content: bytes) -> list[tuple[int, bool]]:
    """The tag of each packet and whether it is whole (RFC 9580 4.2); reading ends at one that is not."""
    found: list[tuple[int, bool]] = []
    place = 0
    while place < len(content) and len(found) <= _MOST_RECIPIENTS + 1:
        tag, place = _packet(content, place)
        found.append((tag, 0 <= place <= len(content)))
        if not found[-1][1]:
            break
    return found


def _packet(content: bytes, place: int) -> tuple[int, int]:
    """The tag of the packet that begins here and where it ends; -1 where its length cannot be told."""
    first = content[place]
    if first < _NEW_FORMAT:
        # The old format: bit 7 is set, the last two bits tell the width of the length.
        tag, width = (first >> 2) & 0x0F, 1 << (first & 3)
        if first < _A_PACKET or width == _INDETERMINATE:
            return tag, -1
        body = place + 1 + width
        return tag, body + int.from_bytes(content[place + 1 : body], "big")
    place, partial = place + 1, True
    while partial:
        length, place, partial = _length(content, place)
        if length < 0:
            return first & 0x3F, -1
        place += length
    return first & 0x3F, place


def _length(content: bytes, place: int) -> tuple[int, int, bool]:
    """A length of the new format, where the body begins, and whether another part follows it; -1 if it is cut off."""
    first = content[place] if place < len(content) else -1
    if first < _TWO_OCTETS:
        return first, place + 1, False
    if first < _PARTIAL:
        if place + 1 >= len(content):
            return -1, place, False
        return ((first - _TWO_OCTETS) << 8) + content[place + 1] + _TWO_OCTETS, place + 2, False
    if first < _FIVE_OCTETS:
        return 1 << (first & 0x1F), place + 1, True
    body = place + 5
    return (int.from_bytes(content[place + 1 : body], "big") if body <= len(content) else -1), body, False


def _private(private: Secret) -> pysequoia.Tsk:
    try:
        key = pysequoia.Tsk.from_bytes(private.reveal())
    except RuntimeError:
        raise Halt("H_OPENPGP_KEY") from None
    # The library takes a public half too, and shows what it took.
    if _PRIVATE not in str(key):
        raise Halt("H_OPENPGP_KEY")
    return key


def _certificate(public: str) -> pysequoia.Cert:
    try:
        return pysequoia.Cert.from_bytes(public.encode())
    except RuntimeError:
        raise Halt("H_OPENPGP_KEY") from None
