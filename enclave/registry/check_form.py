"""What one form of a definition must hold: its variables, codes, identity columns, and the checks over its rows."""

from collections.abc import Iterator

from enclave.registry.definition import Definition, Form, Kind, SetCheck, Variable
from enclave.registry.expression import (
    DECIMAL_LIMIT,
    INTEGER_LIMIT,
    Among,
    Column,
    Compare,
    Expression,
    Literal,
    Type,
    nodes,
)
from enclave.registry.expression_words import WORDS, ExpressionError
from enclave.registry.expressions import columns_of, parse
from enclave.registry.mistake import Found, repeated

Path = tuple[str | int, ...]

TEXT_LIMIT = 10_000  # characters of a text variable
COLUMN_LIMIT = 63  # bytes of a PostgreSQL name; it would cut a longer one silently
STORE_COLUMNS = frozenset(
    {"row_id", "sender", "drop_uuid", "drop_number", "row", "content_digest", "log_id", "audit_seq"}
    | {"state_from", "state_to"}
)
"""the columns that `store` adds to every form's table"""
DATABASE_COLUMNS = frozenset({"rowid", "oid", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
RESERVED = STORE_COLUMNS | DATABASE_COLUMNS | {word.lower() for word in WORDS}

ALLOWED = {
    "unique": frozenset({"columns"}),
    "overlap": frozenset({"columns", "other_form", "other_column"}),
    "precedes": frozenset({"columns", "other_form", "other_column"}),
    "window": frozenset({"columns", "other_form", "other_column", "after_days", "before_days"}),
    "due": frozenset({"columns"}),
    "follows": frozenset({"columns", "other_form"}),
    "steady": frozenset({"columns"}),
    "drift": frozenset({"columns", "percent"}),
}
"""the keys that each kind of set check takes, beside those that all take"""
COLUMN_COUNTS = {"overlap": 2, "precedes": 1, "window": 1, "due": 1, "follows": 1, "drift": 1}
DATED = frozenset({"overlap", "precedes", "window", "due"})
KEY_KINDS = frozenset({Kind.CODE, Kind.TEXT, Kind.INTEGER, Kind.DATE})
KEY_TEXT_LIMIT = 60  # characters of a text in an institution form's key


def form_mistakes(definition: Definition, form: Form, path: Path) -> list[Found]:
    """Every mistake of one form, in its order."""
    found = [*_identity(form, path), *_dates(form, path), *_names(form, path)]
    found += [*_key(form, path), *_due(definition, form, path), *_yearly(form, path)]
    for number, variable in enumerate(form.variables):
        found += _variable(variable, (*path, "variables", number))
    found += repeated((*path, "checks"), (check.id for check in form.checks))
    identifiers = [check.id for check in form.checks] + [check.id for check in form.set_checks]
    found += repeated((*path, "set_checks"), identifiers, len(form.checks))
    for number, check in enumerate(form.checks):
        found += _expression(form, check.holds, (*path, "checks", number, "holds"))
    for number, set_check in enumerate(form.set_checks):
        found += _set_check(definition, form, set_check, (*path, "set_checks", number))
    return found


def _identity(form: Form, path: Path) -> Iterator[Found]:
    if form.subject == "institution":
        # `person_id` has a default, which means nothing in such a form; only a written one is a mistake.
        for name in ("person_id", "consent", "minimum_age", "due"):
            if name in form.model_fields_set and getattr(form, name) is not None:
                yield Found((*path, name), "stands in a form about an institution", "remove it")
    elif form.person_id is None:
        yield Found((*path, "person_id"), "is missing", "name the sender's column of the national number")
    elif form.person_id == form.reference:
        yield Found((*path, "reference"), "is also person_id", "name the sender's column of the course")
    if form.minimum_age is not None and not 0 <= form.minimum_age <= 120:
        yield Found((*path, "minimum_age"), "is not from 0 to 120", "write full years")


def _key(form: Form, path: Path) -> Iterator[Found]:
    """Which variables tell the rows of an institution's form apart; such a form has them or a `reference`."""
    variables = {variable.name: variable for variable in form.variables}
    if form.key and form.subject == "person":
        yield Found((*path, "key"), "stands in a form about a person", "remove it; `reference` names the course")
    elif form.key and "reference" in form.model_fields_set:
        yield Found((*path, "reference"), "stands beside key", "remove it; `key` tells the rows apart")
    elif form.subject == "institution" and not form.key and "reference" not in form.model_fields_set:
        yield Found((*path, "key"), "is missing", "name the variables that tell one row from another, as the year")
    yield from repeated((*path, "key"), form.key)
    for number, name in enumerate(form.key):
        here = (*path, "key", number)
        if name not in variables:
            yield Found(here, "names no variable of the form", "name one")
        elif variables[name].kind not in KEY_KINDS:
            yield Found(here, f"is a variable of kind {variables[name].kind}", "name a code, text, integer or date")
        elif not variables[name].required:
            yield Found(here, "names a variable that is not required", "write required = true in the variable")
        elif variables[name].kind is Kind.TEXT and variables[name].maximum_length > KEY_TEXT_LIMIT:
            remedy = f"write maximum_length = {KEY_TEXT_LIMIT} or less in the variable"
            yield Found(here, "is too long a text", remedy)


def _due(definition: Definition, form: Form, path: Path) -> Iterator[Found]:
    due = form.due
    if due is None:
        return
    other = next((candidate for candidate in definition.forms if candidate.id == due.form), None)
    if other is None or other.id == form.id or other.subject != "person":
        yield Found((*path, "due", "form"), "names no other form about a person", "name the form that it follows")
    elif columns_of(other).get(due.column) is not Kind.DATE:
        yield Found((*path, "due", "column"), f"names no date variable of {other.id}", "name one")
    if not 1 <= due.months <= 120:
        yield Found((*path, "due", "months"), "is not from 1 to 120", "write the months after that date")
    if not 0 <= due.tolerance_days <= 365:
        yield Found((*path, "due", "tolerance_days"), "is not from 0 to 365", "write the days to either side")


def _yearly(form: Form, path: Path) -> Iterator[Found]:
    yearly = form.yearly
    if yearly is None:
        return
    if form.subject != "institution":
        yield Found((*path, "yearly"), "stands in a form about a person", "remove it; `due` tells when it falls due")
    if yearly.year not in form.key or columns_of(form).get(yearly.year) is not Kind.INTEGER:
        yield Found((*path, "yearly", "year"), "names no integer variable of the key", "name the year's variable")
    if not (1 <= yearly.month <= 12 and 1 <= yearly.day <= 28):
        yield Found((*path, "yearly"), "is no day of every year", "write a month, and a day from 1 to 28")


def _dates(form: Form, path: Path) -> Iterator[Found]:
    variables = {variable.name: variable for variable in form.variables}
    for key in ("dated_by", "consent"):
        name = getattr(form, key)
        if name is None:
            continue
        if name not in variables or variables[name].kind is not Kind.DATE:
            yield Found((*path, key), "names no date variable of the form", "name one")
        elif key == "dated_by" and not variables[name].required:
            yield Found((*path, key), "names a variable that is not required", "write required = true in the variable")


def _names(form: Form, path: Path) -> Iterator[Found]:
    """Column names that collide with each other, with ours, with the sender's identity columns, or with the dialect."""
    identities = set() if form.key else {form.reference}
    if form.subject == "person" and form.person_id is not None:
        identities.add(form.person_id)
    seen: set[str] = set()
    for number, variable in enumerate(form.variables):
        here = (*path, "variables", number, "name")
        for column in dict.fromkeys((variable.name, *variable.columns())):
            if column in RESERVED:
                yield Found(here, f"makes the name {column}, which is reserved", "choose another name")
            if column in identities:
                yield Found(here, f"makes the name {column}, which is an identity column", "choose another name")
            if column in seen:
                yield Found(here, f"makes the name {column} a second time", "choose another name")
            if len(column) > COLUMN_LIMIT:
                yield Found(here, f"makes a column name longer than {COLUMN_LIMIT}", "choose a shorter name or code")
            seen.add(column)


def _variable(variable: Variable, path: Path) -> Iterator[Found]:
    yield from repeated((*path, "codes"), (code.value for code in variable.codes))
    if variable.kind in (Kind.CODE, Kind.MULTI):
        if not variable.codes:
            yield Found((*path, "codes"), "is empty", "write the permitted answers")
    elif variable.codes:
        yield Found((*path, "codes"), f"stands in a variable of kind {variable.kind}", "remove it, or change the kind")
    if variable.required and variable.kind is Kind.MULTI:
        yield Found((*path, "required"), "stands in a multi variable", "remove it, and write a check over its options")
    yield from _limits(variable, path)
    if "maximum_length" in variable.model_fields_set and variable.kind is not Kind.TEXT:
        yield Found((*path, "maximum_length"), f"stands in a variable of kind {variable.kind}", "remove it")
    if not 1 <= variable.maximum_length <= TEXT_LIMIT:
        yield Found((*path, "maximum_length"), f"is not from 1 to {TEXT_LIMIT}", "write a number of characters")


def _limits(variable: Variable, path: Path) -> Iterator[Found]:
    limit = {Kind.INTEGER: float(INTEGER_LIMIT), Kind.DECIMAL: DECIMAL_LIMIT}.get(variable.kind)
    for name in ("minimum", "maximum"):
        value = getattr(variable, name)
        if value is None:
            continue
        if limit is None:
            yield Found((*path, name), f"stands in a variable of kind {variable.kind}", "remove it")
        elif abs(value) > limit or (variable.kind is Kind.INTEGER and value != int(value)):
            yield Found((*path, name), "is no number that the registry can hold", "write a smaller or a whole number")
    if variable.minimum is not None and variable.maximum is not None and variable.minimum > variable.maximum:
        yield Found((*path, "maximum"), "is below minimum", "exchange them, or mend one")


def _expression(form: Form, text: str, path: Path) -> Iterator[Found]:
    try:
        expression = parse(text, columns_of(form))
    except ExpressionError as error:
        yield Found(path, str(error), "write it in the dialect that `registry document` describes")
        return
    if expression.type is not Type.TRUTH:
        yield Found(path, f"gives a {expression.type}, not a truth value", "write what must hold, with a comparison")
    for name in _unknown_codes(form, expression):
        yield Found(path, f"compares {name} with a code that it does not have", "mend the code, or add it to `codes`")


def _unknown_codes(form: Form, expression: Expression) -> Iterator[str]:
    coded = [variable for variable in form.variables if variable.kind is Kind.CODE]
    codes = {variable.name: {code.value for code in variable.codes} for variable in coded}
    for node in nodes(expression.root):
        match node:
            case Compare(_, Column(name), Literal() as literal) | Compare(_, Literal() as literal, Column(name)):
                literals: tuple[Literal, ...] = (literal,)
            case Among(Column(name), literals):
                pass
            case _:
                continue
        if name in codes and any(literal.value not in codes[name] for literal in literals):
            yield name


def _set_check(definition: Definition, form: Form, check: SetCheck, path: Path) -> Iterator[Found]:
    for key in ("other_form", "other_column", "after_days", "before_days", "percent"):
        if getattr(check, key) is not None and key not in ALLOWED[check.kind]:
            yield Found((*path, key), f"does not belong to {check.kind}", "remove it")
    needs_other = check.kind != "overlap" or check.other_form is not None or check.other_column is not None
    expected = 1 if check.kind == "overlap" and check.other_form else COLUMN_COUNTS.get(check.kind)
    if not check.columns or (expected is not None and len(check.columns) != expected):
        yield Found((*path, "columns"), f"does not name {expected or 'any'} column(s)", "name them")
    kinds = columns_of(form)
    for number, name in enumerate(check.columns):
        if name not in kinds:
            yield Found((*path, "columns", number), "names no column of the form", "name one")
        elif check.kind in DATED and kinds[name] is not Kind.DATE:
            yield Found((*path, "columns", number), "is not a date", "name a date variable")
    yield from repeated((*path, "columns"), check.columns)
    if "other_form" in ALLOWED[check.kind] and needs_other:
        yield from _other(definition, form, check, path)
    yield from _settings(form, check, path)


def _settings(form: Form, check: SetCheck, path: Path) -> Iterator[Found]:
    if check.kind == "due" and form.due is None:
        yield Found((*path, "kind"), "is due in a form that never falls due", "write `due` in the form")
    if check.kind == "window":
        yield from _window(check, path)
    if check.kind == "drift" and (check.percent is None or not 0 < check.percent <= 100):
        yield Found((*path, "percent"), "is missing or not above 0 and at most 100", "write the percentage points")


def _other(definition: Definition, form: Form, check: SetCheck, path: Path) -> Iterator[Found]:
    other = next((candidate for candidate in definition.forms if candidate.id == check.other_form), None)
    if other is None or other.id == form.id or other.subject != form.subject:
        yield Found((*path, "other_form"), "names no other form of the same subject", "name one of `forms`")
    elif "other_column" in ALLOWED[check.kind] and columns_of(other).get(str(check.other_column)) is not Kind.DATE:
        yield Found((*path, "other_column"), f"names no date variable of {other.id}", "name one")


def _window(check: SetCheck, path: Path) -> Iterator[Found]:
    if check.after_days is None and check.before_days is None:
        yield Found((*path, "after_days"), "is missing, and before_days too", "write one of them or both")
    elif check.after_days is not None and check.before_days is not None and check.after_days > check.before_days:
        yield Found((*path, "before_days"), "is below after_days", "exchange them, or mend one")
