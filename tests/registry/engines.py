"""The engines that an expression is emitted for, each holding the same rows in its own types."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from typing import Any, Protocol

import polars as pl
import psycopg
import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy.engine import make_url

from enclave.registry.definition import Kind
from enclave.registry.expression import Expression, Type
from enclave.registry.expressions import to_polars, to_sql
from tests.registry.conformance import COLUMNS

Row = Mapping[str, Any]
POLARS = {
    Kind.INTEGER: pl.Int64, Kind.DECIMAL: pl.Float64, Kind.DATE: pl.Date,
    Kind.TEXT: pl.String, Kind.CODE: pl.String, Kind.BOOLEAN: pl.Boolean,
}  # fmt: skip
SQLITE = {
    Kind.INTEGER: "INTEGER", Kind.DECIMAL: "REAL", Kind.DATE: "TEXT",
    Kind.TEXT: "TEXT", Kind.CODE: "TEXT", Kind.BOOLEAN: "INTEGER",
}  # fmt: skip
POSTGRES = {
    Kind.INTEGER: "BIGINT", Kind.DECIMAL: "DOUBLE PRECISION", Kind.DATE: "DATE",
    Kind.TEXT: 'TEXT COLLATE "C"', Kind.CODE: 'TEXT COLLATE "C"', Kind.BOOLEAN: "BOOLEAN",
}  # fmt: skip


class Engine(Protocol):
    """An engine filled with rows; `answers` gives the expression's value for each row, in their order."""

    def answers(self, expression: Expression) -> list[Any]:
        """The value for each row."""
        ...


class Polars:
    """A frame."""

    def __init__(self, rows: Sequence[Row]) -> None:
        columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
        self.frame = pl.DataFrame(columns, schema={name: POLARS[kind] for name, kind in COLUMNS.items()})

    def answers(self, expression: Expression) -> list[Any]:
        """Evaluated by Polars."""
        return self.frame.select(to_polars(expression).alias("answer"))["answer"].to_list()


class Sqlite:
    """A table in memory; `connection` is the standard library's or SQLCipher's."""

    def __init__(self, connection: Any, rows: Sequence[Row]) -> None:
        self.connection = connection
        columns = ", ".join(f"{name} {SQLITE[kind]}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TABLE rows (n INTEGER PRIMARY KEY, {columns})")
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        stored = [[n, *(self._stored(row.get(name)) for name in COLUMNS)] for n, row in enumerate(rows)]
        connection.executemany(f"INSERT INTO rows VALUES ({marks})", stored)

    @staticmethod
    def _stored(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value

    def answers(self, expression: Expression) -> list[Any]:
        """Evaluated by SQLite; truth values and dates turned back from 0, 1 and text."""
        rows = self.connection.execute(f"SELECT {to_sql(expression, 'sqlite')} FROM rows ORDER BY n").fetchall()
        back = {Type.TRUTH: {1: True, 0: False}.__getitem__, Type.DATE: date.fromisoformat}.get(expression.type)
        return [value if value is None or back is None else back(value) for (value,) in rows]


class Postgres:
    """A table in a real server."""

    def __init__(self, connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        self.connection = connection
        columns = ", ".join(f"{name} {POSTGRES[kind]}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TABLE rows (n BIGINT PRIMARY KEY, {columns})".encode())
        marks = ", ".join(["%s"] * (len(COLUMNS) + 1))
        with connection.cursor() as cursor:
            stored = [[n, *(row.get(name) for name in COLUMNS)] for n, row in enumerate(rows)]
            cursor.executemany(f"INSERT INTO rows VALUES ({marks})".encode(), stored)

    def answers(self, expression: Expression) -> list[Any]:
        """Evaluated by PostgreSQL."""
        query = f"SELECT {to_sql(expression, 'postgres')} FROM rows ORDER BY n"
        return [value for (value,) in self.connection.execute(query.encode()).fetchall()]


@contextmanager
def filled(rows: Sequence[Row], postgres_url: str) -> Iterator[dict[str, Engine]]:
    """Every engine, filled with the rows."""
    url = make_url(postgres_url)
    host = url.query["host"]
    with (
        closing(sqlite3.connect(":memory:")) as plain,
        closing(sqlcipher.connect(":memory:")) as encrypted,
        psycopg.connect(host=str(host), user=url.username, dbname=url.database) as server,
    ):
        yield {
            "polars": Polars(rows),
            "sqlite": Sqlite(plain, rows),
            "sqlcipher": Sqlite(encrypted, rows),
            "postgres": Postgres(server, rows),
        }
