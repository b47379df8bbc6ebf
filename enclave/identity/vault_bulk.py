"""Many rows into and out of the vault at a time: a parameter for each cell in SQLite, for each column in PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, CursorResult, Integer, LargeBinary, Table, cast, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

READ_ROWS = 20_000
_WRITE_ROWS = 20_000
_STATEMENT_ROWS = 1_000
_MANY = 8
"""A whole table is read in order where at least one in so many of its rows is wanted: cheaper than finding each."""

T = TypeVar("T")


def insert_all(connection: Connection, table: Table, columns: Mapping[str, Sequence[Any] | str | int]) -> int:
    """Insert rows given as columns, many at a time, but none whose key is taken; answers how many were inserted.

    A single value stands in every row.
    """
    listed = {name: values for name, values in columns.items() if not isinstance(values, str | int)}
    same = {name: value for name, value in columns.items() if isinstance(value, str | int)}
    insert_some, size = (
        (_insert_columns, _WRITE_ROWS) if connection.dialect.name == "postgresql" else (_insert_rows, _STATEMENT_ROWS)
    )
    count, inserted = len(next(iter(listed.values()))), 0
    for start in range(0, count, size):
        chunk = {name: values[start : start + size] for name, values in listed.items()}
        inserted += insert_some(connection, table, chunk, same)
    return inserted


def _insert_rows(
    connection: Connection, table: Table, chunk: Mapping[str, Sequence[Any]], same: Mapping[str, str | int]
) -> int:
    """Insert many rows in one statement: half the time of a statement for each.

    OR FAIL leaves an error to be undone with the caller's whole transaction; else SQLite would copy aside each page
    that the statement touches, to undo it alone.
    """
    row = f"({', '.join('?' * len(chunk))})"
    rows = ", ".join(repeat(row, len(next(iter(chunk.values())))))
    each = ", ".join(["*", *repeat("?", len(same))])
    statement = (
        f"INSERT OR FAIL INTO {table.name} ({', '.join([*chunk, *same])}) "  # noqa: S608  # names of our own
        f"SELECT {each} FROM (VALUES {rows}) WHERE true ON CONFLICT DO NOTHING"  # without WHERE, ON would begin a join
    )
    values = (*same.values(), *chain.from_iterable(zip(*chunk.values(), strict=True)))
    return connection.exec_driver_sql(statement, values).rowcount


def _insert_columns(
    connection: Connection, table: Table, chunk: Mapping[str, Sequence[Any]], same: Mapping[str, str | int]
) -> int:
    each = [_column(values, table.c[name].type) for name, values in chunk.items()]
    fixed = [cast(value, table.c[name].type) for name, value in same.items()]
    insertion = postgresql.insert(table).from_select([*chunk, *same], select(*each, *fixed))
    return connection.execute(insertion.on_conflict_do_nothing()).rowcount


def by_index(
    connection: Connection, table: Table, column: str, index: Sequence[bytes], version: int
) -> list[bytes | None]:
    """The name that stands at each index, in the order given; asked in sorted order, which touches each page once."""
    found: dict[bytes, bytes] = {}
    count = _count(connection, table) if len(index) > READ_ROWS else None
    if count is not None and len(index) * _MANY > count:
        # What is not wanted is put aside where it is most of the table, for the room that it would take.
        wanted = set(index) if len(index) * 2 < count else None
        every = select(table.c.bidx, table.c[column]).where(table.c.index_key_version == version)
        for rows in _tuples(connection.execution_options(yield_per=READ_ROWS).execute(every)):
            found.update(rows if wanted is None else (row for row in rows if row[0] in wanted))
    else:
        for chunk in chunks(sorted(index), READ_ROWS):
            for rows in _tuples(_select_some(connection, table, column, chunk, version)):
                found.update(rows)
    return [found.get(bidx) for bidx in index]


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _select_some(
    connection: Connection, table: Table, column: str, index: Sequence[bytes], version: int
) -> CursorResult[Any]:
    if connection.dialect.name == "postgresql":
        named = select(table.c.bidx, table.c[column]).where(table.c.index_key_version == version)
        return connection.execute(named.where(among(connection, table.c.bidx, index)))
    marks = ", ".join("?" * len(index))
    statement = f"SELECT bidx, {column} FROM {table.name} WHERE index_key_version = ? AND bidx IN ({marks})"  # noqa: S608  # names of our own
    return connection.exec_driver_sql(statement, (version, *index))


def _tuples(result: CursorResult[Any]) -> Iterator[Sequence[Any]]:
    """The driver's own tuples, many at a time: a row object for each of a million rows costs as much as reading it."""
    cursor = result.cursor
    while cursor is not None and (rows := cursor.fetchmany(READ_ROWS)):
        yield rows
    result.close()


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
