"""What a table of shares, transitions or response rates must hold; disclosure control relies on each of these."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from enclave.registry.definition import (
    Category,
    Definition,
    Form,
    Kind,
    ResponseTable,
    ShareTable,
    TransitionTable,
)
from enclave.registry.expression import Among, Column, Compare, Comparison, Expression, Literal, Type
from enclave.registry.expressions import ExpressionError, columns_of, parse
from enclave.registry.mistake import Found, repeated

Path = tuple[str | int, ...]
DERIVED = frozenset({"any", "none"})
"""category ids that only `union` makes"""


def table_mistakes(
    definition: Definition, table: ShareTable | TransitionTable | ResponseTable, path: Path
) -> Iterator[Found]:
    """Every mistake of one table."""
    forms = {form.id: form for form in definition.forms if form.subject == "person"}
    least = 2 if isinstance(table, TransitionTable) else 1
    if len(table.forms) < least:
        yield Found((*path, "forms"), f"names fewer than {least} form(s)", "name the first form and those after it")
    yield from repeated((*path, "forms"), table.forms)
    for number, name in enumerate(table.forms):
        if name not in forms:
            yield Found((*path, "forms", number), "names no form about a person", "name one of `forms`")
    known = [forms[name] for name in table.forms if name in forms]
    match table:
        case ShareTable():
            yield from _share(table, known, path)
        case TransitionTable():
            yield from _transition(table, known, path)
        case ResponseTable():
            for number, name in enumerate(table.forms):
                if name in forms and forms[name].due is None:
                    remedy = "name a follow-up, or write `due` in the form"
                    yield Found((*path, "forms", number), "names a form that never falls due", remedy)


def _share(table: ShareTable, forms: list[Form], path: Path) -> Iterator[Found]:
    if not table.categories:
        yield Found((*path, "categories"), "is empty", "write [[tables.categories]] with id, label and holds")
    yield from repeated((*path, "categories"), (category.id for category in table.categories))
    for number, category in enumerate(table.categories):
        if category.id in DERIVED:
            remedy = "name it otherwise; `union = true` adds these two"
            yield Found((*path, "categories", number, "id"), "is a name that we derive", remedy)
    yield from _flags(table, path)
    for form in forms:
        parsed: dict[int, Expression] = {}
        for number, category in enumerate(table.categories):
            expression = _parsed(category, columns_of(form))
            if isinstance(expression, Expression):
                parsed[number] = expression
            else:
                place = (*path, "categories", number, "holds")
                yield Found(place, f"{expression}, at {form.id}", "mend the expression; it must hold at each form")
        yield from _together(table, form, parsed, path)


def _flags(table: ShareTable, path: Path) -> Iterator[Found]:
    for flag in ("exclusive", "union"):
        if getattr(table, flag) and len(table.categories) < 2:
            yield Found((*path, flag), "stands in a table of one category", "remove it")
    if table.compared and len(table.forms) != 1:
        yield Found((*path, "compared"), "stands in a table of several forms", "compare institutions at one form")
    if table.exclusive and table.union:
        yield Found((*path, "union"), "stands in a table whose categories exclude each other", "remove one of the two")


def _parsed(category: Category, columns: Mapping[str, Kind]) -> Expression | str:
    try:
        expression = parse(category.holds, columns)
    except ExpressionError as error:
        return str(error)
    return expression if expression.type is Type.TRUTH else "is not a condition"


def _together(table: ShareTable, form: Form, parsed: Mapping[int, Expression], path: Path) -> Iterator[Found]:
    """Categories that could contain each other unseen: a count shown beside another would tell of few people."""
    for one, other in combinations(parsed, 2):
        place = (*path, "categories", other, "holds")
        if table.exclusive:
            if not _exclude(parsed[one], parsed[other]):
                remedy = "compare one variable with other codes in each category, as variable = 'code'"
                yield Found(place, f"is not seen to exclude an earlier category at {form.id}", remedy)
        elif set(parsed[one].columns) & set(parsed[other].columns):
            remedy = "write exclusive = true, or give it a table of its own"
            yield Found(place, f"reads what an earlier category reads at {form.id}", remedy)


def _exclude(one: Expression, other: Expression) -> bool:
    """Whether no row can be in both: each compares the same column with literals of its own."""
    first, second = _literals(one), _literals(other)
    return first is not None and second is not None and first[0] == second[0] and not first[1] & second[1]


def _literals(expression: Expression) -> tuple[str, frozenset[object]] | None:
    match expression.root:
        case Compare(Comparison.EQUAL, Column(name), Literal(value)):
            return name, frozenset({value})
        case Among(Column(name), literals):
            values = [literal.value for literal in literals if isinstance(literal, Literal)]
            return (name, frozenset(values)) if len(values) == len(literals) else None
    return None


def _transition(table: TransitionTable, forms: list[Form], path: Path) -> Iterator[Found]:
    codes: list[tuple[str, ...]] = []
    for form in forms:
        variable = next((each for each in form.variables if each.name == table.variable), None)
        if variable is None:
            yield Found((*path, "variable"), f"is no variable of {form.id}", "name one that each of the forms has")
        elif variable.kind is not Kind.CODE:
            yield Found((*path, "variable"), f"is not a code in {form.id}", "name a code variable")
        else:
            codes.append(tuple(code.value for code in variable.codes))
    if len(set(codes)) > 1:
        yield Found((*path, "variable"), "has other codes in another form", "give it the same codes in each form")
