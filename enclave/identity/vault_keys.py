"""The vault's keys at work: a blind index to find an identity without reading it, and AEAD to keep it.

The index is HMAC-SHA256 over `domain|value`; it is only as secret as its key, so it never leaves the vault. Identities
are AES-256-GCM with a random nonce; the associated data names table, column, row and key version, so that a ciphertext
moved to another row or column does not open.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence

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
FIRST_VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12


class VaultKeys:
    """The keys that a job holds for a vault: an index key and a data key, and the next of each while one is rotated.

    Each is 32 random bytes and no two are the same; else Halt H_VAULT_KEY. Which version of the vault each one is, the
    vault itself tells by its probes (`matched`).
    """

    def __init__(
        self, index: Secret, data: Secret, *, next_index: Secret | None = None, next_data: Secret | None = None
    ) -> None:
        self._held = {INDEX: [index], DATA: [data]}
        for purpose, key in ((INDEX, next_index), (DATA, next_data)):
            if key is not None:
                self._held[purpose].append(key)
        every = [key for keys in self._held.values() for key in keys]
        if any(len(key.reveal()) != KEY_BYTES for key in every) or _has_equals(every):
            raise Halt("H_VAULT_KEY")

    def __repr__(self) -> str:
        return "VaultKeys(redacted)"

    def probes(self, *, newest: bool = False) -> dict[str, bytes]:
        """For each purpose what tells the first (or newest) key from another, and tells nothing else about it."""
        place = -1 if newest else 0
        return {purpose: _probe(keys[place], purpose) for purpose, keys in self._held.items()}

    def matched(self, known: Mapping[tuple[str, int], bytes]) -> "MatchedKeys":
        """These keys by the versions that a vault knows, given its probes; Halt H_VAULT_KEY where it knows another."""
        by_probe = {_probe(key, purpose): key for purpose, keys in self._held.items() for key in keys}
        if {purpose for purpose, _ in known} != {INDEX, DATA} or not set(known.values()) <= set(by_probe):
            raise Halt("H_VAULT_KEY")
        found: dict[str, dict[int, Secret]] = {INDEX: {}, DATA: {}}
        for (purpose, version), probe in known.items():
            found[purpose][version] = by_probe[probe]
        return MatchedKeys(found[INDEX], found[DATA])


class MatchedKeys:
    """A vault's keys by version. What is new is written under the newest; every version that rows still have opens."""

    def __init__(self, index: Mapping[int, Secret], data: Mapping[int, Secret]) -> None:
        self._states = {version: _padded_states(key) for version, key in index.items()}
        self._aeads = {version: AESGCM(key.reveal()) for version, key in data.items()}
        self.index_versions = tuple(sorted(index, reverse=True))
        """the newest first"""
        self.newest_index = max(index)
        self.newest_data = max(data)

    def __repr__(self) -> str:
        return "MatchedKeys(redacted)"

    def blind(self, domain: str, values: Iterable[str], version: int) -> list[bytes]:
        """The blind index of each value, 32 bytes; `domain` keeps equal texts of different meaning apart."""
        inner_state, outer_state = self._states[version]
        keyed = inner_state.copy()
        keyed.update(domain.encode() + b"|")
        begin, finish = keyed.copy, outer_state.copy
        index = []
        for value in values:
            inner, outer = begin(), finish()
            inner.update(value.encode())
            outer.update(inner.digest())
            index.append(outer.digest())
        return index

    def seal(self, place: str, rows: Iterable[bytes], values: Sequence[str]) -> tuple[list[bytes], list[bytes]]:
        """Nonces and ciphertexts of values, each bound to `place` (`table|column`) and to its row's own bytes."""
        random = secrets.token_bytes(NONCE_BYTES * len(values))
        nonces = [random[start : start + NONCE_BYTES] for start in range(0, len(random), NONCE_BYTES)]
        encrypt = self._aeads[self.newest_data].encrypt
        prefix, suffix = place.encode() + b"|", f"|{self.newest_data}".encode()
        return nonces, [
            encrypt(nonce, value.encode(), prefix + row + suffix)
            for nonce, row, value in zip(nonces, rows, values, strict=True)
        ]

    def open(self, place: str, row: bytes, nonce: bytes, ciphertext: bytes, version: int) -> str:
        """The value sealed for this place and row; Halt H_VAULT_ALTERED when it is not."""
        bound = place.encode() + b"|" + row + f"|{version}".encode()
        try:
            return self._aeads[version].decrypt(nonce, ciphertext, bound).decode()
        except (InvalidTag, ValueError, KeyError):
            raise Halt("H_VAULT_ALTERED", place=place) from None


def _has_equals(keys: Sequence[Secret]) -> bool:
    return any(one == other for place, one in enumerate(keys) for other in keys[:place])


def _probe(key: Secret, purpose: str) -> bytes:
    return hmac.digest(key.reveal(), f"enclave vault probe|{purpose}".encode(), "sha256")


def _padded_states(key: Secret) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """SHA-256 after HMAC's inner and outer padded key: half of the work for texts as short as these, done once."""
    padded = key.reveal().ljust(hashlib.sha256().block_size, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)), hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
