"""Opening the control database, and the one way to change it: a transaction that names its audit intent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from enclave import durable
from enclave.audit.record import Position
from enclave.control import tables
from enclave.errors import Halt, explain

explain(
    "H_CONTROL_MISSING",
    "The working folder has no control database.",
    "Check --config; `enclave init DIR` makes a new working folder and never touches an old one.",
)
explain(
    "H_CONTROL_VERSION",
    "The control database was made by another version of this program.",
    "Run the version that made it, or upgrade it with `alembic upgrade head` as docs/operator.md says.",
)

SCHEMA_VERSION = "0008"
MIGRATIONS = Path(__file__).parent / "migrations"


def create_control(path: Path) -> None:
    """Make a new control database at the newest schema version."""
    from alembic import command
    from alembic.config import Config

    if path.exists():
        raise Halt("H_EXISTS", place=path.name)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = _engine(path)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    # The journal stays as a file for ever (journal_mode=TRUNCATE), so that a confined job need not create files here.
    durable.write(path.with_name(f"{path.name}-journal"), b"")


def is_whole(path: Path) -> bool:
    """Whether a control database is there and undamaged."""
    if not path.is_file():
        return False
    try:
        with _engine(path).connect() as connection:
            return connection.scalar(text("PRAGMA quick_check")) == "ok" and _version(connection) != ""
    except DatabaseError:
        return False


def _version(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")


class Control:
    """The control database of one server."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise Halt("H_CONTROL_MISSING", place=path.name)
        self._engine = _engine(path)
        with self._engine.connect() as connection:
            if _version(connection) != SCHEMA_VERSION:
                raise Halt("H_CONTROL_VERSION", place=path.name)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one consistent state."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def changing(self, intent: Position) -> Iterator[Connection]:
        """One transaction that carries its intent: all of it happened, and is found by `has_act`, or none of it."""
        with self._writing() as connection:
            connection.execute(insert(tables.act).values(log_id=intent.log_id, audit_seq=intent.audit_seq))
            yield connection

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """One transaction without an intent, for what is no act: runs and sightings."""
        with self._writing() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            if durable.is_full(error.orig):
                raise Halt("H_DISK_FULL", place="control.db") from None
            raise

    def newest_act(self, log_id: str) -> Position | None:
        """The last intent of a log that this database holds: the log must reach at least as far."""
        newest = select(func.max(tables.act.c.audit_seq)).where(tables.act.c.log_id == log_id)
        with self._engine.connect() as connection:
            seq = connection.scalar(newest)
        return None if seq is None else Position(log_id, seq)

    def has_act(self, intent: Position) -> bool:
        """Whether a commit of this intent is here."""
        found = select(tables.act).where(
            tables.act.c.log_id == intent.log_id, tables.act.c.audit_seq == intent.audit_seq
        )
        with self._engine.connect() as connection:
            return connection.execute(found).first() is not None


# A kill in the middle of a commit leaves a journal, which the first look at the file (journal_mode) plays back. Only in
# the exclusive mode SQLite then empties the journal instead of removing it, which a confined job may not.
_SETTINGS = (
    "busy_timeout=30000",
    "locking_mode=EXCLUSIVE",
    "journal_mode=TRUNCATE",
    "locking_mode=NORMAL",
    "synchronous=EXTRA",
    "temp_store=MEMORY",
)


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _make_durable(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for setting in _SETTINGS:
            cursor.execute(f"PRAGMA {setting}").fetchall()
        cursor.execute("SELECT count(*) FROM sqlite_master").fetchall()  # ends the exclusive lock
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
