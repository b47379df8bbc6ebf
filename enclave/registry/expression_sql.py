"""Emits an expression as SQL for SQLite and PostgreSQL, over a table of the registry.

Columns are, in SQLite: TEXT for codes, texts and dates (ISO), INTEGER for integers and truth values (0, 1), REAL for
decimals; in PostgreSQL: TEXT COLLATE "C", DATE, BIGINT, BOOLEAN, DOUBLE PRECISION. The text holds no bind parameter and
no character that SQLAlchemy or a driver would take for one.
"""

from datetime import date
from typing import Literal as Choice
from typing import Protocol

from enclave.registry.expression import (
    Among,
    Calculate,
    Case,
    Column,
    Compare,
    Comparison,
    Connect,
    DaysBetween,
    Expression,
    Length,
    Literal,
    Missing,
    MonthsBetween,
    Negate,
    Node,
    Ratio,
    Type,
    Year,
)

Dialect = Choice["sqlite", "postgres"]
ORDERED = (Comparison.LESS, Comparison.AT_MOST, Comparison.GREATER, Comparison.AT_LEAST)


def to_sql(expression: Expression, dialect: Dialect) -> str:
    """The expression as SQL text of one dialect; NULL is unknown."""
    return _emit(expression.root, DIALECTS[dialect])


class _Dialect(Protocol):
    """What the two dialects write differently."""

    by_code_point: str
    """what makes an ordering of texts one by code point"""

    def column(self, name: str) -> str: ...
    def day(self, day: date) -> str: ...
    def integer(self, value: int) -> str: ...
    def double(self, value: str) -> str: ...
    def days(self, start: str, end: str) -> str: ...
    def part(self, part: Choice["year", "month", "day"], value: str) -> str: ...
    def next_day(self, value: str) -> str: ...


class _Sqlite:
    by_code_point = "COLLATE BINARY"

    def column(self, name: str) -> str:
        # Brackets, because SQLite takes a name in double quotes that it does not know for a text.
        return f"[{name}]"

    def day(self, day: date) -> str:
        return f"'{day.isoformat()}'"

    def integer(self, value: int) -> str:
        return f"({value})"

    def double(self, value: str) -> str:
        return f"CAST({value} AS REAL)"

    def days(self, start: str, end: str) -> str:
        return f"CAST(julianday({end}) - julianday({start}) AS INTEGER)"

    def part(self, part: Choice["year", "month", "day"], value: str) -> str:
        first, length = {"year": (1, 4), "month": (6, 2), "day": (9, 2)}[part]
        return f"CAST(substr({value}, {first}, {length}) AS INTEGER)"

    def next_day(self, value: str) -> str:
        return f"date({value}, '+1 day')"


class _Postgres:
    by_code_point = 'COLLATE "C"'

    def column(self, name: str) -> str:
        return f'"{name}"'

    def day(self, day: date) -> str:
        return f"DATE '{day.isoformat()}'"

    def integer(self, value: int) -> str:
        return f"CAST({value} AS BIGINT)"

    def double(self, value: str) -> str:
        return f"CAST({value} AS DOUBLE PRECISION)"

    def days(self, start: str, end: str) -> str:
        return f"CAST({end} - {start} AS BIGINT)"

    def part(self, part: Choice["year", "month", "day"], value: str) -> str:
        return f"CAST(EXTRACT({part.upper()} FROM {value}) AS BIGINT)"

    def next_day(self, value: str) -> str:
        return f"({value} + 1)"


DIALECTS: dict[Dialect, _Dialect] = {"sqlite": _Sqlite(), "postgres": _Postgres()}


def _emit(node: Node, dialect: _Dialect) -> str:  # noqa: C901, PLR0911, PLR0912 -- one short case for each node
    match node:
        case Column(name):
            return dialect.column(name)
        case Literal():
            return _literal(node, dialect)
        case Compare(how, left, right):
            collation = f" {dialect.by_code_point}" if left.type is Type.TEXT and how in ORDERED else ""
            return f"({_emit(left, dialect)}{collation} {how} {_emit(right, dialect)}{collation})"
        case Among(value, literals):
            return f"({_emit(value, dialect)} IN ({', '.join(_literal(literal, dialect) for literal in literals)}))"
        case Missing(value):
            return f"({_emit(value, dialect)} IS NULL)"
        case Connect(how, left, right):
            return f"({_emit(left, dialect)} {how} {_emit(right, dialect)})"
        case Negate(value):
            return f"(NOT {_emit(value, dialect)})"
        case Case(branches, otherwise):
            cases = " ".join(f"WHEN {_emit(when, dialect)} THEN {_emit(then, dialect)}" for when, then in branches)
            return f"(CASE {cases}{'' if otherwise is None else f' ELSE {_emit(otherwise, dialect)}'} END)"
        case Calculate(how, left, right):
            return f"({_emit(left, dialect)} {how} {_emit(right, dialect)})"
        case Ratio(numerator, denominator):
            above, below = dialect.double(_emit(numerator, dialect)), dialect.double(_emit(denominator, dialect))
            return f"({above} / NULLIF({below}, {dialect.double('0')}))"
        case DaysBetween(start, end):
            return dialect.days(_emit(start, dialect), _emit(end, dialect))
        case MonthsBetween(start, end):
            first, last = _emit(start, dialect), _emit(end, dialect)
            ahead, back = _months(first, last, dialect), _months(last, first, dialect)
            # Said for both orders, so that a missing date leaves no branch and gives NULL.
            return f"(CASE WHEN {last} >= {first} THEN {ahead} WHEN {last} < {first} THEN -{back} END)"
        case Year(value):
            return dialect.part("year", _emit(value, dialect))
        case Length(value):
            return f"length({_emit(value, dialect)})"


def _literal(node: Literal, dialect: _Dialect) -> str:
    match node.value:
        case bool():
            return "TRUE" if node.value else "FALSE"
        case date():
            return dialect.day(node.value)
        case str():
            return f"'{node.value}'"
    if node.type is Type.INTEGER:
        return dialect.integer(node.value)
    # Two whole numbers that a double holds exactly, divided once: the nearest double, whoever does it.
    return f"({dialect.double(str(node.value))} / {dialect.double(str(10**node.places))})"


def _months(first: str, last: str, dialect: _Dialect) -> str:
    """Whole months from `first` to a `last` that is not before it; see MonthsBetween."""
    years = f"({dialect.part('year', last)} - {dialect.part('year', first)})"
    months = f"({dialect.part('month', last)} - {dialect.part('month', first)})"
    incomplete = (
        f"{dialect.part('day', last)} < {dialect.part('day', first)} "
        f"AND {dialect.part('day', dialect.next_day(last))} <> 1"
    )
    return f"({years} * 12 + {months} - CASE WHEN {incomplete} THEN 1 ELSE 0 END)"
