"""What is not in the dialect is refused, and nothing but ExpressionError comes of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.registry.definition import Kind
from enclave.registry.expression import DECIMAL_LEAST, DECIMAL_LIMIT, INTEGER_LIMIT
from enclave.registry.expression_words import FUNCTIONS, WORDS, ExpressionError
from enclave.registry.expressions import parse, to_polars, to_sql
from tests.registry.conformance import COLUMNS

REFUSED = {
    # words and signs
    "": "is empty",
    "   ": "is empty",
    "z = 1": "names z",
    "A = 1": "names A",
    "a = 1 -- b": "does not know",
    "a = 1 --1": "does not know",
    "a /* b */ = 1": "does not know",
    "a = 1; DROP TABLE person": "does not know",
    '"a" = 1': "does not know",
    "`a` = 1": "does not know",
    "[a] = 1": "does not know",
    "a::text = '1'": "does not know",
    "a % 2 = 0": "does not know",
    "a / 2 = 0": "does not know",
    "t || u = 'ab'": "does not know",
    "a = :b": "does not know",
    "a = ?": "does not know",
    "a = 1e5": "does not know",
    "a = 0x10": "does not know",
    "x = .5": "does not know",
    "x = 1.": "does not know",
    "t = 'a''b'": "does not know",
    "t = 'a\\'": "does not know",
    "t = 'a:b'": "does not know",
    "t = '100%'": "does not know",
    "t = 'a\nb'": "does not know",
    "t = 'a": "does not know",
    "t = E'a'": "names E",
    "t LIKE 'a'": "names LIKE",
    "cast(a AS DATE) = d": "names cast",
    "a IN (SELECT 1)": "names SELECT",
    "sum(a) > 1": "names sum",
    "coalesce(a, 1) > 1": "names coalesce",
    "random() > 1": "names random",
    "row.a = 1": "names row",
    "exists(a)": "names exists",
    "a = current_date": "names current_date",
    # grammar
    "a =": "not an expression",
    "= 1": "not an expression",
    "(a = 1": "not an expression",
    "a = 1)": "not an expression",
    "a = 1 a = 2": "not",
    "a b = 1": "not",
    "(a, b) = (1, 2)": "not in the dialect",
    "a IN 5": "not in the dialect",
    "a IN ()": "no written",
    "CASE a WHEN 1 THEN TRUE END": "not in the dialect",
    "CASE WHEN p END": "not an expression",
    "a = NULL": "not in the dialect",
    "p IS TRUE": "something else than NULL",
    "DATE(d) = d": "not in the dialect",
    "a BETWEEN 1": "not an expression",
    # types
    "a = 'x'": "an integer beside a text",
    "a = 1.5": "an integer beside a decimal",
    "x = a": "a decimal beside an integer",
    "a + x > 1": "an integer beside a decimal",
    "t > 5": "a text beside an integer",
    "d > '2024-01-01'": "a date beside a text",
    "d > 20240101": "a date beside an integer",
    "p = 1": "a truth value beside an integer",
    "p > q": "orders truth values",
    "p IN (TRUE)": "no written",
    "p + q > 1": "calculates with a truth value",
    "d + 1 > d": "a date beside an integer",
    "d - d > 1": "calculates with a date",
    "t + u = 'ab'": "calculates with a text",
    "-t = 'a'": "calculates with a text",
    "-p": "calculates with a truth value",
    "a AND p": "needs truth values",
    "p OR d": "needs truth values",
    "NOT a": "needs truth values",
    "1 < a < 3": "a truth value beside an integer",
    "CASE WHEN a THEN 1 END = 1": "needs truth values",
    "CASE WHEN p THEN 1 ELSE 'x' END = 1": "beside",
    "a IN (1, 'x')": "beside",
    "a IN (b)": "something else than written values",
    "a IN (1, NULL)": "not in the dialect",
    "length(a) > 1": "the length of an integer",
    "year(t) = 2024": "needs a date column",
    "days_between(d, 'x') = 1": "needs a date column",
    "days_between(d, CASE WHEN p THEN d END) = 1": "needs a date column",
    "ratio(a, p) > 1": "calculates with a truth value",
    "ratio(a) > 1": "gives ratio 1 arguments; it takes 2",
    "year() = 1": "gives year 0 arguments; it takes 1",
    "length(t, u) = 1": "gives length 2 arguments; it takes 1",
    # values
    "d > DATE '2024-02-30'": "not written as DATE",
    "d > DATE '01.02.2024'": "not written as DATE",
    "d > DATE '1799-12-31'": "from 1800-01-01",
    "d > DATE '3000-01-01'": "to 2999-12-31",
    "a = 1234567890123456": "more than 15 digits",
    "x = 0.1234567890123456": "more than 15 digits",
    "1 = 1": "reads no column",
    "TRUE": "reads no column",
    "p AND TRUE": "reads no column",
    "p OR 1 = 1": "reads no column",
    "CASE WHEN FALSE THEN p END": "reads no column",
    # sizes
    "a * a * a > 1": "by its product",
    "a * b + a * b + a * b > 1": "by its sum",
    "x * x + ratio(1, x * x * x * x * x * x * x * x * x * x) > 1": "by its product",
    "x * x * x * x * x * x * x * x * x * x * x > 1": "by its product",
    "(" * 13 + "p" + ")" * 13: "nested too deeply",
    "NOT NOT NOT p": "nested too deeply",
    "- - - a = 1": "nested too deeply",
    "p" + " AND p" * 200: "words and signs",
    "t = '" + "a" * 2000 + "'": "longer than 2000",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_in_the_dialect_is_refused_with_its_reason(text: str) -> None:
    """Each foreign word, sign, grammar, type, value and size is refused, and the reason says which."""
    with pytest.raises(ExpressionError) as refused:
        parse(text, COLUMNS)

    assert REFUSED[text] in str(refused.value)


def test_a_multi_variable_is_named_by_its_options() -> None:
    """A multi variable is several columns and cannot be compared as one."""
    with pytest.raises(ExpressionError, match="benefits_OPTION"):
        parse("benefits = 'none'", {"benefits": Kind.MULTI})


@pytest.mark.parametrize("name", ["interval", "select", "current_date", "order", "any", "values", "ratio", "x_year"])
def test_a_column_may_bear_a_word_of_sql(name: str) -> None:
    """A column whose name is a word of SQL, but not of the dialect, is a column wherever it stands."""
    expression = parse(f"{name} >= 2 AND {name} IN (2, 3)", {name: Kind.INTEGER})

    assert expression.columns == (name,)
    assert f'"{name}"' in to_sql(expression, "postgres")
    assert f"[{name}]" in to_sql(expression, "sqlite")


def test_the_limits_are_those_that_ranges_are_reckoned_with() -> None:
    """The largest and smallest numbers of a registry lie within the ranges that decide whether a product is safe."""
    from enclave.registry.expression_range import DECIMAL, INTEGER

    assert INTEGER == (INTEGER_LIMIT, 0)
    assert DECIMAL[0] == DECIMAL_LIMIT
    assert (DECIMAL_LEAST / 2.0 ** DECIMAL[1]).is_integer()


FRAGMENTS = st.sampled_from(
    [*COLUMNS, *WORDS, *FUNCTIONS, "(", ")", ",", "=", "<>", "<", "-", "+", "*", "1", "2.5", "'a'", "DATE '2024-01-01'"]
)
TEXTS = st.text(max_size=60) | st.lists(FRAGMENTS, max_size=25).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
def test_parsing_raises_nothing_but_its_own_error(text: str) -> None:
    """Whatever is written either parses, and then every engine's form can be made, or is an ExpressionError."""
    try:
        expression = parse(text, COLUMNS)
    except ExpressionError:
        return

    assert expression.columns
    for emitted in (to_sql(expression, "sqlite"), to_sql(expression, "postgres")):
        assert not set(emitted) & set(";:%?\\")
    to_polars(expression)


@pytest.mark.parametrize(
    "text", [" OR ".join(["p"] * 150), " + ".join(["a"] * 140) + " > 1", "(" * 12 + "p" + ")" * 12]
)
def test_the_largest_expressions_are_still_emitted(text: str) -> None:
    """An expression at the limits is parsed and emitted without running out of stack."""
    expression = parse(text, COLUMNS)

    assert to_sql(expression, "sqlite")
    to_polars(expression)
