"""Engines of the two databases: SQLCipher in a file of its own, PostgreSQL by socket or verified TLS.

Both hide parameters from error texts, and `transaction` drops a driver's own error text, because a driver quotes
the values that it could not store. Nothing is pooled: a connection lives as long as its transaction, so that no open
one is carried into a forked process.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlcipher3 import dbapi2 as sqlcipher

from enclave import durable
from enclave.crypto.secret import Secret
from enclave.errors import Halt, explain

explain(
    "H_DB_KEY",
    "A database does not open with its key, or is damaged.",
    "Check that the key file belongs to this database; else restore the database from a backup.",
)
explain(
    "H_DB_KEY_LENGTH",
    "A database key is not 32 bytes long.",
    "Restore the key file from its offline copy; never make a new key for an old database.",
)
explain(
    "H_DB_CIPHER",
    "The installed SQLite does not encrypt.",
    "Install exactly the locked `sqlcipher3` package; another package provides the same module.",
)
explain(
    "H_DB_CLEAR",
    "What was written through a database that should be encrypted can be read in its raw file.",
    "Take the machine off the network; install exactly the locked `sqlcipher3` package; treat the file as seen.",
)
explain(
    "H_DB_MISSING",
    "A database that must exist is missing or empty; it is never made anew by itself.",
    "Restore it from a backup, or run `enclave init` in a new folder.",
)
explain(
    "H_DB_BUSY",
    "A database stayed locked by another process.",
    "Wait for the other job to end; look with `enclave job list`.",
)
explain(
    "H_DB_NETWORK",
    "A PostgreSQL address is neither a local Unix socket nor TLS that verifies the server in full.",
    "Set `host` to a socket folder, or add sslmode=verify-full and sslrootcert.",
)
explain(
    "H_DATABASE",
    "The database refused what the server asked of it; nothing was changed.",
    "Look at the database's own log for disk, memory, rights or a broken connection; then start again.",
)

KEY_BYTES = 32
BUSY_SECONDS = 30
MOST_CACHE_KIB = 256 * 1024
CLEAR_HEADER = b"SQLite format 3"
_LOOKED_AT = 1 << 20
_HEADER_WRITTEN = 1  # value of user_version, which makes a new database's encrypted header appear at once

# What a reader's statements may do, by SQLite's authorizer: read, describe tables, ask for a setting, set nothing.
_READING = {sqlcipher.SQLITE_SELECT, sqlcipher.SQLITE_READ, sqlcipher.SQLITE_FUNCTION, sqlcipher.SQLITE_TRANSACTION}
_READING |= {sqlcipher.SQLITE_RECURSIVE}
_READING_PRAGMAS = {"table_info", "table_xinfo", "index_list", "index_info", "foreign_key_list"}
_ASKED_PRAGMAS = {"read_uncommitted", "user_version"}


def sqlcipher_engine(path: Path, key: Secret, *, create: bool = False, read_only: bool = False) -> Engine:
    """An engine on an encrypted SQLite file; a missing, damaged or wrongly keyed file halts.

    `create` makes a new file (mode 0600) and refuses an existing one. Commits are durable when they return; rollback
    journals are encrypted by SQLCipher and temporary tables stay in memory, so that no clear text reaches a disk.
    """
    if len(key.reveal()) != KEY_BYTES:
        raise Halt("H_DB_KEY_LENGTH", place=path.name)
    if create:
        _create_file(path)
    else:
        _require_file(path)
    engine = create_engine(
        "sqlite://",
        module=sqlcipher,
        creator=_connector(path, key, read_only=read_only),
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin_reading if read_only else _begin_writing)
    with transaction(engine) as connection:
        if create:
            connection.exec_driver_sql(f"PRAGMA user_version = {_HEADER_WRITTEN}")
        written = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL LIMIT 1").scalar()
    _require_unreadable(path, (CLEAR_HEADER, *([str(written).encode()] if written else [])))
    return engine


def _require_unreadable(path: Path, markers: tuple[bytes, ...]) -> None:
    """Halt H_DB_CLEAR if what was written through the database can be read at the beginning of its raw file.

    The first table's own text is the marker: it stands in the file's first page, and was written like every row.
    """
    with path.open("rb") as raw:
        beginning = raw.read(_LOOKED_AT)
    if any(marker in beginning for marker in markers):
        raise Halt("H_DB_CLEAR", place=path.name)


def rekey_file(path: Path, old: Secret, new: Secret) -> None:
    """Encrypt a database file with a new key; nothing is changed where it has it already. Killed, the old one holds.

    Nobody else may have the file open. SQLCipher writes every page anew in one transaction of its own.
    """
    if len(new.reveal()) != KEY_BYTES:
        raise Halt("H_DB_KEY_LENGTH", place=path.name)
    try:
        connection = _connector(path, old, read_only=False)()
    except Halt:
        _connector(path, new, read_only=False)().close()
        return
    try:
        connection.cursor().execute(f"PRAGMA rekey = \"x'{new.reveal().hex()}'\"")
    except sqlcipher.Error as error:
        raise Halt(_code_of(error), place=path.name) from None
    finally:
        connection.close()


def _create_file(path: Path) -> None:
    # An empty file is what a creation that was killed leaves; it holds nothing and is used.
    if path.is_symlink() or (path.exists() and path.stat().st_size > 0):
        raise Halt("H_EXISTS", place=path.name)
    if not path.exists():
        durable.write_new(path, b"")


def _require_file(path: Path) -> None:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        raise Halt("H_DB_MISSING", place=path.name) from None
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        raise Halt("H_NOT_A_FILE", place=path.name)
    # SQLite would take an empty file for an empty database, under any key.
    if facts.st_size == 0:
        raise Halt("H_DB_MISSING", place=path.name)


def _connector(path: Path, key: Secret, *, read_only: bool) -> Callable[[], DBAPIConnection]:
    def connect() -> DBAPIConnection:
        connection = sqlcipher.connect(
            os.fspath(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, key, read_only=read_only)
        except sqlcipher.Error as error:
            connection.close()
            raise Halt(_code_of(error), place=path.name) from None
        except Halt:
            connection.close()
            raise
        return cast("DBAPIConnection", connection)

    return connect


def _prepare(connection: sqlcipher.Connection, key: Secret, *, read_only: bool) -> None:
    connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to stderr; the Halt says enough
    # Without SQLCipher the key would be ignored and everything written in clear.
    if not connection.execute("PRAGMA cipher_version").fetchall():
        raise Halt("H_DB_CIPHER")
    # The raw key of 64 hex digits skips SQLCipher's key derivation; the file keeps a random salt of its own.
    connection.execute(f"PRAGMA key = \"x'{key.reveal().hex()}'\"")
    # A kill in the middle of a commit leaves a journal, which the first look at the file plays back. Only in this mode
    # SQLite then empties the journal instead of removing it, which a confined job may not (before TRUNCATE is set).
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute("PRAGMA temp_store = MEMORY")
    # Room for every page that naming a million people touches; a page that has to go is encrypted and written at once.
    connection.execute(f"PRAGMA cache_size = {-MOST_CACHE_KIB}")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    # A rollback journal, not WAL: after a commit the database is whole in one file. The journal beside it is emptied,
    # not removed, so that a confined job need not make files in the folder.
    connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
    connection.execute("PRAGMA locking_mode = NORMAL").fetchall()  # the lock goes with the next look, here below
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_authorise_reading)


def _code_of(error: BaseException | None) -> str:
    """The code of a driver's error, by the databases' own numbers; the error's text is not looked at."""
    if durable.is_full(error):
        return "H_DISK_FULL"
    match getattr(error, "sqlite_errorcode", None):
        case sqlcipher.SQLITE_NOTADB | sqlcipher.SQLITE_CORRUPT:
            return "H_DB_KEY"
        case sqlcipher.SQLITE_BUSY:
            return "H_DB_BUSY"
        case _:
            return "H_DATABASE"


def _authorise_reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    describes = first in _READING_PRAGMAS or (first in _ASKED_PRAGMAS and second is None)
    allowed = action in _READING or (action == sqlcipher.SQLITE_PRAGMA and describes)
    return int(sqlcipher.SQLITE_OK if allowed else sqlcipher.SQLITE_DENY)


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    # Immediate: two writers queue here, not in the middle of their transactions.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def postgres_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine on a PostgreSQL database reached by Unix socket or TLS verified in full; any other address halts."""
    address = make_url(url)
    host = address.query.get("host", address.host or "")
    by_socket = isinstance(host, str) and host.startswith("/")
    if not by_socket and address.query.get("sslmode") != "verify-full":
        raise Halt("H_DB_NETWORK")
    mode = "on" if read_only else "off"
    return create_engine(
        address,
        hide_parameters=True,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={
            "application_name": "enclave",
            "options": f"-c default_transaction_read_only={mode} -c synchronous_commit=on -c timezone=UTC",
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed at the end; a database error halts with none of the driver's own text."""
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        # The driver's text may quote values ("Key (…)=(…) already exists"), so nothing of it is kept.
        raise Halt(_code_of(error.orig)) from None
    except (SQLAlchemyError, psycopg.Error):
        raise Halt("H_DATABASE") from None


def holds_in_clear(path: Path, marker: bytes) -> bool:
    """Whether `marker` can be read in the raw bytes of a database file or of a file that its engine left beside it."""
    beside = [path, *(path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm"))]
    return any(marker in file.read_bytes() for file in beside if file.exists())
