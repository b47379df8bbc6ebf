"""Polars frames into and out of a table, many rows at a time: tuples for SQLite, COPY for PostgreSQL."""

from typing import Any

import polars as pl
import polars.selectors as cs
import psycopg
from sqlalchemy import Connection, Select, Table

from enclave.errors import Halt, explain
from enclave.model.pseudonymous import EPISODE, PSEUDONYM
from enclave.registry.definition import Form, Kind
from enclave.store.schema import column_kinds

explain(
    "H_ROWS_DAMAGED",
    "Stored rows are not of the types that their definition gives them.",
    "Restore the registry database from a backup, and find out who wrote to it.",
)

FRAME_TYPES: dict[Kind, pl.DataType] = {
    Kind.CODE: pl.String(),
    Kind.TEXT: pl.String(),
    Kind.DATE: pl.Date(),
    Kind.BOOLEAN: pl.Boolean(),
    Kind.MULTI: pl.Boolean(),
    Kind.INTEGER: pl.Int64(),
    Kind.DECIMAL: pl.Float64(),
}
_CHUNK = 50_000  # rows
_SQLITE_STORES: dict[pl.DataType, pl.DataType] = {pl.Date(): pl.String(), pl.Boolean(): pl.Int64()}
_ISO_DATE = "%Y-%m-%d"


def row_schema(form: Form) -> pl.Schema:
    """What one row of a form says, without its origin: `_pseudonym` (persons), `_episode`, the definition's columns."""
    person = {PSEUDONYM: pl.Binary()} if form.subject == "person" else {}
    return pl.Schema(
        person | {EPISODE: pl.Binary()} | {column: FRAME_TYPES[kind] for column, kind in column_kinds(form).items()}
    )


def insert_frame(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Insert every row of a frame whose columns are named as the table's."""
    if connection.dialect.name == "sqlite":
        _insert_tuples(connection, table, frame)
    else:
        _copy(connection, table, frame)


def _insert_tuples(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    columns = ", ".join(_quoted(connection, frame))
    marks = ", ".join("?" * frame.width)
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - names of our own
    as_stored = frame.with_columns(cs.date().dt.to_string(_ISO_DATE), cs.boolean().cast(pl.Int64))
    for chunk in as_stored.iter_slices(_CHUNK):
        connection.exec_driver_sql(statement, chunk.rows())


def _copy(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("not a psycopg connection")
    columns = ", ".join(_quoted(connection, frame))
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN".encode()) as copy:
        for row in frame.iter_rows():
            copy.write_row(row)


def _quoted(connection: Connection, frame: pl.DataFrame) -> list[str]:
    return [connection.dialect.identifier_preparer.quote(name) for name in frame.columns]


def select_frame(connection: Connection, statement: Select[Any], schema: pl.Schema) -> pl.DataFrame:
    """The rows of a selection, whose columns are those of `schema` in order, as a frame of exactly that schema."""
    rows = [tuple(row) for row in connection.execute(statement)]
    try:
        if connection.dialect.name != "sqlite":
            return pl.DataFrame(rows, schema=schema, orient="row")
        stored = {name: _SQLITE_STORES.get(kind, kind) for name, kind in schema.items()}
        dates = [pl.col(name).str.to_date(_ISO_DATE) for name, kind in schema.items() if kind == pl.Date()]
        booleans = [pl.col(name).cast(pl.Boolean) for name, kind in schema.items() if kind == pl.Boolean()]
        return pl.DataFrame(rows, schema=stored, orient="row").with_columns(*dates, *booleans)
    except (pl.exceptions.PolarsError, TypeError):
        # The text of these errors quotes values.
        raise Halt("H_ROWS_DAMAGED") from None
