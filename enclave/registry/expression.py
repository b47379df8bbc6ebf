"""What an expression of a definition is, once parsed: a closed list of typed nodes, and the numbers it may meet.

Truth has three values. A comparison with a missing value is unknown; NOT, AND and OR are Kleene's; a CASE whose
condition is unknown goes on to the next. Every engine that an expression is emitted for gives the same answer, which
is why numbers and dates have limits: within them no engine overflows, underflows or runs out of calendar. `intake`
refuses values beyond the limits, and a product that could leave them is refused when the expression is parsed.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

INTEGER_LIMIT = 2**31 - 1
"""the largest magnitude of an integer that a registry holds"""
DECIMAL_LIMIT = 1e15
"""the largest magnitude of a decimal that a registry holds; every decimal is finite"""
DECIMAL_LEAST = 1e-15
"""the smallest magnitude of a decimal that a registry holds, but zero"""
FIRST_DATE = date(1800, 1, 1)
LAST_DATE = date(2999, 12, 31)


class Type(StrEnum):
    """What an expression gives. Codes and texts are both text and compare by code point."""

    TRUTH = "truth value"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    TEXT = "text"


class Comparison(StrEnum):
    """How two values of one type compare; truth values only as equal or not."""

    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="


class Connective(StrEnum):
    """Kleene's AND and OR."""

    AND = "AND"
    OR = "OR"


class Operation(StrEnum):
    """Arithmetic on two numbers of one type."""

    PLUS = "+"
    MINUS = "-"
    TIMES = "*"


@dataclass(frozen=True)
class Column:
    """The value of a registry column in the row."""

    name: str
    type: Type


@dataclass(frozen=True)
class Literal:
    """A value written in the expression; a decimal is kept as digits x 10**-places, which every engine reads alike."""

    value: bool | int | str | date
    type: Type
    places: int = 0


@dataclass(frozen=True)
class Compare:
    """One comparison."""

    how: Comparison
    left: "Node"
    right: "Node"
    type: Type = Type.TRUTH


@dataclass(frozen=True)
class Among:
    """Whether a value is one of some literals (IN)."""

    value: "Node"
    literals: tuple[Literal, ...]
    type: Type = Type.TRUTH


@dataclass(frozen=True)
class Missing:
    """Whether a value is missing or unknown (IS NULL); never itself unknown."""

    value: "Node"
    type: Type = Type.TRUTH


@dataclass(frozen=True)
class Connect:
    """AND or OR over two truth values."""

    how: Connective
    left: "Node"
    right: "Node"
    type: Type = Type.TRUTH


@dataclass(frozen=True)
class Negate:
    """NOT: unknown stays unknown."""

    value: "Node"
    type: Type = Type.TRUTH


@dataclass(frozen=True)
class Case:
    """The result of the first condition that holds; without one, `otherwise`, or missing."""

    branches: tuple[tuple["Node", "Node"], ...]
    otherwise: "Node | None"
    type: Type


@dataclass(frozen=True)
class Calculate:
    """Arithmetic; missing where a part is."""

    how: Operation
    left: "Node"
    right: "Node"
    type: Type


@dataclass(frozen=True)
class Ratio:
    """`ratio(a, b)`: a divided by b as a decimal; missing where b is zero or a part is missing."""

    numerator: "Node"
    denominator: "Node"
    type: Type = Type.DECIMAL


@dataclass(frozen=True)
class DaysBetween:
    """`days_between(a, b)`: b − a in days, negative where b is earlier."""

    start: Column | Literal
    end: Column | Literal
    type: Type = Type.INTEGER


@dataclass(frozen=True)
class MonthsBetween:
    """`months_between(a, b)`: whole months from a to b.

    The largest n for which a moved n months ahead is not after b, where moving keeps the day of the month, or takes the
    month's last day if it is shorter: 31 January to 28 February (not a leap year) is one month, to 27 February none.
    Where b is before a it is −months_between(b, a).
    """

    start: Column | Literal
    end: Column | Literal
    type: Type = Type.INTEGER


@dataclass(frozen=True)
class Year:
    """`year(d)`: the calendar year of a date."""

    value: Column | Literal
    type: Type = Type.INTEGER


@dataclass(frozen=True)
class Length:
    """`length(t)`: the number of code points of a text."""

    value: "Node"
    type: Type = Type.INTEGER


Node = (
    Column | Literal | Compare | Among | Missing | Connect | Negate | Case | Calculate | Ratio | DaysBetween
    | MonthsBetween | Year | Length
)  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its node, the text it was written as, and the columns it reads, sorted."""

    text: str
    root: Node
    columns: tuple[str, ...]

    @property
    def type(self) -> Type:
        """What the expression gives."""
        return self.root.type


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node, in the order they are written."""
    match node:
        case Column() | Literal():
            return ()
        case Compare(_, left, right) | Connect(_, left, right) | Calculate(_, left, right):
            return (left, right)
        case Among(value, literals):
            return (value, *literals)
        case Missing(value) | Negate(value) | Year(value) | Length(value):
            return (value,)
        case Case(branches, otherwise):
            inside = tuple(part for branch in branches for part in branch)
            return inside if otherwise is None else (*inside, otherwise)
        case Ratio(first, second) | DaysBetween(first, second) | MonthsBetween(first, second):
            return (first, second)


def nodes(node: Node) -> tuple[Node, ...]:
    """A node and everything inside it."""
    return (node, *(inner for part in parts(node) for inner in nodes(part)))
