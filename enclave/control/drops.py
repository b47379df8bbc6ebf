"""Drops in the control database: what was taken, from whom, and what became of it. Nothing about people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from enclave.control.database import Control
from enclave.control.states import move
from enclave.control.tables import drop, sighting
from enclave.flow import DropState

SIGNED, BY_HAND, NETTSKJEMA = "signed", "by_hand", "nettskjema"
"""The doors: a signed folder, a ZIP placed by hand, and the tree of submissions; only the first is signed."""
FORM_DEFINITION = "form_definition"
"""Beside the submissions of a form, what the form asks: nobody's rows, so nobody is answered."""


@dataclass(frozen=True)
class Drop:
    """One row of the drop table. `content_digest` is over what the sender left; `stored_sha256` over our ciphertext.

    Only a drop through the door `signed` is signed. A ZIP placed `by_hand` is weaker: the airlock's login and a
    passphrase say whose it is. So is one through `nettskjema`: its `sender` is whom it claims to be from once it was
    opened, before that the door itself.
    """

    drop_uuid: str
    registry: str
    sender: str
    state: DropState
    loan_id: str | None
    content_digest: str
    size: int
    stored_sha256: str
    reason: str
    attempts: int
    airlock_copy: bool
    stated_drop_id: str | None
    stated_seq: int | None
    stated_at: str | None
    collected_at: str
    settled_at: str | None
    door: str = SIGNED
    taken_before: str | None = None
    """the drop that was taken earlier under the same name, where nothing is removed from the airlock"""
    answered_in: str | None = None
    """the release that answers it, where several drops are answered by one"""
    form: str = ""
    """which form at Nettskjema it is of, by its number there"""

    @property
    def signed(self) -> bool:
        """Whether its sender signed it."""
        return self.door == SIGNED


def add_drop(connection: Connection, taken: Drop) -> None:
    """Enter a drop that is safely in quarantine (or `loans/`)."""
    connection.execute(insert(drop).values(**vars(taken)))


def find_drop(control: Control, drop_uuid: str) -> Drop | None:
    """The drop with this id."""
    with control.reading() as connection:
        row = connection.execute(select(drop).where(drop.c.drop_uuid == drop_uuid)).first()
    return None if row is None else _drop(row)


def drops_of(control: Control, registry: str, *states: DropState) -> tuple[Drop, ...]:
    """Drops in these states (all, when none is named): by sender, then as the sender numbered them, then by content."""
    wanted = select(drop).where(drop.c.registry == registry)
    if states:
        wanted = wanted.where(drop.c.state.in_(states))
    order = (drop.c.sender, drop.c.stated_seq.nulls_last(), drop.c.stated_at, drop.c.content_digest, drop.c.drop_uuid)
    with control.reading() as connection:
        return tuple(_drop(row) for row in connection.execute(wanted.order_by(*order)))


def drops_still_at_airlock(control: Control, registry: str) -> tuple[Drop, ...]:
    """Taken drops whose copy at the airlock has not been removed yet."""
    with control.reading() as connection:
        rows = connection.execute(select(drop).where(drop.c.registry == registry, drop.c.airlock_copy))
        return tuple(_drop(row) for row in rows)


def earlier_drops_of_sender(control: Control, taken: Drop) -> tuple[Drop, ...]:
    """What this sender sent before this drop and we settled: the replay ledger."""
    settled = (DropState.ADMITTED, DropState.REJECTED, DropState.EXPIRED)
    return tuple(
        other
        for other in drops_of(control, taken.registry, *settled)
        if other.sender == taken.sender and other.drop_uuid != taken.drop_uuid and other.settled_at is not None
    )


def count_attempt(connection: Connection, drop_uuid: str) -> None:
    """Count an attempt to open, before it is made."""
    connection.execute(update(drop).where(drop.c.drop_uuid == drop_uuid).values(attempts=drop.c.attempts + 1))


def forget_attempts(connection: Connection, drop_uuid: str) -> None:
    """Note that an opening ended well, though the drop has to be opened once more."""
    connection.execute(update(drop).where(drop.c.drop_uuid == drop_uuid).values(attempts=0))


def mark_cleared(connection: Connection, drop_uuid: str) -> None:
    """Note that the airlock's copy is gone."""
    connection.execute(update(drop).where(drop.c.drop_uuid == drop_uuid).values(airlock_copy=False))


def settle_drop(
    connection: Connection, drop_uuid: str, state: DropState, *, sender: str, reason: str, at: datetime
) -> None:
    """Enter what was decided about a drop; `sender` is as it was, unless only opening it told who that is."""
    decided = {"sender": sender, "reason": reason, "settled_at": at.isoformat()}
    move(connection, drop, drop.c.drop_uuid == drop_uuid, state, **decided)


def unanswered_submissions(control: Control, registry: str) -> tuple[Drop, ...]:
    """Settled drops through the door `nettskjema` that no digest has answered yet, as they were taken."""
    settled = drops_of(control, registry, DropState.ADMITTED, DropState.REJECTED, DropState.REPLAYED)
    return tuple(one for one in settled if one.door == NETTSKJEMA and one.answered_in is None)


def last_number(connection: Connection, registry: str, door: str) -> int:
    """The number that we gave to what was taken last through a door without numbers of its own; 0 before the first."""
    newest = select(func.max(drop.c.stated_seq)).where(drop.c.registry == registry, drop.c.door == door)
    return int(connection.scalar(newest) or 0)


def mark_answered(connection: Connection, drops: Sequence[Drop], release_id: str) -> None:
    """Note which digest answers these drops."""
    for one in drops:
        connection.execute(update(drop).where(drop.c.drop_uuid == one.drop_uuid).values(answered_in=release_id))


def refuse_lent(connection: Connection, drop_uuid: str, reason: str) -> None:
    """Note why a lender's file cannot be used; it stays lent, and is destroyed with its loan."""
    connection.execute(update(drop).where(drop.c.drop_uuid == drop_uuid).values(reason=reason))


def expire_drop(connection: Connection, drop_uuid: str) -> None:
    """Note that a drop's key and ciphertext are destroyed."""
    move(connection, drop, drop.c.drop_uuid == drop_uuid, DropState.EXPIRED)


def sightings_of(control: Control, registry: str, institution_id: str) -> dict[str, datetime]:
    """What lay incomplete at the last look, by the keyed digest of its name: since when."""
    wanted = select(sighting).where(_seen_at(registry, institution_id))
    with control.reading() as connection:
        return {row.name_digest: datetime.fromisoformat(row.first_seen) for row in connection.execute(wanted)}


def keep_sightings(control: Control, registry: str, institution_id: str, seen: Mapping[str, datetime]) -> None:
    """Remember exactly what lies incomplete now."""
    if sightings_of(control, registry, institution_id) == dict(seen):
        return
    with control.noting() as connection:
        connection.execute(delete(sighting).where(_seen_at(registry, institution_id)))
        for digest, since in sorted(seen.items()):
            connection.execute(
                insert(sighting).values(
                    registry=registry, institution_id=institution_id, name_digest=digest, first_seen=since.isoformat()
                )
            )


def _seen_at(registry: str, institution_id: str) -> ColumnElement[bool]:
    return (sighting.c.registry == registry) & (sighting.c.institution_id == institution_id)


def _drop(row: Row[tuple[object, ...]]) -> Drop:
    facts = dict(row._mapping)
    return Drop(**{**facts, "state": DropState(facts["state"])})
