"""Many rows into and out of the vault at a time: tuples for SQLite, one parameter for each column on PostgreSQL."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Integer, LargeBinary, Table, cast, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from enclave.identity.vault_keys import VERSION

READ_ROWS = 20_000
_WRITE_ROWS = 20_000

T = TypeVar("T")


def insert_all(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose key is not taken yet, many at a time."""
    for chunk in chunks(rows, _WRITE_ROWS):
        names = list(chunk[0])
        if connection.dialect.name == "postgresql":
            columns = select(*(_column([row[name] for row in chunk], table.c[name].type) for name in names))
            connection.execute(postgresql.insert(table).from_select(names, columns).on_conflict_do_nothing())
        else:
            statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({_marks(names)}) ON CONFLICT DO NOTHING"  # noqa: S608  # names of our own
            connection.exec_driver_sql(statement, [tuple(row.values()) for row in chunk])


def by_index(connection: Connection, table: Table, column: str, index: Sequence[bytes]) -> dict[bytes, bytes]:
    """The name for each index that exists; asked in sorted order, which touches each page of the table once."""
    found: dict[bytes, bytes] = {}
    for chunk in chunks(sorted(index), READ_ROWS):
        if connection.dialect.name == "postgresql":
            named = select(table.c.bidx, table.c[column]).where(table.c.index_key_version == VERSION)
            rows = connection.execute(named.where(among(connection, table.c.bidx, chunk)))
        else:
            statement = (
                f"SELECT bidx, {column} FROM {table.name} WHERE index_key_version = ? AND bidx IN ({_marks(chunk)})"  # noqa: S608  # names of our own
            )
            rows = connection.exec_driver_sql(statement, (VERSION, *chunk))
        found.update((bidx, name) for bidx, name in rows)
    return found


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _column(values: Sequence[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """Many values as one PostgreSQL parameter, a row each: hexadecimal with commas, so that no value is ever quoted."""
    if isinstance(kind, Integer):
        return cast(func.unnest(func.string_to_array(",".join(map(str, values)), ",")), kind)
    if isinstance(kind, LargeBinary):
        return _unhexed(values)
    return func.convert_from(_unhexed([value.encode() for value in values]), "UTF8")


def _unhexed(values: Sequence[bytes]) -> ColumnElement[bytes]:
    text = ",".join(map(bytes.hex, values))
    return func.decode(func.unnest(func.string_to_array(text, ",")), "hex", type_=LargeBinary)


def among(connection: Connection, column: Column[bytes], values: Sequence[bytes]) -> ColumnElement[bool]:
    """The condition that a column holds one of many values."""
    if connection.dialect.name == "postgresql":
        # One parameter and a hash join; PostgreSQL would compare a long IN list value by value.
        return column.in_(select(_unhexed(values)))
    return column.in_(values)


def chunks(values: Sequence[T], size: int) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    return (list(values[start : start + size]) for start in range(0, len(values), size))
