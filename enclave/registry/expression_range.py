"""How large and how fine the numbers of an expression can become; decided when it is parsed, not when it runs.

A number's range is (top, bottom): its magnitude is at most top and it is a whole multiple of 2**bottom. Sums, products
and quotients of doubles stay within ranges reckoned so, roundings included, hence no engine overflows (PostgreSQL would
raise, Polars wrap, SQLite change type) or underflows (PostgreSQL would raise) where these limits hold.
"""

from enclave.registry.expression import (
    DECIMAL_LIMIT,
    INTEGER_LIMIT,
    Calculate,
    Case,
    Column,
    DaysBetween,
    Length,
    Literal,
    MonthsBetween,
    Node,
    Operation,
    Ratio,
    Type,
    Year,
    parts,
)

Range = tuple[int, int]

INTEGER: Range = (INTEGER_LIMIT, 0)
DECIMAL: Range = (int(DECIMAL_LIMIT), -102)  # the last bit of a double of at least 1e-15 > 2**-50 is worth 2**-102
INTEGER_TOP = 2**63 - 1
DECIMAL_TOP, DECIMAL_BOTTOM = 2**1000, -1000


def outside(node: Node) -> str:
    """The first operation whose numbers could leave what every engine handles alike, or ""."""
    for part in parts(node):
        if found := outside(part):
            return found
    match node:
        case Calculate(how) if not _fits(node):
            return {Operation.PLUS: "sum", Operation.MINUS: "difference", Operation.TIMES: "product"}[how]
        case Ratio() if not _fits(node):
            return "ratio"
    return ""


def _fits(node: Node) -> bool:
    top, bottom = _range(node)
    if node.type is Type.INTEGER:
        return top <= INTEGER_TOP
    return top <= DECIMAL_TOP and bottom >= DECIMAL_BOTTOM


def _range(node: Node) -> Range:  # noqa: PLR0911 -- one for each kind of number
    match node:
        case Calculate(Operation.TIMES, left, right):
            (left_top, left_bottom), (right_top, right_bottom) = _range(left), _range(right)
            return left_top * right_top, left_bottom + right_bottom
        case Calculate(_, left, right):
            (left_top, left_bottom), (right_top, right_bottom) = _range(left), _range(right)
            return left_top + right_top, min(left_bottom, right_bottom)
        case Ratio(numerator, denominator):
            (top, bottom), (below_top, below_bottom) = _range(numerator), _range(denominator)
            return top << -below_bottom, bottom - below_top.bit_length() - 54
        case Case(branches, otherwise):
            results = [result for _, result in branches] + ([] if otherwise is None else [otherwise])
            tops, bottoms = zip(*map(_range, results), strict=True)
            return max(tops), min(bottoms)
        case Literal(int() as value, kind):
            # A decimal written out has at most 15 digits, and so lies within those of a column.
            return (abs(value), 0) if kind is Type.INTEGER else DECIMAL
        case Column(_, kind):
            return INTEGER if kind is Type.INTEGER else DECIMAL
        case Year() | Length() | DaysBetween() | MonthsBetween():
            return INTEGER
    raise TypeError("a node that is no number")
