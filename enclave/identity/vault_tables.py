"""The tables of the vault and a transaction over them: one schema for SQLCipher and PostgreSQL.

Nothing here is an identity in clear.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Date,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from enclave import durable
from enclave.errors import Halt, explain
from enclave.identity.vault_keys import MatchedKeys, VaultKeys

explain(
    "H_VAULT",
    "The vault's database refused what the server asked of it; nothing was changed.",
    "Look at the database's own log for disk, memory, rights or a broken connection; then start again.",
)

ACTIVE, WITHDRAWN = "active", "withdrawn"

metadata = MetaData()
_STANDS = text("split_by IS NULL")


def _position() -> tuple[Column[str], Column[int]]:
    return Column("log_id", Text, nullable=False), Column("audit_seq", BigInteger, nullable=False)


act = Table("act", metadata, *_position(), PrimaryKeyConstraint("log_id", "audit_seq"))

# Which keys this vault was made with: a wrong index key would give everyone a second pseudonym.
vault_key = Table(
    "vault_key",
    metadata,
    Column("purpose", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("probe", LargeBinary, nullable=False),
    PrimaryKeyConstraint("purpose", "version"),
)

person = Table(
    "person",
    metadata,
    Column("person_id", LargeBinary, primary_key=True),
    Column("status", Text, CheckConstraint(f"status IN ('{ACTIVE}', '{WITHDRAWN}')"), nullable=False),
    *_position(),
    sqlite_with_rowid=False,
)

# One person was registered as two: `from_person` is read as `into_person` until the merge is undone. No row of either
# changes, so a split brings back exactly what was. A vault made before there were merges gets the table by its first.
merge = Table(
    "merge",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("from_person", ForeignKey("person.person_id"), nullable=False),
    Column("into_person", ForeignKey("person.person_id"), nullable=False),
    Column("split_by", Text),
    *_position(),
    CheckConstraint("from_person <> into_person"),
    Index("merge_standing", "from_person", unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS),
)

# A person can have several rows: a D-number and the number that followed it. Persons are inserted after their rows,
# when it is known which of them were new, so the reference is checked at commit.
identity = Table(
    "identity",
    metadata,
    Column("index_key_version", Integer, nullable=False),
    Column("bidx", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column(
        "person_id",
        ForeignKey("person.person_id", deferrable=True, initially="DEFERRED"),
        nullable=False,
        index=True,
    ),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("data_key_version", Integer, nullable=False),
    Column("valid_from", Date),
    Column("valid_to", Date),
    *_position(),
    PrimaryKeyConstraint("index_key_version", "bidx"),
    sqlite_with_rowid=False,
)

reference = Table(
    "reference",
    metadata,
    Column("index_key_version", Integer, nullable=False),
    Column("bidx", LargeBinary, nullable=False),
    Column("sender", Text, nullable=False),
    Column("episode", LargeBinary, nullable=False, unique=True),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("data_key_version", Integer, nullable=False),
    *_position(),
    PrimaryKeyConstraint("index_key_version", "bidx"),
    sqlite_with_rowid=False,
)


def match_keys(connection: Connection, keys: VaultKeys) -> MatchedKeys:
    """The keys by the versions that this vault has; Halt H_VAULT_KEY where it was made or changed with another."""
    rows = connection.execute(select(vault_key))
    return keys.matched({(row.purpose, row.version): bytes(row.probe) for row in rows})


@contextmanager
def transaction(engine: Engine, *, check_references: bool = True) -> Iterator[Connection]:
    """One transaction of the vault; a database error halts with none of the driver's own text.

    `check_references` is for who writes a person and all that points to it at once: SQLite then need not look each up.
    """
    try:
        with engine.connect() as connection:
            if not check_references and connection.dialect.name == "sqlite":
                # A third of the time of a first load. It holds for this connection, whose only transaction begins next.
                connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
            with connection.begin():
                yield connection
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        # A driver's text may quote values, so nothing of it is kept.
        raise Halt(_code_of(getattr(error, "orig", error))) from None


def _code_of(error: BaseException | None) -> str:
    """The code of a driver's error: what passes by itself or when somebody makes room does not stop the server."""
    if durable.is_full(error):
        return "H_DISK_FULL"
    return "H_DB_BUSY" if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY else "H_VAULT"
