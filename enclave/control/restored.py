"""The control database after its registry was put back to a backup: what of it is undone, and what must stand.

It is not itself put back where it is whole. What has left, and what was decided, destroyed or revoked, stays so; only
what had become of drops and requests in the registry and the vault is undone, so that the jobs do it again. Where it
was lost and is the backup's own, the log tells what it has forgotten. Nothing but a restore takes a state back.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, select, update

from enclave.control.database import Control
from enclave.control.drops import FORM_DEFINITION
from enclave.control.releases import RESTORED, cancel_subjects, cancel_unsealed
from enclave.control.requests import ROTATION
from enclave.control.tables import drop, release, request
from enclave.flow import DropState, ReleaseState, RequestState
from enclave.model.draft import Kind

SEND_AGAIN = "E_SEND_AGAIN"
"""Why a drop is rejected whose rows are undone and whose ciphertext is gone (`jobs/reasons.py` tells its sender)."""
APPLY = "apply_definition"
_NEEDS_ITS_FILE = ("withdraw", "merge", "split")
DONE_AGAIN = (APPLY, ROTATION, *_NEEDS_ITS_FILE)
"""The requests whose effect lies in the registry or the vault: what came back is under the old key again, too."""


@dataclass(frozen=True)
class SinceBackup:
    """What the log tells of the time since the backup: releases sealed, and requests closed, by their ids."""

    sealed: frozenset[str]
    closed: frozenset[str]


@dataclass(frozen=True)
class Undone:
    """How much is done again by itself, how many drops must be sent again, and the requests that are filed again."""

    drops_again: int
    drops_lost: int
    cancelled: int
    requests_again: frozenset[str]
    definitions_again: int
    """how many of these requests apply a definition"""


def undo(
    connection: Connection,
    backup: Control,
    since: SinceBackup,
    registries: Collection[str],
    from_rows: Collection[Kind],
    is_kept: Callable[[str, str], bool],
) -> Undone:
    """Let the control database fit the registry of a backup, whose own control database is `backup`.

    `is_kept(registry, drop_uuid)` says whether a drop in quarantine can still be opened; `from_rows` are the kinds of
    release that are made of rows, and so are made anew.
    """
    again, lost = _undo_drops(connection, _states(backup, drop), is_kept)
    requests_again = _undo_requests(connection, _states(backup, request), since.closed)
    _keep_what_left(connection, _states(backup, release), since.sealed)
    cancelled = sum(
        cancel_unsealed(connection, registry, from_rows, RESTORED)
        + cancel_subjects(connection, registry, again | lost, RESTORED)
        for registry in registries
    )
    applied = select(request.c.request_id).where(request.c.kind == APPLY, request.c.state == RequestState.FILED)
    definitions = requests_again.intersection(connection.scalars(applied))
    return Undone(len(again), len(lost), cancelled, requests_again, len(definitions))


def _states(control: Control, table: Table) -> dict[str, str]:
    (key,) = table.primary_key.columns
    with control.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(select(key, table.c.state))}


def _undo_drops(
    connection: Connection, before: dict[str, str], is_kept: Callable[[str, str], bool]
) -> tuple[set[str], set[str]]:
    """Collect again what was admitted since; what cannot be opened any more is rejected by the next `admit`."""
    again: set[str] = set()
    lost: set[str] = set()
    wanted = select(drop).where(drop.c.loan_id.is_(None), drop.c.door != FORM_DEFINITION, drop.c.reason == "")
    for row in connection.execute(wanted).all():
        if before.get(row.drop_uuid, DropState.COLLECTED) != DropState.COLLECTED:
            continue  # the backup's registry has its rows
        if row.state not in (DropState.COLLECTED, DropState.ADMITTED, DropState.EXPIRED):
            continue
        kept = is_kept(row.registry, row.drop_uuid)
        if kept and row.state == DropState.COLLECTED:
            continue
        collected = {"state": DropState.COLLECTED, "attempts": 0, "settled_at": None, "answered_in": None}
        reason = "" if kept else SEND_AGAIN
        connection.execute(update(drop).where(drop.c.drop_uuid == row.drop_uuid).values(reason=reason, **collected))
        (again if kept else lost).add(row.drop_uuid)
    return again, lost


def _undo_requests(connection: Connection, before: dict[str, str], closed: Collection[str]) -> frozenset[str]:
    """File again what was done since in a database that is put back, where that is possible; nothing else twice."""
    again = set()
    for row in connection.execute(select(request)).all():
        was = before.get(row.request_id)
        if row.kind in DONE_AGAIN and row.state == RequestState.DONE and was != RequestState.DONE:
            # Whom it is about stood in a file that was destroyed when it was done; the backup has it if it was older.
            possible = was is not None or row.kind not in _NEEDS_ITS_FILE
            changes = (RequestState.FILED, None, "") if possible else (RequestState.REFUSED, row.closed_at, RESTORED)
            if possible:
                again.add(row.request_id)
        elif row.kind not in DONE_AGAIN and row.state == RequestState.FILED and row.request_id in closed:
            changes = (RequestState.DONE, row.closed_at, RESTORED)
        else:
            if row.kind in DONE_AGAIN and row.state == RequestState.FILED:
                again.add(row.request_id)
            continue
        state, closed_at, reason = changes
        values = {"state": state, "closed_at": closed_at, "reason": reason}
        connection.execute(update(request).where(request.c.request_id == row.request_id).values(**values))
    return frozenset(again)


def _keep_what_left(connection: Connection, before: dict[str, str], sealed: Collection[str]) -> None:
    """What was sealed since is not sealed again, and none of its tables counts as one release with what is to come."""
    for row in connection.execute(select(release.c.release_id, release.c.state)).all():
        values = {"reason": RESTORED}
        if row.state in (ReleaseState.PROPOSED, ReleaseState.APPROVED) and row.release_id in sealed:
            values |= {"state": ReleaseState.DELIVERED, "delivered_at": datetime.now(UTC).isoformat()}
        elif row.state not in (ReleaseState.SEALED, ReleaseState.DELIVERED) or row.release_id in before:
            continue
        connection.execute(update(release).where(release.c.release_id == row.release_id).values(**values))
