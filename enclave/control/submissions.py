"""What was seen and taken at the Nettskjema airlock, which is read and never written: its ledger is here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_replace

from enclave.control.database import Control
from enclave.control.tables import submission, untaken


@dataclass(frozen=True)
class Seen:
    """One submission, by a keyed digest of its name.

    `facts` are sizes and times of its files as last seen. `taken_facts` are those of what was taken under this name,
    `content_digest` is over it, and `drop_uuid` the drop that it became; empty until it is taken. `broken_facts` are
    those with which it was read and found not to be whole.
    """

    name_digest: str
    facts: str
    first_seen: datetime
    taken_facts: str = ""
    content_digest: str = ""
    drop_uuid: str | None = None
    broken_facts: str = ""


@dataclass(frozen=True)
class Untaken:
    """How many files lie there that are not taken, since when, and by which code."""

    reason: str
    files: int
    first_seen: str


def submissions_of(control: Control, registry: str) -> dict[str, Seen]:
    """Every submission that was ever seen, by the keyed digest of its name."""
    with control.reading() as connection:
        rows = connection.execute(select(submission).where(submission.c.registry == registry))
        return {
            row.name_digest: Seen(
                row.name_digest,
                row.facts,
                datetime.fromisoformat(row.first_seen),
                row.taken_facts,
                row.content_digest,
                row.drop_uuid,
                row.broken_facts,
            )
            for row in rows
        }


def keep_seen(control: Control, registry: str, seen: Iterable[Seen]) -> None:
    """Remember what was seen, new or changed; this is no act, for nothing was taken."""
    rows = [_row(registry, one) for one in seen]
    if not rows:
        return
    with control.noting() as connection:
        adding = insert_or_replace(submission)
        changed = {name: adding.excluded[name] for name in rows[0] if name not in ("registry", "name_digest")}
        connection.execute(adding.on_conflict_do_update(set_=changed), rows)


def mark_taken(connection: Connection, registry: str, taken: Seen) -> None:
    """Enter which drop a submission became, in the transaction that enters the drop."""
    which = (submission.c.registry == registry) & (submission.c.name_digest == taken.name_digest)
    row = _row(registry, taken)
    if connection.execute(update(submission).where(which).values(**row)).rowcount == 0:
        connection.execute(insert(submission).values(**row))


def untaken_of(control: Control, registry: str) -> tuple[Untaken, ...]:
    """What lies at the Nettskjema airlock and is not taken, by code."""
    wanted = select(untaken).where(untaken.c.registry == registry).order_by(untaken.c.reason)
    with control.reading() as connection:
        return tuple(Untaken(row.reason, row.files, row.first_seen) for row in connection.execute(wanted))


def keep_untaken(control: Control, registry: str, counts: Mapping[str, int], at: datetime) -> None:
    """Remember exactly what is not taken now; what was so before keeps its first time."""
    before = {one.reason: one for one in untaken_of(control, registry)}
    if {reason: one.files for reason, one in before.items()} == dict(counts):
        return
    with control.noting() as connection:
        connection.execute(delete(untaken).where(untaken.c.registry == registry))
        for reason, files in sorted(counts.items()):
            since = before[reason].first_seen if reason in before else at.isoformat()
            connection.execute(insert(untaken).values(registry=registry, reason=reason, files=files, first_seen=since))


def _row(registry: str, seen: Seen) -> dict[str, object]:
    return {**vars(seen), "registry": registry, "first_seen": seen.first_seen.isoformat()}
