"""The words and signs that an expression may be written in; whatever else stands there is refused before parsing."""

import re
from collections.abc import Collection

TEXT_LIMIT = 2_000  # characters of one expression
TOKEN_LIMIT = 300
NESTING_LIMIT = 12  # brackets and CASEs inside each other

WORDS = frozenset(
    {"AND", "OR", "NOT", "IS", "NULL", "IN", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "TRUE", "FALSE", "DATE"}
)
FUNCTIONS = {"ratio": 2, "days_between": 2, "months_between": 2, "year": 1, "length": 1}
"""each function and how many arguments it takes"""

OPENING, CLOSING, PREFIXES = {"(", "CASE"}, {")", "END"}, {"-", "NOT"}

TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9]+(?:\.[0-9]+)?(?![0-9A-Za-z_.]))
      | '(?P<text>[^'\\:%\x00-\x1f\x7f\ud800-\udfff]*)'(?!')
      | (?P<sign><>|!=|<=|>=|[<>=()+*,]|-(?!-))""",
    re.VERBOSE,
)
PREFIX = "x_"  # keeps sqlglot from taking our functions for its own


class ExpressionError(ValueError):
    """An expression that is not in the dialect or whose types do not fit; says which part."""


def prepare(text: str, columns: Collection[str]) -> str:
    """The expression with its columns quoted and its functions marked; ExpressionError for any other word or sign."""
    if len(text) > TEXT_LIMIT:
        raise ExpressionError(f"is longer than {TEXT_LIMIT} characters")
    prepared: list[str] = []
    depth = prefixes = position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"has a character that the dialect does not know, at position {position + 1}")
        written = match.group()
        position = match.end()
        if match.lastgroup == "space":
            continue
        depth += (written.upper() in OPENING) - (written.upper() in CLOSING)
        prefixes = prefixes + 1 if written.upper() in PREFIXES else 0
        if depth > NESTING_LIMIT or prefixes > 2:
            raise ExpressionError(f"is nested too deeply, at position {match.start() + 1}")
        is_word = match.lastgroup == "word"
        prepared.append(_word(written, match.start(), text[position:], columns) if is_word else written)
    if len(prepared) > TOKEN_LIMIT:
        raise ExpressionError(f"has more than {TOKEN_LIMIT} words and signs")
    if not prepared:
        raise ExpressionError("is empty")
    return " ".join(prepared)


def _word(word: str, start: int, rest: str, columns: Collection[str]) -> str:
    if word.lower() in FUNCTIONS and rest.lstrip().startswith("("):
        return PREFIX + word.lower()
    if word in columns:
        return f'"{word}"'
    if word.upper() in WORDS:
        return word.upper()
    raise ExpressionError(f"names {word[:60]}, neither a column of the form nor a word, at position {start + 1}")
