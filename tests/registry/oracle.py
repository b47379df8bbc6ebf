"""What an expression means, in slow plain Python: the oracle that every engine is compared with."""

import calendar
import functools
from collections.abc import Mapping
from datetime import date
from typing import Any

from enclave.registry.expression import (
    Among,
    Calculate,
    Case,
    Column,
    Compare,
    Connect,
    Connective,
    DaysBetween,
    Length,
    Literal,
    Missing,
    MonthsBetween,
    Negate,
    Node,
    Ratio,
    Type,
    Year,
    parts,
)


def answer(node: Node, row: Mapping[str, Any]) -> Any:  # noqa: PLR0911 -- one for each node
    """The value of an expression in one row; None is missing or unknown."""
    match node:
        case Column(name):
            return row.get(name)
        case Literal(value, kind, places):
            return float(f"{value}e-{places}") if kind is Type.DECIMAL else value
        case Missing(value):
            return answer(value, row) is None
        case Connect(how, left, right):
            decisive = how is Connective.OR
            sides = {answer(left, row), answer(right, row)}
            return decisive if decisive in sides else None if None in sides else not decisive
        case Case(branches, otherwise):
            for condition, result in branches:
                if answer(condition, row) is True:
                    return answer(result, row)
            return None if otherwise is None else answer(otherwise, row)
    values = [answer(part, row) for part in parts(node)]
    return None if None in values else _present(node, values)


def _present(node: Node, values: list[Any]) -> Any:  # noqa: PLR0911 -- one for each node
    first, *rest = values
    match node:
        case Compare(how):
            order = (first > rest[0]) - (first < rest[0])
            return order in {"=": {0}, "<>": {-1, 1}, "<": {-1}, "<=": {-1, 0}, ">": {1}, ">=": {0, 1}}[how]
        case Among():
            return first in rest
        case Negate():
            return not first
        case Calculate(how):
            return {"+": first.__add__, "-": first.__sub__, "*": first.__mul__}[how](rest[0])
        case Ratio():
            return None if rest[0] == 0 else float(first) / float(rest[0])
        case DaysBetween():
            return rest[0].toordinal() - first.toordinal()
        case MonthsBetween():
            return months(first, rest[0])
        case Year():
            return first.year
        case Length():
            return len(first)
    raise TypeError(node)


@functools.cache
def months(start: date, end: date) -> int:
    """Counts month by month."""
    if end < start:
        return -months(end, start)
    count = 0
    while _moved(start, count + 1) <= end:
        count += 1
    return count


def _moved(start: date, count: int) -> date:
    index = start.year * 12 + start.month - 1 + count
    year, month = index // 12, index % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))
