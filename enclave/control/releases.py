"""The ledger: every decision that something may leave, and what became of it (law 6)."""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, case, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from enclave.control.database import Control
from enclave.control.states import move
from enclave.control.tables import release, release_table
from enclave.errors import Refused, explain
from enclave.flow import ReleaseState
from enclave.model.draft import Kind, NamedDraft

PUBLIC = ""
"""The recipient of what is for everyone."""

REMINDER = "reminder-"
"""What the subject of a notice begins with that lists courses; the month follows."""

DIGEST = "digest-"
"""What the subject of an answer to several submissions begins with; the day follows."""

RESTORED = "restored"
"""Why a release stands as it does: it left after the backup to which the registry was put back."""
NO_STATE = -1
"""The state of what left as of one that a restore undid: no state of this registry is like it."""

explain("R_RELEASE_UNKNOWN", "There is no such release.", "See `enclave release list`.")
explain(
    "R_NO_LONGER_APPROVED",
    "A release was withheld or cancelled while it was being sealed.",
    "None is needed: nothing of it left.",
)


@dataclass(frozen=True)
class Release:
    """One row of the ledger. `sealed` maps each file of the package to its SHA-256."""

    release_id: str
    registry: str
    kind: Kind
    recipient: str
    state: ReleaseState
    draft_sha256: str
    registry_state: int
    subject: str
    reason: str
    package: str
    sealed: dict[str, str] | None
    checkpoint_size: int | None
    proposed_at: str
    decided_at: str | None
    decided_by: str | None
    sealed_at: str | None
    delivered_at: str | None
    signature: str = ""
    """the project lead's, over a release to the public"""
    fetched_at: str | None = None
    """when we first saw that the institution had moved the package to `fetched/`"""

    def signed_text(self, tables: Sequence[tuple[str, str]]) -> bytes:
        """What the project lead signs: which draft, to whom, of which state and tables, in canonical form."""
        facts = {
            "release_id": self.release_id,
            "registry": self.registry,
            "kind": self.kind,
            "recipient": self.recipient,
            "draft_sha256": self.draft_sha256,
            "registry_state": self.registry_state,
            "package": self.package,
            "proposed_at": self.proposed_at,
            "tables": [list(table) for table in tables],
        }
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def propose(
    connection: Connection, registry: str, draft: NamedDraft, *, subject: str, needs_person: bool, at: datetime
) -> None:
    """Enter a draft in the ledger, once; kinds that need no person are approved by their policy at once."""
    if connection.execute(select(release).where(release.c.release_id == draft.draft_id)).first() is not None:
        return
    automatic = not needs_person
    connection.execute(
        insert(release).values(
            release_id=draft.draft_id,
            registry=registry,
            kind=draft.kind,
            recipient=draft.recipient,
            state=ReleaseState.APPROVED if automatic else ReleaseState.PROPOSED,
            draft_sha256=draft.sha256,
            registry_state=draft.state,
            subject=subject,
            package=secrets.token_hex(16),
            proposed_at=at.isoformat(),
            decided_at=at.isoformat() if automatic else None,
            decided_by="policy" if automatic else None,
        )
    )
    for table_id, period in sorted(set(draft.tables)):
        connection.execute(insert(release_table).values(release_id=draft.draft_id, table_id=table_id, period=period))


def releases_of(control: Control, registry: str, *states: ReleaseState) -> tuple[Release, ...]:
    """Releases in these states (all, when none is named), by recipient, then as proposed."""
    wanted = select(release).where(release.c.registry == registry)
    if states:
        wanted = wanted.where(release.c.state.in_(states))
    order = (release.c.recipient, release.c.proposed_at, release.c.kind, release.c.release_id)
    with control.reading() as connection:
        return tuple(_release(row) for row in connection.execute(wanted.order_by(*order)))


def drafts_over(control: Control, registry: str, *waiting: ReleaseState) -> frozenset[str]:
    """The SHA-256 of every draft whose release is in none of these states: nobody opens it again to go on."""
    return frozenset(one.draft_sha256 for one in releases_of(control, registry) if one.state not in waiting)


def newest_site(control: Control, registry: str) -> Release | None:
    """The national pages that were published last; None before the first."""
    return max(
        (
            one
            for one in releases_of(control, registry, ReleaseState.DELIVERED)
            if one.recipient == PUBLIC and one.kind is Kind.RELEASABLE_TABLE
        ),
        key=lambda one: (one.delivered_at or "", one.release_id),
        default=None,
    )


def find_release(control: Control, release_id: str) -> Release:
    """The release with this id; Refused where there is none."""
    with control.reading() as connection:
        row = connection.execute(select(release).where(release.c.release_id == release_id)).first()
    if row is None:
        raise Refused("R_RELEASE_UNKNOWN")
    return _release(row)


def released_tables(control: Control, registry: str) -> tuple[tuple[str, str, str, int], ...]:
    """(table, period, recipient, state) of every table that left or still may leave."""
    standing = (ReleaseState.PROPOSED, ReleaseState.APPROVED, ReleaseState.SEALED, ReleaseState.DELIVERED)
    wanted = (
        select(
            release_table.c.table_id,
            release_table.c.period,
            release.c.recipient,
            # The registry counts on from an older state, so that the same number means other rows now.
            case((release.c.reason == RESTORED, NO_STATE), else_=release.c.registry_state),
        )
        .join(release, release.c.release_id == release_table.c.release_id)
        .where(release.c.registry == registry, release.c.state.in_(standing))
    )
    with control.reading() as connection:
        return tuple(sorted((row[0], row[1], row[2], row[3]) for row in connection.execute(wanted)))


def tables_of(control: Control, release_id: str) -> tuple[tuple[str, str], ...]:
    """(table, period) of every table in one release."""
    wanted = select(release_table).where(release_table.c.release_id == release_id)
    with control.reading() as connection:
        return tuple(sorted((row.table_id, row.period) for row in connection.execute(wanted)))


def decide(
    connection: Connection, release_id: str, state: ReleaseState, *, by: str, at: datetime, signature: str = ""
) -> None:
    """Enter a person's decision, with the second person's signature where one is needed."""
    which = release.c.release_id == release_id
    move(connection, release, which, state, decided_by=by, decided_at=at.isoformat(), signature=signature)


def ask_again(connection: Connection, release_id: str) -> None:
    """Let a release wait for a person again, as if nobody had decided on it."""
    which = release.c.release_id == release_id
    move(connection, release, which, ReleaseState.PROPOSED, decided_by=None, decided_at=None, signature="")


def cancel_unsealed(connection: Connection, registry: str, kinds: Collection[Kind], reason: str) -> int:
    """Cancel every release of these kinds, and every reminder, that is not sealed yet; answers how many."""
    made_of_rows = release.c.kind.in_(kinds) | release.c.subject.startswith(REMINDER, autoescape=True)
    return _cancel(connection, registry, made_of_rows, reason)


def cancel_subjects(connection: Connection, registry: str, subjects: Collection[str], reason: str) -> int:
    """Cancel every release about one of these that is not sealed yet; answers how many."""
    return _cancel(connection, registry, release.c.subject.in_(subjects), reason)


def cancel_certificate(connection: Connection, registry: str, loan_id: str, reason: str) -> int:
    """Cancel a loan's certificate that is not sealed yet, and nothing else that goes by the same name."""
    its = (release.c.kind == Kind.CERTIFICATE) & (release.c.subject == loan_id)
    return _cancel(connection, registry, its, reason)


def _cancel(connection: Connection, registry: str, which: ColumnElement[bool], reason: str) -> int:
    standing = (ReleaseState.PROPOSED, ReleaseState.APPROVED)
    wanted = select(release.c.release_id).where(release.c.registry == registry, release.c.state.in_(standing), which)
    ids: Sequence[str] = connection.scalars(wanted).all()
    for release_id in ids:
        move(connection, release, release.c.release_id == release_id, ReleaseState.CANCELLED, reason=reason)
    return len(ids)


def is_approved(connection: Connection, release_id: str) -> bool:
    """Whether a release is approved now, as the transaction that would seal it sees it."""
    found: str | None = connection.scalar(select(release.c.state).where(release.c.release_id == release_id))
    return found == ReleaseState.APPROVED


def mark_sealed(
    connection: Connection, release_id: str, sealed: dict[str, str], *, checkpoint_size: int, at: datetime
) -> None:
    """Enter the final hashes of a sealed package."""
    move(
        connection,
        release,
        release.c.release_id == release_id,
        ReleaseState.SEALED,
        sealed=sealed,
        checkpoint_size=checkpoint_size,
        sealed_at=at.isoformat(),
    )


def mark_delivered(connection: Connection, release_id: str, at: datetime) -> None:
    """Note that every file of a package was read back from the airlock as it was sealed."""
    move(connection, release, release.c.release_id == release_id, ReleaseState.DELIVERED, delivered_at=at.isoformat())


def note_fetched(control: Control, release_id: str, at: datetime) -> None:
    """Note when we first saw that a package had been fetched; the first time stands."""
    which = (release.c.release_id == release_id) & release.c.fetched_at.is_(None)
    with control.noting() as connection:
        connection.execute(update(release).where(which).values(fetched_at=at.isoformat()))


def last_checkpoint_size(control: Control, registry: str, recipient: str, *, since: datetime) -> int | None:
    """The size of the newest checkpoint that this recipient was given since the log in use began, at `since`."""
    with control.reading() as connection:
        wanted = select(release.c.checkpoint_size).where(
            release.c.registry == registry, release.c.recipient == recipient, release.c.checkpoint_size.is_not(None)
        )
        return max(connection.scalars(wanted.where(release.c.sealed_at >= since.isoformat())), default=None)


def _release(row: Row[tuple[object, ...]]) -> Release:
    facts = dict(row._mapping)
    return Release(**{**facts, "state": ReleaseState(facts["state"]), "kind": Kind(facts["kind"])})
