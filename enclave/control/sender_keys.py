"""The periods of institutions' keys: public signing keys, and the ids of the passphrases that they seal with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from enclave.control.database import Control
from enclave.control.tables import sender_key
from enclave.crypto.allowed_signers import AllowedSigner
from enclave.errors import Refused, explain

explain(
    "R_KEY_KNOWN",
    "The institution has or had this key already; a key that was taken out of use does not come back.",
    "Let the institution make a new key, and give its .pub file.",
)
explain(
    "R_KEY_UNKNOWN",
    "The institution has no such key that could still be used.",
    "See `enclave institution keys ID`.",
)

KeyOf = Literal["signing", "passphrase"]


@dataclass(frozen=True)
class SenderKey:
    """One key of an institution: a public line (`signing`) or the id of a passphrase, and when it holds.

    Without `valid_from` it always held, without `valid_to` it holds until further notice; both ends are included. Once
    revoked it holds at no time, also for what was collected before and is not admitted yet.
    """

    registry: str
    institution_id: str
    kind: KeyOf
    key: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    revoked_at: datetime | None = None

    def holds_at(self, at: datetime) -> bool:
        """Whether it may be used at a time."""
        begun = self.valid_from is None or self.valid_from <= at
        return self.revoked_at is None and begun and (self.valid_to is None or at <= self.valid_to)


def add_key(connection: Connection, added: SenderKey) -> None:
    """Enter a key, once; Refused R_KEY_KNOWN."""
    if connection.execute(select(sender_key).where(_is(added))).first() is not None:
        raise Refused("R_KEY_KNOWN")
    connection.execute(insert(sender_key).values(**{name: _text(value) for name, value in vars(added).items()}))


def replace_keys(connection: Connection, new: SenderKey, *, last: datetime) -> None:
    """Enter a key, and let the others of its kind hold until `last` at most; none that ends earlier lives longer."""
    add_key(connection, new)
    others = _all_of(new) & (sender_key.c.key != new.key)
    longer = or_(sender_key.c.valid_to.is_(None), sender_key.c.valid_to > last.isoformat())
    connection.execute(update(sender_key).where(others, longer).values(valid_to=last.isoformat()))


def revoke_key(connection: Connection, revoked: SenderKey, at: datetime) -> None:
    """Take a key out of use at once; Refused R_KEY_UNKNOWN where there is none that is not revoked."""
    which = _is(revoked) & sender_key.c.revoked_at.is_(None)
    if connection.execute(update(sender_key).where(which).values(revoked_at=at.isoformat())).rowcount != 1:
        raise Refused("R_KEY_UNKNOWN")


def revoke_others(connection: Connection, kept: SenderKey, at: datetime) -> None:
    """Take every other key of this kind out of use at once."""
    others = _all_of(kept) & (sender_key.c.key != kept.key) & sender_key.c.revoked_at.is_(None)
    connection.execute(update(sender_key).where(others).values(revoked_at=at.isoformat()))


def keys_of(control: Control, registry: str) -> tuple[SenderKey, ...]:
    """Every key of a registry's institutions, by institution and kind, the oldest first."""
    order = (sender_key.c.institution_id, sender_key.c.kind, sender_key.c.valid_from, sender_key.c.key)
    wanted = select(sender_key).where(sender_key.c.registry == registry).order_by(*order)
    with control.reading() as connection:
        return tuple(
            SenderKey(
                row.registry,
                row.institution_id,
                row.kind,
                row.key,
                _time(row.valid_from),
                _time(row.valid_to),
                _time(row.revoked_at),
            )
            for row in connection.execute(wanted)
        )


def _is(one: SenderKey) -> ColumnElement[bool]:
    return _all_of(one) & (sender_key.c.key == one.key)


def _all_of(one: SenderKey) -> ColumnElement[bool]:
    whose = (sender_key.c.registry == one.registry) & (sender_key.c.institution_id == one.institution_id)
    return whose & (sender_key.c.kind == one.kind)


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


_SIGNS: Mapping[str, str] = MappingProxyType({"sender": "drop", "lender": "loan"})
"""What a role signs: the first half of the signature's namespace."""


def signers_of(keys: Iterable[SenderKey], roles: Mapping[str, str], registry: str) -> tuple[AllowedSigner, ...]:
    """The signing keys among these as signatures are verified with them; `roles` are those of the institutions."""
    return tuple(
        AllowedSigner(
            key.institution_id,
            key.key,
            (f"{_SIGNS[roles[key.institution_id]]}@{registry}",),
            key.valid_from,
            key.valid_to,
            key.revoked_at is not None,
        )
        for key in keys
        if key.kind == "signing" and roles[key.institution_id] in _SIGNS
    )


def why_not(passphrase: SenderKey) -> str:
    """The code of why a passphrase that does not hold was not taken."""
    return "E_KID_REVOKED" if passphrase.revoked_at is not None else "E_KID_EXPIRED"
