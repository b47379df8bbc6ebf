"""How a row of the vault is sealed and opened: what its ciphertext is bound to, and under which versions it stands."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row

from enclave.identity.vault_keys import MatchedKeys

_IDENTITY_PLACE = "identity|ciphertext"
_REFERENCE_PLACE = "reference|ciphertext"


def identity_columns(
    keys: MatchedKeys, index: list[bytes], names: list[bytes], kinds: list[str], ids: list[str]
) -> dict[str, Any]:
    """The sealed columns of identities, under the newest keys."""
    bound = (bidx + name + kind.encode() for bidx, name, kind in zip(index, names, kinds, strict=True))
    return _sealed(keys, _IDENTITY_PLACE, index, bound, ids) | {"person_id": names, "kind": kinds}


def reference_columns(
    keys: MatchedKeys, index: list[bytes], episodes: list[bytes], senders: list[str], values: list[str]
) -> dict[str, Any]:
    """The sealed columns of senders' own numbers, under the newest keys."""
    bound = (bidx + name + sender.encode() for bidx, name, sender in zip(index, episodes, senders, strict=True))
    return _sealed(keys, _REFERENCE_PLACE, index, bound, values) | {"episode": episodes, "sender": senders}


def _sealed(
    keys: MatchedKeys, place: str, index: list[bytes], bound: Iterator[bytes], values: list[str]
) -> dict[str, Any]:
    nonces, ciphertexts = keys.seal(place, bound, values)
    versions = {"index_key_version": keys.newest_index, "data_key_version": keys.newest_data}
    return {"bidx": index, "nonce": nonces, "ciphertext": ciphertexts, **versions}


def open_identity(keys: MatchedKeys, row: Row[Any]) -> str:
    """The number in a row of `identity`."""
    bound = row.bidx + row.person_id + row.kind.encode()
    return keys.open(_IDENTITY_PLACE, bound, row.nonce, row.ciphertext, row.data_key_version)


def open_reference(keys: MatchedKeys, row: Row[Any]) -> str:
    """The sender's own number in a row of `reference`."""
    bound = row.bidx + row.episode + row.sender.encode()
    return keys.open(_REFERENCE_PLACE, bound, row.nonce, row.ciphertext, row.data_key_version)
