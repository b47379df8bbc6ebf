"""Who is read as whom: a person who was registered twice has two pseudonyms, and one of them stands for both.

Rows keep the pseudonym that they were stored with; it is replaced as they are read, as of the state that is read. So a
merge can be undone, and every earlier state reads as it did.
"""

import polars as pl
from sqlalchemy import Connection, insert, inspect, or_, select, update

from enclave.audit.record import Position
from enclave.model.pseudonymous import PSEUDONYM
from enclave.store import schema

STANDS_FOR = "_stands_for"


def aliases(connection: Connection, as_of: int | None) -> dict[bytes, bytes]:
    """Who was read as whom in a state (None: now), each followed to its end; empty before the first merge."""
    if not inspect(connection).has_table(schema.alias.name):
        return {}
    kept = schema.alias
    standing = select(kept.c[PSEUDONYM], kept.c.stands_for)
    if as_of is None:
        standing = standing.where(kept.c.state_to.is_(None))
    else:
        standing = standing.where(kept.c.state_from <= as_of, or_(kept.c.state_to.is_(None), kept.c.state_to > as_of))
    into = {bytes(merged): bytes(other) for merged, other in connection.execute(standing)}
    return {merged: _end(into, merged) for merged in into}


def _end(into: dict[bytes, bytes], pseudonym: bytes) -> bytes:
    while pseudonym in into:
        pseudonym = into[pseudonym]
    return pseudonym


def read_as(frame: pl.DataFrame, ends: dict[bytes, bytes]) -> pl.DataFrame:
    """The frame with each pseudonym as the one that it is read as."""
    if not ends or PSEUDONYM not in frame.columns:
        return frame
    pairs = {PSEUDONYM: pl.Series([*ends], dtype=pl.Binary), STANDS_FOR: pl.Series([*ends.values()], dtype=pl.Binary)}
    return (
        frame.join(pl.DataFrame(pairs), on=PSEUDONYM, how="left", maintain_order="left")
        .with_columns(pl.coalesce(STANDS_FOR, PSEUDONYM).alias(PSEUDONYM))
        .drop(STANDS_FOR)
    )


def everyone(ends: dict[bytes, bytes], pseudonym: bytes) -> list[bytes]:
    """Every pseudonym that is read as the same person as this one."""
    end = ends.get(pseudonym, pseudonym)
    return [end, *sorted(merged for merged, other in ends.items() if other == end)]


def begin_alias(connection: Connection, merged: bytes, into: bytes, state: int, position: Position) -> None:
    """Read the first as the second from this state on."""
    row = {PSEUDONYM: merged, "stands_for": into, "state_from": state, **position._asdict()}
    connection.execute(insert(schema.alias).values(row))


def end_alias(connection: Connection, merged: bytes, state: int) -> None:
    """Read the first as itself again from this state on."""
    standing = (schema.alias.c[PSEUDONYM] == merged, schema.alias.c.state_to.is_(None))
    connection.execute(update(schema.alias).where(*standing).values(state_to=state))
