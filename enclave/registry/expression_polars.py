"""Emits an expression for Polars, over a frame with the definition's typed columns.

Integer columns are Int64, decimals Float64, dates Date, texts and codes String, truth values Boolean.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np
import polars as pl

from enclave.registry.expression import (
    Among,
    Calculate,
    Case,
    Column,
    Compare,
    Comparison,
    Connect,
    Connective,
    DaysBetween,
    Expression,
    Length,
    Literal,
    Missing,
    MonthsBetween,
    Negate,
    Node,
    Operation,
    Ratio,
    Type,
    Year,
)

DTYPES: dict[Type, type[pl.DataType]] = {
    Type.TRUTH: pl.Boolean,
    Type.INTEGER: pl.Int64,
    Type.DECIMAL: pl.Float64,
    Type.DATE: pl.Date,
    Type.TEXT: pl.String,
}


def to_polars(expression: Expression) -> pl.Expr:
    """The expression as a Polars one, evaluated row by row; null is unknown."""
    return _emit(expression.root)


def _emit(node: Node) -> pl.Expr:  # noqa: C901, PLR0911, PLR0912 -- one short case for each node of the closed list
    match node:
        case Column(name):
            return pl.col(name)
        case Literal():
            return _literal(node)
        case Compare(how, left, right):
            return _compare(how, _emit(left), _emit(right))
        case Among(value, literals):
            emitted = _emit(value)
            return reduce(or_, (emitted == _emit(literal) for literal in literals))
        case Missing(value):
            return _emit(value).is_null()
        case Connect(Connective.AND, left, right):
            return _emit(left) & _emit(right)
        case Connect(_, left, right):
            return _emit(left) | _emit(right)
        case Negate(value):
            return ~_emit(value)
        case Case():
            return _case(node)
        case Calculate(how, left, right):
            return _calculate(how, _emit(left), _emit(right))
        case Ratio(numerator, denominator):
            above, below = _emit(numerator).cast(pl.Float64), _emit(denominator).cast(pl.Float64)
            quotient = pl.map_batches([above, below], _quotient, return_dtype=pl.Float64, is_elementwise=True)
            return pl.when((below != 0.0) & above.is_not_null()).then(quotient)
        case DaysBetween(start, end):
            return (_emit(end) - _emit(start)).dt.total_days()
        case MonthsBetween(start, end):
            first, last = _emit(start), _emit(end)
            return pl.when(last >= first).then(_months(first, last)).otherwise(-_months(last, first))
        case Year(value):
            return _emit(value).dt.year().cast(pl.Int64)
        case Length(value):
            return _emit(value).str.len_chars().cast(pl.Int64)


def _literal(node: Literal) -> pl.Expr:
    if node.type is Type.DECIMAL:
        assert isinstance(node.value, int)  # noqa: S101 -- for the type checker: a decimal is digits and places
        return pl.lit(node.value / 10**node.places, dtype=pl.Float64)
    return pl.lit(node.value, dtype=DTYPES[node.type])


def _compare(how: Comparison, left: pl.Expr, right: pl.Expr) -> pl.Expr:
    match how:
        case Comparison.EQUAL:
            return left == right
        case Comparison.UNEQUAL:
            return left != right
        case Comparison.LESS:
            return left < right
        case Comparison.AT_MOST:
            return left <= right
        case Comparison.GREATER:
            return left > right
        case Comparison.AT_LEAST:
            return left >= right


def _case(node: Case) -> pl.Expr:
    # Built from the last branch to the first; a null condition counts as not met, as in SQL.
    result = pl.lit(None, dtype=DTYPES[node.type]) if node.otherwise is None else _emit(node.otherwise)
    for condition, value in reversed(node.branches):
        result = pl.when(_emit(condition)).then(_emit(value)).otherwise(result)
    return result


def _calculate(how: Operation, left: pl.Expr, right: pl.Expr) -> pl.Expr:
    match how:
        case Operation.PLUS:
            return left + right
        case Operation.MINUS:
            return left - right
        case Operation.TIMES:
            return left * right


def _quotient(series: Sequence[pl.Series]) -> pl.Series:
    """True division. Polars multiplies by the reciprocal of a constant instead, which differs in the last bit."""
    above, below = (part.fill_null(math.nan).to_numpy() for part in series)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pl.Series(above / below)


def _months(first: pl.Expr, last: pl.Expr) -> pl.Expr:
    """Whole months from `first` to a `last` that is not before it; see MonthsBetween."""
    years = last.dt.year().cast(pl.Int64) - first.dt.year().cast(pl.Int64)
    months = last.dt.month().cast(pl.Int64) - first.dt.month().cast(pl.Int64)
    month_ends = last.dt.offset_by("1d").dt.day() == 1
    incomplete = (last.dt.day() < first.dt.day()) & ~month_ends
    return years * 12 + months - incomplete.cast(pl.Int64)
