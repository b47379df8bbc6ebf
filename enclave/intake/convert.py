"""Texts to typed columns, and the faults that one field alone can have; pure and columnar.

Every mask is a Boolean column without nulls, True where the fault is. A field with a fault is null afterwards, so that
no later rule speaks of it again.
"""

from dataclasses import dataclass

import polars as pl

from enclave.registry.definition import Kind, Variable
from enclave.registry.expression import DECIMAL_LEAST, DECIMAL_LIMIT, FIRST_DATE, INTEGER_LIMIT, LAST_DATE

ANSWERS = {"ja": True, "1": True, "nei": False, "0": False}
# What programs write where an answer is missing; an export that does so may have lost more than this.
ERROR_WORDS = ("undefined", "null", "nan", "n/a", "#n/a", "#i/t", "#value!", "#verdi!", "#ref!", "#div/0!", "#name?")

CONTROL_CHARACTER = r"[[\p{Cc}\p{Cf}\x{FFFE}\x{FFFF}]--[\t\n\r]]"
INTEGER = r"^[+-]?[0-9]{1,10}$"
DECIMAL = r"^[+-]?[0-9]{1,15}([.,][0-9]{1,15})?$"
ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
NORWEGIAN_DATE = r"^[0-9]{2}\.[0-9]{2}\.[0-9]{4}$"
# Eleven digits as people write a national id. The control digits are not judged: a mistyped id also points at someone.
ELEVEN_DIGITS = r"(^|\D)\d{2}[\s./-]?\d{2}[\s./-]?\d{2}[\s./-]?\d{3}[\s./-]?\d{2}(\D|$)"
LONGEST_IDENTITY = 64  # characters of a person's or a course's number


@dataclass(frozen=True, repr=False)
class Converted:
    """One typed column, which fields had a text at all, and a mask for each rule that is broken somewhere."""

    values: pl.Series
    given: pl.Series
    faults: tuple[tuple[str, pl.Series], ...]


def trimmed(texts: pl.Series) -> pl.Series:
    """The texts without surrounding white space; an empty one is null."""
    return texts.str.strip_chars().replace({"": None})


def convert(texts: pl.Series, variable: Variable) -> Converted:
    """A trimmed column of texts as the variable's type."""
    faults: list[tuple[str, pl.Series]] = []
    kept = _without_unreadable(texts, variable, faults)
    values = _typed(kept, variable.kind)
    _mark(faults, "type", kept.is_not_null() & values.is_null())
    match variable.kind:
        case Kind.CODE:
            values = _known_codes(values, variable, faults)
        case Kind.INTEGER | Kind.DECIMAL:
            values = _in_range(values, variable, faults)
        case Kind.TEXT:
            values = _plain_text(values, variable, faults)
        case Kind.BOOLEAN | Kind.MULTI | Kind.DATE:
            pass
    return Converted(values, texts.is_not_null(), tuple(faults))


def convert_identity(texts: pl.Series) -> Converted:
    """A trimmed column of persons' or courses' numbers: as written, bounded in length, without hidden characters."""
    faults: list[tuple[str, pl.Series]] = []
    values = _refuse(texts, "control_character", texts.str.contains(CONTROL_CHARACTER), faults)
    # A course of this name would be everybody's whose program lost the number.
    values = _refuse(values, "undefined_literal", values.str.to_lowercase().is_in(ERROR_WORDS), faults)
    values = _refuse(values, "too_long", values.str.len_chars() > LONGEST_IDENTITY, faults)
    return Converted(values, texts.is_not_null(), tuple(faults))


def _without_unreadable(texts: pl.Series, variable: Variable, faults: list[tuple[str, pl.Series]]) -> pl.Series:
    kept = _refuse(texts, "control_character", texts.str.contains(CONTROL_CHARACTER), faults)
    codes = {code.value for code in variable.codes} if variable.kind is Kind.CODE else set()
    words = [word for word in ERROR_WORDS if word not in codes]
    return _refuse(kept, "undefined_literal", kept.str.to_lowercase().is_in(words), faults)


def _typed(texts: pl.Series, kind: Kind) -> pl.Series:
    match kind:
        case Kind.CODE | Kind.TEXT:
            return texts
        case Kind.BOOLEAN | Kind.MULTI:
            return texts.str.to_lowercase().replace_strict(ANSWERS, default=None, return_dtype=pl.Boolean)
        case Kind.INTEGER:
            return _where(texts, INTEGER).str.strip_prefix("+").cast(pl.Int64)
        case Kind.DECIMAL:
            numbers = _where(texts, DECIMAL).str.strip_prefix("+").str.replace(",", ".", literal=True).cast(pl.Float64)
            # Adding zero makes one zero of the two that floating point has.
            return numbers + 0.0
        case Kind.DATE:
            iso = _where(texts, ISO_DATE).str.to_date("%Y-%m-%d", strict=False)
            norwegian = _where(texts, NORWEGIAN_DATE).str.to_date("%d.%m.%Y", strict=False)
            dates = iso.zip_with(iso.is_not_null(), norwegian)
            return _null_where(dates, (dates < FIRST_DATE) | (dates > LAST_DATE))


def _known_codes(values: pl.Series, variable: Variable, faults: list[tuple[str, pl.Series]]) -> pl.Series:
    known = values.is_in([code.value for code in variable.codes])
    return _refuse(values, "code_unknown", ~known, faults)


def _in_range(values: pl.Series, variable: Variable, faults: list[tuple[str, pl.Series]]) -> pl.Series:
    limit = INTEGER_LIMIT if variable.kind is Kind.INTEGER else DECIMAL_LIMIT
    minimum = -limit if variable.minimum is None else max(variable.minimum, -limit)
    maximum = limit if variable.maximum is None else min(variable.maximum, limit)
    kept = _refuse(values, "below_minimum", values < minimum, faults)
    kept = _refuse(kept, "above_maximum", kept > maximum, faults)
    return _refuse(kept, "type", (kept != 0) & (kept.abs() < DECIMAL_LEAST), faults)


def _plain_text(values: pl.Series, variable: Variable, faults: list[tuple[str, pl.Series]]) -> pl.Series:
    # Both can be wrong with one text, and the sender should hear of both.
    too_long = values.str.len_chars() > variable.maximum_length
    identity = values.str.contains(ELEVEN_DIGITS)
    _mark(faults, "too_long", too_long)
    _mark(faults, "identity_in_text", identity)
    return _null_where(values, too_long | identity)


def _refuse(values: pl.Series, rule: str, mask: pl.Series, faults: list[tuple[str, pl.Series]]) -> pl.Series:
    _mark(faults, rule, mask)
    return _null_where(values, mask)


def _mark(faults: list[tuple[str, pl.Series]], rule: str, mask: pl.Series) -> None:
    certain = mask.fill_null(value=False)
    if certain.any():
        faults.append((rule, certain))


def _where(texts: pl.Series, pattern: str) -> pl.Series:
    return _null_where(texts, ~texts.str.contains(pattern))


def _null_where(values: pl.Series, mask: pl.Series) -> pl.Series:
    nothing = pl.Series(values.name, [None], dtype=values.dtype).new_from_index(0, len(values))
    return values.zip_with(~mask.fill_null(value=False), nothing)
