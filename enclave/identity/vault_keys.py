"""The vault's two keys at work: a blind index to find an identity without reading it, and AEAD to keep it.

The index is HMAC-SHA256 over `domain|value`; it is only as secret as its key, so it never leaves the vault. Identities
are AES-256-GCM with a random nonce; the associated data names table, column, row and key version, so that a ciphertext
moved to another row or column does not open.
"""

import hmac
import secrets
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from enclave.crypto.secret import Secret
from enclave.errors import Halt, explain

explain(
    "H_VAULT_KEY",
    "A vault key is not the one that this vault was made with.",
    "Check `vault-index` and `vault-data` of this registry; restore the right ones. Nothing was read or written.",
)
explain(
    "H_VAULT_ALTERED",
    "An identity in the vault does not open: its row was altered, moved, or sealed with another key.",
    "Keep a copy of the vault, find out who wrote to it, and restore it from a backup.",
)

INDEX, DATA = "index", "data"
VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12


class VaultKeys:
    """The blind-index key and the data key of one vault, each 32 random bytes and not the same; else H_VAULT_KEY."""

    def __init__(self, index: Secret, data: Secret) -> None:
        if any(len(key.reveal()) != KEY_BYTES for key in (index, data)) or index == data:
            raise Halt("H_VAULT_KEY")
        self._index = hmac.new(index.reveal(), digestmod="sha256")
        self._probes = {INDEX: _probe(index, INDEX), DATA: _probe(data, DATA)}
        self._aead = AESGCM(data.reveal())

    def __repr__(self) -> str:
        return "VaultKeys(redacted)"

    def probes(self) -> dict[str, bytes]:
        """For each purpose what tells this key from another, and tells nothing else about it."""
        return dict(self._probes)

    def blind(self, domain: str, values: Iterable[str]) -> list[bytes]:
        """The blind index of each value, 32 bytes; `domain` keeps equal texts of different meaning apart."""
        keyed = self._index.copy()
        keyed.update(domain.encode() + b"|")
        return [_finished(keyed, value) for value in values]

    def seal(self, place: str, rows: Sequence[bytes], values: Sequence[str]) -> list[tuple[bytes, bytes]]:
        """(nonce, ciphertext) of each value, bound to `place` (`table|column`) and to its row's own bytes."""
        nonces = secrets.token_bytes(NONCE_BYTES * len(values))
        each = [nonces[start : start + NONCE_BYTES] for start in range(0, len(nonces), NONCE_BYTES)]
        encrypt, prefix, suffix = self._aead.encrypt, place.encode() + b"|", f"|{VERSION}".encode()
        return [
            (nonce, encrypt(nonce, value.encode(), prefix + row + suffix))
            for nonce, row, value in zip(each, rows, values, strict=True)
        ]

    def open(self, place: str, row: bytes, nonce: bytes, ciphertext: bytes, version: int) -> str:
        """The value sealed for this place and row; Halt H_VAULT_ALTERED when it is not."""
        try:
            return self._aead.decrypt(nonce, ciphertext, place.encode() + b"|" + row + f"|{version}".encode()).decode()
        except (InvalidTag, ValueError):
            raise Halt("H_VAULT_ALTERED", place=place) from None


def _probe(key: Secret, purpose: str) -> bytes:
    return hmac.digest(key.reveal(), f"enclave vault probe|{purpose}".encode(), "sha256")


def _finished(keyed: hmac.HMAC, value: str) -> bytes:
    this = keyed.copy()
    this.update(value.encode())
    return this.digest()
