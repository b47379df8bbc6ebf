"""The tables of a registry database: what each form of a definition holds, and the few that steer it.

A form has one table, `form_ID`, with one column for each column of its definition; applying a definition only adds.
Texts compare by code point on both databases. Dates, booleans and decimals are TEXT (ISO), INTEGER and REAL in SQLite,
DATE, BOOLEAN and DOUBLE PRECISION in PostgreSQL.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Date,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.types import TypeEngine

from enclave.audit.record import Position
from enclave.model.pseudonymous import EPISODE, PSEUDONYM
from enclave.registry.definition import Form, Kind
from enclave.store.engines import transaction

ALL_PURPOSES = "*"  # the purpose of a withdrawal

TEXT = Text(collation="C").with_variant(Text(), "sqlite")
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.CODE: TEXT,
    Kind.TEXT: TEXT,
    Kind.DATE: Date().with_variant(Text(), "sqlite"),
    Kind.BOOLEAN: Boolean().with_variant(Integer(), "sqlite"),
    Kind.MULTI: Boolean().with_variant(Integer(), "sqlite"),
    Kind.INTEGER: NUMBER,
    Kind.DECIMAL: DOUBLE_PRECISION().with_variant(REAL(), "sqlite"),
}

_IS_CURRENT = text("state_to IS NULL")

control = MetaData()


def _position_columns() -> tuple[Column[str], Column[int]]:
    """The intent that a row was written under (law 1)."""
    return Column("log_id", TEXT, nullable=False), Column("audit_seq", NUMBER, nullable=False)


# The evidence of every commit: found here, the act happened; not found, it did not.
act = Table(
    "act",
    control,
    Column("log_id", TEXT, primary_key=True),
    Column("audit_seq", NUMBER, primary_key=True, autoincrement=False),
)
# One row, locked by every writer: states and drop numbers are gapless because it is raised in the same transaction.
registry_state = Table(
    "registry_state",
    control,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("state", NUMBER, nullable=False),
    Column("drop_number", NUMBER, nullable=False),
)
state = Table(
    "state",
    control,
    Column("state", NUMBER, primary_key=True, autoincrement=False),
    *_position_columns(),
)
definition_applied = Table(
    "definition",
    control,
    Column("number", NUMBER, primary_key=True),
    Column("sha256", TEXT, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("state", NUMBER, nullable=False),
    *_position_columns(),
)
form_column = Table(
    "form_column",
    control,
    Column("form", TEXT, primary_key=True),
    Column("name", TEXT, primary_key=True),
    Column("kind", TEXT, nullable=False),
    *_position_columns(),
)
settlement = Table(
    "settlement",
    control,
    Column("drop_uuid", TEXT, primary_key=True),
    Column("sender", TEXT, nullable=False),
    Column("drop_number", NUMBER, nullable=False, unique=True),
    Column("outcome", TEXT, CheckConstraint("outcome IN ('admitted', 'rejected')"), nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("delivered", NUMBER, nullable=False),
    Column("accepted", NUMBER, nullable=False),
    Column("unchanged", NUMBER, nullable=False),
    Column("rejected", NUMBER, nullable=False),
    Column("superseded", NUMBER, nullable=False),
    Column("state", NUMBER, nullable=False),
    *_position_columns(),
)
# What was wrong with a drop that is answered later, together with others; never a value.
settlement_fault = Table(
    "settlement_fault",
    control,
    Column("drop_uuid", TEXT, primary_key=True),
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("form", TEXT, nullable=False),
    Column("row", NUMBER, nullable=False),
    Column("variable", TEXT, nullable=False),
    Column("rule", TEXT, nullable=False),
    Column("severity", TEXT, nullable=False),
)
draft = Table(
    "draft",
    control,
    Column("number", NUMBER, primary_key=True),
    Column("draft_id", TEXT, nullable=False, unique=True),
    Column("kind", TEXT, nullable=False),
    Column("recipient", TEXT, nullable=False),
    Column("sha256", TEXT, nullable=False),
    Column("state", NUMBER, nullable=False),
    Column("tables", TEXT, nullable=False),
    Column("drop_uuid", TEXT),
    *_position_columns(),
)
result_table = Table(
    "result_table",
    control,
    Column("number", NUMBER, primary_key=True),
    Column("table_id", TEXT, nullable=False),
    Column("period", TEXT, nullable=False),
    Column("recipient", TEXT, nullable=False),
    Column("state", NUMBER, nullable=False),
    Column("definition", TEXT, nullable=False),
    Column("finished", Boolean(create_constraint=False).with_variant(Integer(), "sqlite"), nullable=False),
    Column("content", TEXT, nullable=False),
    Column("sha256", TEXT, nullable=False),
    *_position_columns(),
)
# Which purposes a person's rows may not serve; purpose '*' is a withdrawal from all of them.
reservation = Table(
    "reservation",
    control,
    Column("number", NUMBER, primary_key=True),
    Column(PSEUDONYM, LargeBinary, nullable=False),
    Column("purpose", TEXT, nullable=False),
    Column("state_from", NUMBER, nullable=False),
    Column("state_to", NUMBER),
    *_position_columns(),
)

# Who is read as whom (`aliases.py`). A registry made before there were merges gets the table by its first.
alias = Table(
    "alias",
    control,
    Column("number", NUMBER, primary_key=True),
    Column(PSEUDONYM, LargeBinary, nullable=False),
    Column("stands_for", LargeBinary, nullable=False),
    Column("state_from", NUMBER, nullable=False),
    Column("state_to", NUMBER),
    *_position_columns(),
    Index("alias_current", PSEUDONYM, unique=True, sqlite_where=_IS_CURRENT, postgresql_where=_IS_CURRENT),
)


def form_table(form: Form) -> Table:
    """The table of a form: its keys and origin, its definition's columns, and the states in which a row holds."""
    name = f"form_{form.id}"
    person = (Column(PSEUDONYM, LargeBinary, nullable=False),) if form.subject == "person" else ()
    table = Table(
        name,
        MetaData(),
        Column("row_id", NUMBER, primary_key=True),
        *person,
        Column(EPISODE, LargeBinary, nullable=False),
        Column("sender", TEXT, nullable=False),
        Column("drop_uuid", TEXT, nullable=False),
        Column("drop_number", NUMBER, nullable=False),
        Column("row", NUMBER, nullable=False),
        Column("state_from", NUMBER, nullable=False),
        Column("state_to", NUMBER),
        *_position_columns(),
        *(Column(column, TYPES[kind]) for column, kind in column_kinds(form).items()),
        Index(f"{name}_sender", "sender", "state_to"),
        # The law that a course has one current row in a form holds in the database too, whoever writes.
        Index(
            f"{name}_current",
            "sender",
            EPISODE,
            unique=True,
            sqlite_where=_IS_CURRENT,
            postgresql_where=_IS_CURRENT,
        ),
    )
    if form.subject == "person":
        Index(f"{name}_person", table.c[PSEUDONYM])
    return table


def column_kinds(form: Form) -> dict[str, Kind]:
    """Every registry column of a form with its kind, in the definition's order; an option of a multi is boolean."""
    return {
        column: Kind.BOOLEAN if variable.kind is Kind.MULTI else variable.kind
        for variable in form.variables
        for column in variable.columns()
    }


@dataclass(frozen=True)
class Locked:
    """The registry's state row, locked until the transaction ends."""

    state: int
    drop_number: int


def lock_state(connection: Connection) -> Locked:
    """Lock the registry's one state row; every other writer waits until this transaction ends."""
    row = connection.execute(select(registry_state.c.state, registry_state.c.drop_number).with_for_update()).one()
    return Locked(row.state, row.drop_number)


def raise_state(connection: Connection, locked: Locked, position: Position) -> int:
    """Make the next state, under the lock, and answer it."""
    raised = locked.state + 1
    connection.execute(update(registry_state).values(state=raised))
    connection.execute(insert(state).values(state=raised, **position._asdict()))
    return raised


def has_act(engine: Engine, position: Position) -> bool:
    """Whether the transaction of this intent was committed here: the evidence that resolves a crash."""
    with transaction(engine) as connection:
        if not inspect(connection).has_table(act.name):
            return False
        matching = select(act.c.audit_seq).where(act.c.log_id == position.log_id, act.c.audit_seq == position.audit_seq)
        return connection.execute(matching).first() is not None
