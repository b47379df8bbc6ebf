"""Parses the small SQL dialect of a definition's checks and indicators; nothing outside its closed list gets through.

Three gates, one after the other: the words (only column names, the dialect's own words, numbers, plain texts and a few
signs; no comment, cast, quote or other function can even be written), sqlglot's grammar, and our walker, which gives
every node a type and refuses what it does not know. There are no implicit casts: only a whole number written in the
expression may stand where a decimal is needed; `ratio(x, 1)` makes a decimal of a whole number.
"""

import re
from collections.abc import Mapping
from datetime import date

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from enclave.registry.definition import Form, Kind
from enclave.registry.expression import (
    FIRST_DATE,
    LAST_DATE,
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
    nodes,
)
from enclave.registry.expression_polars import to_polars
from enclave.registry.expression_range import outside
from enclave.registry.expression_sql import to_sql
from enclave.registry.expression_words import FUNCTIONS, PREFIX, ExpressionError, prepare

__all__ = ["ExpressionError", "columns_of", "parse", "to_polars", "to_sql"]

DIGITS_LIMIT = 15  # of a decimal: as many as every engine reads exactly

TYPES = {
    Kind.CODE: Type.TEXT,
    Kind.TEXT: Type.TEXT,
    Kind.BOOLEAN: Type.TRUTH,
    Kind.INTEGER: Type.INTEGER,
    Kind.DECIMAL: Type.DECIMAL,
    Kind.DATE: Type.DATE,
}


def columns_of(form: Form) -> dict[str, Kind]:
    """The kind of each registry column of a form; each option of a multi variable is a boolean column."""
    return {
        column: Kind.BOOLEAN if variable.kind is Kind.MULTI else variable.kind
        for variable in form.variables
        for column in variable.columns()
    }


def parse(text: str, columns: Mapping[str, Kind]) -> Expression:
    """The typed expression that `text` writes over `columns`; ExpressionError for everything else."""
    prepared = prepare(text, columns)
    try:
        statements = sqlglot.parse(prepared)
        tree = statements[0] if len(statements) == 1 else None
        if tree is None:
            raise ExpressionError("is not one expression")
        root = _Walker(columns).node(tree)
    except SqlglotError:
        raise ExpressionError(f"is not an expression of the dialect: {_shown(prepared)}") from None
    except RecursionError:
        raise ExpressionError("is nested too deeply") from None
    names = _columns_in(root)
    # A condition that is the same for every row is a mistake, and Polars would answer it once instead of for each row.
    if any(node.type is Type.TRUTH and not isinstance(node, Literal) and not _columns_in(node) for node in nodes(root)):
        raise ExpressionError("has a condition that reads no column")
    if not names:
        raise ExpressionError("reads no column")
    if part := outside(root):
        raise ExpressionError(f"can give numbers too large or too fine to compare exactly, by its {part}")
    return Expression(text, root, names)


def _columns_in(root: Node) -> tuple[str, ...]:
    return tuple(sorted({node.name for node in nodes(root) if isinstance(node, Column)}))


COMPARISONS: dict[type[exp.Expr], Comparison] = {
    exp.EQ: Comparison.EQUAL,
    exp.NEQ: Comparison.UNEQUAL,
    exp.LT: Comparison.LESS,
    exp.LTE: Comparison.AT_MOST,
    exp.GT: Comparison.GREATER,
    exp.GTE: Comparison.AT_LEAST,
}
CONNECTIVES: dict[type[exp.Expr], Connective] = {exp.And: Connective.AND, exp.Or: Connective.OR}
OPERATIONS: dict[type[exp.Expr], Operation] = {
    exp.Add: Operation.PLUS,
    exp.Sub: Operation.MINUS,
    exp.Mul: Operation.TIMES,
}


class _Walker:
    """Turns sqlglot's tree into ours, node by node; what it does not know it refuses."""

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self.columns = columns

    def node(self, tree: exp.Expr) -> Node:  # noqa: C901, PLR0911, PLR0912 -- one line for each node we know
        kind = type(tree)
        if kind in COMPARISONS:
            return self._compare(COMPARISONS[kind], *self._pair(tree), tree)
        if kind in CONNECTIVES:
            left, right = self._pair(tree)
            return Connect(CONNECTIVES[kind], self._truth(left, tree), self._truth(right, tree))
        if kind in OPERATIONS:
            return self._calculate(OPERATIONS[kind], *self._pair(tree), tree)
        match tree:
            case exp.Paren():
                return self.node(_only(tree, "this")["this"])
            case exp.Column():
                return self._column(tree)
            case exp.Literal() | exp.Boolean() | exp.Cast():
                return _literal(tree)
            case exp.Neg():
                return self._minus(self.node(_only(tree, "this")["this"]), tree)
            case exp.Not():
                return Negate(self._truth(self.node(_only(tree, "this")["this"]), tree))
            case exp.Is():
                return self._missing(tree)
            case exp.Between():
                return self._between(tree)
            case exp.In():
                return self._among(tree)
            case exp.Case():
                return self._case(tree)
            case exp.Anonymous():
                return self._function(tree)
        raise _not_known(tree)

    def _pair(self, tree: exp.Expr) -> tuple[Node, Node]:
        arguments = _only(tree, "this", "expression")
        return self.node(arguments["this"]), self.node(arguments["expression"])

    def _column(self, tree: exp.Column) -> Column:
        name = tree.name
        # Only what was quoted by `prepare` is a column; a word that sqlglot takes for one is a mistake of grammar.
        if not (isinstance(_only(tree, "this")["this"], exp.Identifier) and tree.this.quoted and name in self.columns):
            raise _not_known(tree)
        if self.columns[name] is Kind.MULTI:
            raise ExpressionError(f"names {name}, which is several columns; name one of its options, {name}_OPTION")
        return Column(name, TYPES[self.columns[name]])

    def _truth(self, node: Node, tree: exp.Expr) -> Node:
        if node.type is not Type.TRUTH:
            raise ExpressionError(f"needs truth values, not {_a(node.type)}, in: {_shown(tree)}")
        if isinstance(node, Literal):
            raise ExpressionError(f"has a condition that reads no column, in: {_shown(tree)}")
        return node

    def _compare(self, how: Comparison, left: Node, right: Node, tree: exp.Expr) -> Compare:
        left, right = _alike(left, right, tree)
        if left.type is Type.TRUTH and how not in (Comparison.EQUAL, Comparison.UNEQUAL):
            raise ExpressionError(f"orders truth values, which have no order, in: {_shown(tree)}")
        return Compare(how, left, right)

    def _between(self, tree: exp.Between) -> Connect:
        arguments = _only(tree, "this", "low", "high")
        value, low, high = (self.node(arguments[name]) for name in ("this", "low", "high"))
        return Connect(
            Connective.AND,
            self._compare(Comparison.AT_LEAST, value, low, tree),
            self._compare(Comparison.AT_MOST, value, high, tree),
        )

    def _among(self, tree: exp.In) -> Among:
        arguments = _only(tree, "this", "expressions")
        value = self.node(arguments["this"])
        literals: list[Literal] = []
        for item in arguments.get("expressions") or ():
            value, literal = _alike(value, self.node(item), tree)
            if not isinstance(literal, Literal):
                raise ExpressionError(f"looks among something else than written values, in: {_shown(tree)}")
            literals.append(literal)
        if not literals or value.type is Type.TRUTH:
            raise ExpressionError(f"looks among no written numbers, dates or texts, in: {_shown(tree)}")
        return Among(value, tuple(literals))

    def _missing(self, tree: exp.Is) -> Missing:
        arguments = _only(tree, "this", "expression")
        if not isinstance(arguments["expression"], exp.Null):
            raise ExpressionError(f"uses IS for something else than NULL, in: {_shown(tree)}")
        return Missing(self.node(arguments["this"]))

    def _case(self, tree: exp.Case) -> Case:
        arguments = _only(tree, "ifs", "default")
        conditions: list[Node] = []
        results: list[Node] = []
        for branch in arguments["ifs"]:
            inside = _only(branch, "this", "true")
            conditions.append(self._truth(self.node(inside["this"]), tree))
            results.append(self.node(inside["true"]))
        default = arguments.get("default")
        if default is not None:
            results.append(self.node(default))
        # Each result is made like the first that is not a written number, so that 1 may stand beside a decimal.
        model = next((node for node in results if not isinstance(node, Literal)), results[0])
        model = next((node for node in results if node.type is Type.DECIMAL), model)
        results = [_alike(node, model, tree)[0] for node in results]
        otherwise = results.pop() if default is not None else None
        return Case(tuple(zip(conditions, results, strict=True)), otherwise, model.type)

    def _calculate(self, how: Operation, left: Node, right: Node, tree: exp.Expr) -> Calculate:
        left, right = _alike(left, right, tree)
        return Calculate(how, _number(left, tree), right, left.type)

    def _minus(self, node: Node, tree: exp.Expr) -> Node:
        _number(node, tree)
        if isinstance(node, Literal) and isinstance(node.value, int):
            return Literal(-node.value, node.type, node.places)
        return Calculate(Operation.MINUS, Literal(0, node.type), node, node.type)

    def _function(self, tree: exp.Anonymous) -> Node:
        arguments = _only(tree, "this", "expressions")
        name = str(arguments["this"]).removeprefix(PREFIX)
        values = [self.node(item) for item in arguments.get("expressions") or ()]
        if len(values) != FUNCTIONS[name]:
            raise ExpressionError(f"gives {name} {len(values)} arguments; it takes {FUNCTIONS[name]}")
        match name:
            case "ratio":
                return Ratio(_number(values[0], tree), _number(values[1], tree))
            case "days_between":
                return DaysBetween(_date(values[0], tree), _date(values[1], tree))
            case "months_between":
                return MonthsBetween(_date(values[0], tree), _date(values[1], tree))
            case "year":
                return Year(_date(values[0], tree))
        if values[0].type is not Type.TEXT:
            raise ExpressionError(f"takes the length of {_a(values[0].type)}, in: {_shown(tree)}")
        return Length(values[0])


def _only(tree: exp.Expr, *names: str) -> dict[str, exp.Expr]:
    """The arguments of a node; any other that is set would be a meaning that we do not know."""
    if any(value for name, value in tree.args.items() if name not in names):
        raise _not_known(tree)
    return tree.args


def _literal(tree: exp.Expr) -> Literal:
    match tree:
        case exp.Boolean():
            return Literal(bool(tree.this), Type.TRUTH)
        case exp.Cast(this=exp.Literal(is_string=True)) if tree.to.this is exp.DType.DATE:
            return Literal(_calendar_day(tree.this.name), Type.DATE)
        case exp.Literal(is_string=True):
            return Literal(tree.name, Type.TEXT)
        case exp.Literal():
            whole, _, fraction = tree.name.partition(".")
            if len(whole.lstrip("0")) + len(fraction) > DIGITS_LIMIT:
                raise ExpressionError(f"has a number of more than {DIGITS_LIMIT} digits")
            return Literal(int(whole + fraction), Type.DECIMAL if fraction else Type.INTEGER, len(fraction))
    raise _not_known(tree)


def _calendar_day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        day = None
    if day is None or not FIRST_DATE <= day <= LAST_DATE:
        raise ExpressionError(f"has a date that is not written as DATE '2024-12-31', from {FIRST_DATE} to {LAST_DATE}")
    return day


def _alike(left: Node, right: Node, tree: exp.Expr) -> tuple[Node, Node]:
    """Both sides with one type; a whole number written out becomes a decimal beside a decimal, nothing else changes."""
    if isinstance(left, Literal) and (left.type, right.type) == (Type.INTEGER, Type.DECIMAL):
        left = Literal(left.value, Type.DECIMAL)
    if isinstance(right, Literal) and (right.type, left.type) == (Type.INTEGER, Type.DECIMAL):
        right = Literal(right.value, Type.DECIMAL)
    if left.type is not right.type:
        raise ExpressionError(f"puts {_a(left.type)} beside {_a(right.type)}, in: {_shown(tree)}")
    return left, right


def _number(node: Node, tree: exp.Expr) -> Node:
    if node.type not in (Type.INTEGER, Type.DECIMAL):
        raise ExpressionError(f"calculates with {_a(node.type)}, in: {_shown(tree)}")
    return node


def _date(node: Node, tree: exp.Expr) -> Column | Literal:
    if node.type is not Type.DATE or not isinstance(node, Column | Literal):
        raise ExpressionError(f"needs a date column or a date written out, in: {_shown(tree)}")
    return node


def _a(kind: Type) -> str:
    return f"an {kind}" if kind is Type.INTEGER else f"a {kind}"


def _not_known(tree: exp.Expr) -> ExpressionError:
    return ExpressionError(f"has a part that is not in the dialect: {_shown(tree)}")


def _shown(part: exp.Expr | str) -> str:
    """A part of the expression as it was written, shortened."""
    text = part if isinstance(part, str) else part.sql()
    return re.sub(rf"(?i)\b{PREFIX}(?=[a-z])", "", text.replace('"', ""))[:120]
