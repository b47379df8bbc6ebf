"""The envelopes of drops, one adapter each, with the keys that open it: AES-256 ZIP, age and OpenPGP.

Inside age and OpenPGP lies a ZIP without encryption, which the same strict reader opens. It is not looked at before
the whole envelope around it was authenticated: a changed byte at the end of a gigabyte is found before its first file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enclave.crypto import aes_zip, age, openpgp
from enclave.crypto.secret import Secret
from enclave.crypto.zip_directory import Limits
from enclave.errors import Rejected
from enclave.intake.envelope import Envelope
from enclave.model.drop import PlainFile

ZIP_SIGNATURE = b"PK\x03\x04"


@dataclass(frozen=True, repr=False)
class AesZipEnvelope(Envelope):
    """A ZIP whose every entry is AES-256, under one of the sender's own passphrases."""

    passphrases: Mapping[str, Secret | str]
    """by key id: the passphrase, or the code of why it does not hold"""
    format = "aes-zip"

    def recognises(self, payload: bytes) -> bool:
        """Whether it begins with the header of a ZIP entry."""
        return payload.startswith(ZIP_SIGNATURE)

    def open(self, payload: bytes, key_id: str, limits: Limits) -> tuple[PlainFile, ...]:
        """The files; Rejected E_KID, the code of why the passphrase does not hold, or the codes of `aes_zip`."""
        passphrase = self.passphrases.get(key_id)
        if passphrase is None:
            raise Rejected("E_KID")
        if isinstance(passphrase, str):
            raise Rejected(passphrase)
        return aes_zip.open_archive(payload, passphrase, limits)


@dataclass(frozen=True, repr=False)
class AgeEnvelope(Envelope):
    """age to the registry's own key, whose public half is its id; while it is replaced, to one of two."""

    identities: Sequence[Secret]
    format = "age"

    def recognises(self, payload: bytes) -> bool:
        """Whether it begins with the line that every binary age file begins with."""
        return payload.startswith(age.HEADER)

    def open(self, payload: bytes, key_id: str, limits: Limits) -> tuple[PlainFile, ...]:
        """The files; Rejected E_KID, E_AGE_KEY, E_AGE, E_INNER_ARCHIVE, or the codes of `zip_directory`."""
        named = [identity for identity in self.identities if age.recipient_of(identity) == key_id]
        if not named:
            raise Rejected("E_KID")
        return _inner_files(age.open(payload, *named), limits)


@dataclass(frozen=True, repr=False)
class OpenPgpEnvelope(Envelope):
    """OpenPGP to the registry's own key, with integrity protection; whose drop it is, the signed manifest says."""

    privates: Sequence[Secret]
    """the key and, while it is replaced, its next"""
    format = "openpgp"

    def recognises(self, payload: bytes) -> bool:
        """Whether it begins with a packet, or with OpenPGP's armour."""
        return openpgp.begins_message(payload)

    def open(self, payload: bytes, key_id: str, limits: Limits) -> tuple[PlainFile, ...]:
        """The files; Rejected E_KID, the codes of `openpgp`, E_INNER_ARCHIVE, or the codes of `zip_directory`."""
        named = [private for private in self.privates if openpgp.key_id(openpgp.public_of(private)) == key_id]
        if not named:
            raise Rejected("E_KID")
        return _inner_files(openpgp.open_with_any(payload, named, limit=limits.total), limits)


def _inner_files(archive: bytes, limits: Limits) -> tuple[PlainFile, ...]:
    try:
        return aes_zip.open_plain(archive, limits)
    except Rejected as why:
        # Both tell to seal an AES-256 ZIP anew, which this one is not to be.
        if why.code not in ("E_CONTAINER", "E_TRUNC"):
            raise
    raise Rejected("E_INNER_ARCHIVE")
