"""How a row of the vault is indexed, sealed and opened: the text that finds it, and what its ciphertext is bound to."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row

from enclave.identity.rules import IdKind
from enclave.identity.vault_keys import MatchedKeys

_PERSON_DOMAIN = "person|no"
_IDENTITY_PLACE = "identity|ciphertext"
_REFERENCE_PLACE = "reference|ciphertext"


def index_texts(ids: Sequence[str], kinds: Sequence[str], issuer: str) -> list[tuple[str, str]]:
    """The (domain, text) that each national number is indexed by."""
    # Two hospitals may give one H-number to two people; a national number means one person everywhere.
    own = f"{_PERSON_DOMAIN}|{IdKind.HNR}|{issuer}"
    return [(own if kind == IdKind.HNR else _PERSON_DOMAIN, number) for number, kind in zip(ids, kinds, strict=True)]


def reference_texts(references: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The (domain, text) that each (sender, reference) is indexed by."""
    # An institution's id holds no `|`, so no sender can name a course of another.
    return [(f"reference|{sender}", value) for sender, value in references]


def stored_kind(kind: str, issuer: str) -> str:
    """An H-number is kept with its issuer, without which it could not be indexed anew."""
    return f"{kind}|{issuer}" if kind == IdKind.HNR else kind


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
