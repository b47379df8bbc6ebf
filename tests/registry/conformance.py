"""The conformance table: expression, row, expected answer. Every engine gives exactly this answer.

A row gives a and b (integer), x and y (decimal), d and e (date), t and u (text), k (code), p and q (boolean); what is
not given is missing. The table is read by hand: no answer in it was computed by an engine.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from enclave.registry.definition import Kind

COLUMNS = {
    "a": Kind.INTEGER,
    "b": Kind.INTEGER,
    "x": Kind.DECIMAL,
    "y": Kind.DECIMAL,
    "d": Kind.DATE,
    "e": Kind.DATE,
    "t": Kind.TEXT,
    "u": Kind.TEXT,
    "k": Kind.CODE,
    "p": Kind.BOOLEAN,
    "q": Kind.BOOLEAN,
}


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    expression: str
    row: dict[str, Any]
    expected: Any


def _over(expression: str, *lines: tuple[dict[str, Any], Any]) -> list[Case]:
    return [Case(expression, row, expected) for row, expected in lines]


def _dates(expression: str, *lines: tuple[str, str, Any]) -> list[Case]:
    return [
        Case(expression, {"d": date.fromisoformat(start), "e": date.fromisoformat(end)}, expected)
        for start, end, expected in lines
    ]


T, F, N = True, False, None
TRUTHS: tuple[bool | None, ...] = (T, F, N)
AND = {(T, T): T, (T, F): F, (T, N): N, (F, T): F, (F, F): F, (F, N): F, (N, T): N, (N, F): F, (N, N): N}
OR = {(T, T): T, (T, F): T, (T, N): T, (F, T): T, (F, F): F, (F, N): N, (N, T): T, (N, F): N, (N, N): N}

THREE_VALUES = [
    *(Case("p AND q", {"p": p, "q": q}, AND[p, q]) for p in TRUTHS for q in TRUTHS),
    *(Case("p OR q", {"p": p, "q": q}, OR[p, q]) for p in TRUTHS for q in TRUTHS),
    *_over("NOT p", ({"p": T}, F), ({"p": F}, T), ({}, N)),
    *_over("p", ({"p": T}, T), ({"p": F}, F), ({}, N)),
    *_over("p = q", ({"p": T, "q": T}, T), ({"p": T, "q": F}, F), ({"p": T}, N), ({}, N)),
    *_over("p <> TRUE", ({"p": F}, T), ({"p": T}, F), ({}, N)),
    *_over("p = FALSE", ({"p": F}, T), ({"p": T}, F), ({}, N)),
    *_over("p IS NULL", ({"p": F}, F), ({}, T)),
    *_over("(a > 1) IS NULL", ({"a": 5}, F), ({"a": 0}, F), ({}, T)),
    *_over("NOT (a > 1)", ({"a": 0}, T), ({"a": 2}, F), ({}, N)),
    # AND binds more than OR, NOT more than AND and less than a comparison.
    *_over("p OR q AND a = 1", ({"p": T, "q": F, "a": 0}, T), ({"p": F, "q": T, "a": 1}, T)),
    *_over("p AND q OR a = 1", ({"p": F, "q": F, "a": 1}, T), ({"p": T, "q": T}, T), ({"p": T}, N)),
    *_over("NOT a = 1 AND p", ({"a": 2, "p": T}, T), ({"a": 1, "p": T}, F), ({"a": 1}, F), ({"p": T}, N)),
    *_over("NOT (a = 1 AND p)", ({"a": 2, "p": F}, T), ({"a": 1}, N)),
    *_over("NOT p OR q", ({"p": F}, T), ({"p": T}, N), ({"q": T}, T), ({"p": T, "q": F}, F)),
]

COMPARISONS = [
    *_over("a = 3", ({"a": 3}, T), ({"a": 4}, F), ({}, N)),
    *_over("a <> 3", ({"a": 3}, F), ({"a": 4}, T), ({}, N)),
    *_over("a != b", ({"a": 3, "b": 3}, F), ({"a": 4, "b": 3}, T), ({"a": 4}, N), ({}, N)),
    *_over("a < b", ({"a": 1, "b": 2}, T), ({"a": 2, "b": 2}, F), ({"b": 2}, N)),
    *_over("a <= b", ({"a": 2, "b": 2}, T), ({"a": 3, "b": 2}, F), ({"b": 2}, N)),
    *_over("a > -5", ({"a": -4}, T), ({"a": -5}, F), ({}, N)),
    *_over("a >= 2147483647", ({"a": 2**31 - 1}, T), ({"a": 2**31 - 2}, F)),
    *_over("a BETWEEN 1 AND 3", ({"a": 1}, T), ({"a": 3}, T), ({"a": 4}, F), ({"a": 0}, F), ({}, N)),
    *_over("a BETWEEN b AND 3", ({"a": 4}, F), ({"a": 2}, N), ({"a": 2, "b": 2}, T)),
    *_over("a NOT BETWEEN b AND 3", ({"a": 4}, T), ({"a": 2}, N), ({"a": 2, "b": 2}, F)),
    *_over("a BETWEEN 3 AND 1", ({"a": 2}, F), ({}, N)),
    *_over("a IN (1, 2, -3)", ({"a": 2}, T), ({"a": -3}, T), ({"a": 3}, F), ({}, N)),
    *_over("a NOT IN (1, 2)", ({"a": 2}, F), ({"a": 3}, T), ({}, N)),
    *_over("a IS NOT NULL", ({"a": 0}, T), ({}, F)),
    *_over("NOT a IS NULL", ({"a": 0}, T), ({}, F)),
]

DECIMALS = [
    *_over("x = 0.1", ({"x": 0.1}, T), ({"x": 0.1 + 2**-56}, F), ({}, N)),
    *_over("x + y = 0.3", ({"x": 0.1, "y": 0.2}, F), ({"x": 0.15, "y": 0.15}, T)),
    *_over("x < 0.000000000000001", ({"x": 1e-15}, F), ({"x": 0.0}, T)),
    *_over("x = 999999999999999", ({"x": 999999999999999.0}, T), ({"x": 1e15}, F)),
    *_over("x >= 2", ({"x": 2.0}, T), ({"x": 1.9999999999999998}, F)),
    *_over("x IN (1, 2.5)", ({"x": 1.0}, T), ({"x": 2.5}, T), ({"x": 2.0}, F), ({}, N)),
    *_over("x = -0.0", ({"x": 0.0}, T), ({"x": -0.0}, T)),
    *_over("x * y", ({"x": 1e15, "y": 1e15}, 1e30), ({"x": 1e-15, "y": -2.0}, -2e-15), ({"x": 1.0}, N)),
    *_over("x * x * x * x > 0", ({"x": 1e-15}, T), ({"x": 0.0}, F)),
    *_over("-x", ({"x": 2.5}, -2.5), ({}, N)),
    *_over("x - 1", ({"x": 2.5}, 1.5), ({}, N)),
]

ARITHMETIC = [
    *_over("a + b", ({"a": 2**31 - 1, "b": 2**31 - 1}, 2**32 - 2), ({"a": 1}, N)),
    *_over("a - b", ({"a": -(2**31) + 1, "b": 2**31 - 1}, -(2**32) + 2), ({"b": 1}, N)),
    *_over("a * b", ({"a": 2**31 - 1, "b": -(2**31) + 1}, -((2**31 - 1) ** 2)), ({"a": 0}, N)),
    *_over("a - -5", ({"a": 1}, 6)),
    *_over("-a + 2 * b", ({"a": 1, "b": 4}, 7)),
    *_over("(a + 2) * b", ({"a": 1, "b": 4}, 12)),
    *_over("a - b - 1", ({"a": 10, "b": 4}, 5)),
    *_over("2147483647 + a", ({"a": 1}, 2**31)),
    *_over("ratio(a, b)", ({"a": 1, "b": 3}, 1 / 3), ({"a": 1, "b": 0}, N), ({"a": 0, "b": -1}, 0.0), ({"b": 2}, N)),
    *_over("ratio(a, b)", ({"a": 7, "b": 2}, 3.5), ({"a": -7, "b": 2}, -3.5), ({"a": 0, "b": 0}, N), ({"a": 2}, N)),
    *_over("ratio(x, y) > 1", ({"x": 1.0, "y": 0.0}, N), ({"x": 1.0, "y": 0.5}, T), ({"x": 1.0, "y": -0.0}, N)),
    # Correctly rounded, a constant denominator too: not a multiplication by its reciprocal.
    *_over("ratio(a, 3)", *(({"a": a}, a / 3) for a in range(1, 30))),
    *_over("ratio(x, 3.7)", ({"x": 1.7}, 1.7 / 3.7), ({"x": 2.9}, 2.9 / 3.7), ({"x": 26.0}, 26 / 3.7), ({}, N)),
    *_over("ratio(a, ratio(1, 0))", ({"a": 1}, N)),
    *_over("ratio(1, a)", ({"a": 3}, 1 / 3), ({"a": 0}, N), ({}, N)),
    *_over("ratio(a, 2) >= 1.5", ({"a": 3}, T), ({"a": 2}, F)),
    *_over("ratio(a, b) IS NULL", ({"a": 1, "b": 0}, T), ({"a": 1, "b": 1}, F)),
]

DATES = [
    *_dates("d <= e", ("2024-02-29", "2024-02-29", T), ("2024-03-01", "2024-02-29", F)),
    *_dates("d < e", ("1999-12-31", "2000-01-01", T), ("2024-02-29", "2024-02-29", F)),
    *_over("d <= e", ({"d": date(2024, 1, 1)}, N), ({}, N)),
    *_over("d >= DATE '2017-02-03'", ({"d": date(2017, 2, 3)}, T), ({"d": date(2017, 2, 2)}, F), ({}, N)),
    *_over("d IN (DATE '2024-01-01')", ({"d": date(2024, 1, 1)}, T), ({"d": date(2024, 1, 2)}, F), ({}, N)),
    *_over("d BETWEEN DATE '1800-01-01' AND DATE '2999-12-31'", ({"d": date(1800, 1, 1)}, T), ({}, N)),
    *_dates(
        "days_between(d, e)",
        ("2024-02-28", "2024-03-01", 2),
        ("2023-02-28", "2023-03-01", 1),
        ("2024-03-01", "2024-02-28", -2),
        ("2024-03-31", "2024-03-31", 0),
        ("1800-01-01", "2999-12-31", 438290),
        ("1899-12-31", "1970-01-01", 25568),
    ),
    *_over("days_between(d, e)", ({"d": date(2024, 1, 1)}, N), ({"e": date(2024, 1, 1)}, N), ({}, N)),
    *_over("days_between(DATE '2024-01-01', e)", ({"e": date(2025, 1, 1)}, 366)),
    *_dates(
        "months_between(d, e)",
        ("2024-01-15", "2024-02-14", 0),
        ("2024-01-15", "2024-02-15", 1),
        ("2024-01-15", "2025-01-14", 11),
        ("2024-01-15", "2025-01-15", 12),
        # A month's last day completes the month of a longer one.
        ("2023-01-31", "2023-02-28", 1),
        ("2024-01-31", "2024-02-28", 0),
        ("2024-01-31", "2024-02-29", 1),
        ("2024-02-29", "2025-02-28", 12),
        ("2024-02-29", "2025-02-27", 11),
        ("2024-03-31", "2024-04-30", 1),
        ("2024-02-29", "2024-03-29", 1),
        ("2024-02-29", "2024-03-28", 0),
        ("2024-05-05", "2024-05-05", 0),
        # Backwards it is the same number, negative.
        ("2024-02-15", "2024-01-15", -1),
        ("2024-02-14", "2024-01-15", 0),
        ("2023-02-28", "2023-01-31", -1),
        ("1800-01-01", "2999-12-31", 14399),
        ("2999-12-31", "1800-01-01", -14399),
    ),
    *_over("months_between(d, e)", ({"d": date(2024, 1, 1)}, N), ({"e": date(2024, 1, 1)}, N), ({}, N)),
    *_over("months_between(d, DATE '2024-12-31') >= 12", ({"d": date(2023, 12, 31)}, T), ({}, N)),
    *_over("year(d)", ({"d": date(1800, 1, 1)}, 1800), ({"d": date(2999, 12, 31)}, 2999), ({}, N)),
    *_over("year(d) * 2 - a", ({"d": date(2024, 6, 1), "a": 48}, 4000)),
]

TEXTS = [
    *_over("t = 'å'", ({"t": "å"}, T), ({"t": "a"}, F), ({"t": "Å"}, F), ({"t": "å "}, F), ({}, N)),
    *_over("t = ''", ({"t": ""}, T), ({"t": " "}, F), ({}, N)),
    # By code point: capitals before small letters, å after z, an astral character after every other.
    *_over("t < u", ({"t": "Z", "u": "a"}, T), ({"t": "å", "u": "z"}, F), ({"t": "\uffff", "u": "\U0001f600"}, T)),
    *_over("t < u", ({"t": "a", "u": "a "}, T), ({"t": "", "u": "a"}, T), ({"t": "10", "u": "9"}, T), ({"t": "a"}, N)),
    *_over("t >= 'B'", ({"t": "b"}, T), ({"t": "A"}, F), ({"t": "æ"}, T), ({}, N)),
    *_over("t BETWEEN 'a' AND 'z'", ({"t": "ø"}, F), ({"t": "m"}, T), ({}, N)),
    *_over("k IN ('none', 'partial')", ({"k": "none"}, T), ({"k": "full"}, F), ({"k": "None"}, F), ({}, N)),
    *_over("k <> 'none' OR a = 0", ({"k": "full"}, T), ({"k": "none", "a": 0}, T), ({"k": "none"}, N), ({"a": 1}, N)),
    *_over("k = t", ({"k": "x", "t": "x"}, T), ({"k": "x", "t": "y"}, F), ({"k": "x"}, N)),
    *_over("length(t)", ({"t": ""}, 0), ({"t": "æøå"}, 3), ({"t": "\U0001f600e\u0301"}, 3), ({"t": " a "}, 3), ({}, N)),
]

CASES = [
    *_over("CASE WHEN p THEN 1 ELSE 2 END", ({"p": T}, 1), ({"p": F}, 2), ({}, 2)),
    *_over("CASE WHEN p THEN 1 END", ({"p": T}, 1), ({"p": F}, N), ({}, N)),
    *_over(
        "CASE WHEN p THEN a WHEN q THEN b ELSE -1 END",
        ({"p": T, "q": T, "a": 1, "b": 2}, 1),
        ({"q": T, "a": 1, "b": 2}, 2),
        ({"p": T, "b": 2}, N),
        ({"a": 1, "b": 2}, -1),
    ),
    *_over("CASE WHEN p THEN x ELSE 1 END", ({"p": T, "x": 0.5}, 0.5), ({"p": F, "x": 0.5}, 1.0)),
    *_over("CASE WHEN p THEN 1 ELSE 2.5 END * 2", ({"p": T}, 2.0), ({"p": F}, 5.0)),
    *_over("CASE WHEN p THEN q ELSE TRUE END", ({"p": T, "q": F}, F), ({"p": T}, N), ({}, T)),
    *_over("CASE WHEN p THEN 'yes' ELSE t END = 'yes'", ({"p": T}, T), ({"p": F, "t": "yes"}, T), ({"p": F}, N)),
    *_over("CASE WHEN p THEN d ELSE e END", ({"p": T, "d": date(2024, 1, 1)}, date(2024, 1, 1)), ({}, N)),
    *_over("CASE WHEN a > 0 THEN CASE WHEN b > 0 THEN 1 ELSE 2 END ELSE 3 END", ({"a": 1, "b": 1}, 1), ({"a": 1}, 2)),
    # The nutrition tree of the municipal registry, as an example of a rule with questions that depend on each other.
    *_over(
        "CASE WHEN p THEN TRUE WHEN q THEN TRUE WHEN a IS NOT NULL THEN a < 20 END",
        ({"p": T}, T),
        ({"p": F, "q": T}, T),
        ({"p": F, "q": F, "a": 19}, T),
        ({"p": F, "q": F, "a": 25}, F),
        ({"p": F, "q": F}, N),
    ),
]

TABLE = [*THREE_VALUES, *COMPARISONS, *DECIMALS, *ARITHMETIC, *DATES, *TEXTS, *CASES]
