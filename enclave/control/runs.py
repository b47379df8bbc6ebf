"""Runs and applied definitions: the run table, not the scheduler, remembers what ran."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from enclave.control.database import Control
from enclave.control.tables import definition, run


@dataclass(frozen=True)
class Run:
    """One run of one job; `outcome` is None while it runs, and for ever when it was killed."""

    run_id: str
    job: str
    registry: str
    started_at: str
    finished_at: str | None
    outcome: str | None
    reason: str


def begin_run(control: Control, begun: Run) -> None:
    """Enter a run that starts."""
    with control.noting() as connection:
        connection.execute(insert(run).values(**vars(begun)))


def end_run(control: Control, run_id: str, *, outcome: str, reason: str, at: datetime) -> None:
    """Enter how a run ended."""
    with control.noting() as connection:
        connection.execute(
            update(run).where(run.c.run_id == run_id).values(outcome=outcome, reason=reason, finished_at=at.isoformat())
        )


def runs_of(control: Control, registry: str | None = None, job: str | None = None) -> tuple[Run, ...]:
    """Runs, oldest first."""
    wanted = select(run).order_by(run.c.started_at, run.c.run_id)
    if registry is not None:
        wanted = wanted.where(run.c.registry == registry)
    if job is not None:
        wanted = wanted.where(run.c.job == job)
    with control.reading() as connection:
        return tuple(Run(**row._mapping) for row in connection.execute(wanted))


def last_run(control: Control, registry: str, job: str) -> Run | None:
    """The newest run of a job that came to an end."""
    ended = [one for one in runs_of(control, registry, job) if one.finished_at is not None]
    return ended[-1] if ended else None


def apply_definition(connection: Connection, registry: str, sha256: str, at: datetime) -> None:
    """Make a definition the one in force; earlier ones are kept."""
    connection.execute(update(definition).where(definition.c.registry == registry).values(current=False))
    which = (definition.c.registry == registry) & (definition.c.sha256 == sha256)
    if connection.execute(select(definition).where(which)).first() is None:
        connection.execute(
            insert(definition).values(registry=registry, sha256=sha256, applied_at=at.isoformat(), current=True)
        )
    else:
        connection.execute(update(definition).where(which).values(current=True))


def current_definition(control: Control, registry: str) -> str | None:
    """The SHA-256 of the definition in force."""
    with control.reading() as connection:
        return connection.scalar(
            select(definition.c.sha256).where(definition.c.registry == registry, definition.c.current)
        )
