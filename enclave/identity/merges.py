"""Merges in the vault: who is read as whom. A person keeps its own pseudonym; a merge only stands before it."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, inspect, select, update

from enclave.audit.record import Position
from enclave.errors import Refused, explain
from enclave.identity.vault_tables import merge, metadata

explain(
    "R_MERGE_SAME",
    "Both numbers belong to one person already.",
    "There is nothing to merge; `enclave person split` undoes a merge.",
)
explain(
    "R_NOT_MERGED",
    "This number's person was not merged into another, or the merge is undone already.",
    "Give the number that was merged into the other, not the one that stayed.",
)


def standing(connection: Connection) -> dict[bytes, bytes]:
    """Who is read as whom now, each followed to its end; empty in a vault that never saw a merge."""
    if not inspect(connection).has_table(merge.name):
        return {}
    into = {
        row.from_person: row.into_person for row in connection.execute(select(merge).where(merge.c.split_by.is_(None)))
    }
    return {person: _end_of(into, person) for person in into}


def _end_of(into: Mapping[bytes, bytes], person: bytes) -> bytes:
    while person in into:
        person = into[person]
    return person


def group_of(ends: Mapping[bytes, bytes], person: bytes) -> list[bytes]:
    """Everyone who is read as one with this person: whoever they are read as first, then sorted."""
    end = ends.get(person, person)
    return [end, *sorted(other for other, theirs in ends.items() if theirs == end)]


def enter(
    connection: Connection, request_id: str, persons: tuple[bytes, bytes], position: Position
) -> tuple[bytes, bytes]:
    """Let the first person be read as the second; answers (from, into). The same request again changes nothing.

    Refused R_MERGE_SAME where both are read as one already.
    """
    metadata.create_all(connection, tables=[merge])
    entered = connection.execute(select(merge).where(merge.c.request_id == request_id)).first()
    if entered is not None:
        return entered.from_person, entered.into_person
    ends = standing(connection)
    from_person, into_person = (ends.get(person, person) for person in persons)
    if from_person == into_person:
        raise Refused("R_MERGE_SAME")
    row = {"request_id": request_id, "from_person": from_person, "into_person": into_person, **position._asdict()}
    connection.execute(insert(merge).values(row))
    return from_person, into_person


def undo(connection: Connection, request_id: str, person: bytes) -> tuple[bytes, bytes]:
    """Undo the merge by which this person is read as another; answers (from, into). The same again changes nothing."""
    if not inspect(connection).has_table(merge.name):
        raise Refused("R_NOT_MERGED")
    undone = connection.execute(select(merge).where(merge.c.split_by == request_id)).first()
    if undone is None:
        theirs = merge.c.from_person == person
        undone = connection.execute(select(merge).where(theirs, merge.c.split_by.is_(None))).first()
        if undone is None:
            raise Refused("R_NOT_MERGED")
        this = merge.c.request_id == undone.request_id
        connection.execute(update(merge).where(this).values(split_by=request_id))
    return undone.from_person, undone.into_person


def read_as(ends: Mapping[bytes, bytes], names: list[bytes | None]) -> list[bytes | None]:
    """Each name as the one it is read as."""
    if not ends:
        return names
    return [ends.get(name, name) if name is not None else None for name in names]
