"""What a table of data quality must hold: forms and variables that exist, conditions with types, scales of numbers."""

from collections.abc import Generator, Iterator

from enclave.model.fault import Severity
from enclave.registry.definition import Definition, Form, Kind
from enclave.registry.expression import Type
from enclave.registry.expressions import ExpressionError, columns_of, parse
from enclave.registry.mistake import Found, repeated
from enclave.registry.quality import (
    WHOLE_FORM,
    AgreementTable,
    ConsistencyTable,
    CoverageTable,
    ImplausibleTable,
    MissingTable,
    QualityTable,
    RefusedTable,
)

Path = tuple[str | int, ...]


def quality_mistakes(definition: Definition, table: QualityTable, path: Path) -> Iterator[Found]:
    """Every mistake of one table."""
    match table:
        case CoverageTable():
            yield from _coverage(definition, table, path)
        case MissingTable():
            forms = yield from _forms(definition, table.forms, path)
            yield from _missing(table, forms, path)
        case ImplausibleTable():
            forms = yield from _forms(definition, table.forms, path)
            for number, form in enumerate(forms):
                if not any(check.severity is Severity.WARN for check in form.checks):
                    remedy = "leave the form out, or declare what is implausible in it"
                    yield Found((*path, "forms", number), "names a form without a check that warns", remedy)
        case AgreementTable():
            forms = yield from _forms(definition, table.forms, path)
            yield from _agreement(table, forms, path)
        case ConsistencyTable():
            forms = yield from _forms(definition, table.forms, path)
            yield from _consistency(table, forms, path)
        case RefusedTable():
            return


def _forms(definition: Definition, names: tuple[str, ...], path: Path) -> Generator[Found, None, list[Form]]:
    """Mistakes of a list of forms; returns those that are about a person, in its order."""
    persons = {form.id: form for form in definition.forms if form.subject == "person"}
    if not names:
        yield Found((*path, "forms"), "is empty", "name the forms that are counted")
    yield from repeated((*path, "forms"), names)
    for number, name in enumerate(names):
        if name not in persons:
            yield Found((*path, "forms", number), "names no form about a person", "name one of `forms`")
    return [persons[name] for name in names if name in persons]


def _coverage(definition: Definition, table: CoverageTable, path: Path) -> Iterator[Found]:
    form = next((form for form in definition.forms if form.id == table.form), None)
    if form is None or form.yearly is None:
        remedy = "name the form in which an institution tells its year, with `yearly`"
        yield Found((*path, "form"), "names no yearly form", remedy)
        return
    if form.key != (form.yearly.year,):
        remedy = "name a form with one row for each year"
        yield Found((*path, "form"), "names a form with several rows in a year", remedy)
    if not any(one.name == table.people and one.kind is Kind.INTEGER for one in form.variables):
        yield Found((*path, "people"), f"is no whole number of {form.id}", "name its number of patients")


def _missing(table: MissingTable, forms: list[Form], path: Path) -> Iterator[Found]:
    if not table.variables:
        yield Found((*path, "variables"), "is empty", "write [[tables.variables]] with variable, and asked_if")
    yield from repeated((*path, "variables"), (one.variable for one in table.variables))
    for number, one in enumerate(table.variables):
        place = (*path, "variables", number)
        having = [form for form in forms if any(each.name == one.variable for each in form.variables)]
        if not having or one.variable == WHOLE_FORM:
            yield Found((*place, "variable"), "is no variable of these forms", "name one that one of the forms has")
        for form in having:
            if any(each.name == one.variable and each.required for each in form.variables):
                text = f"is required in {form.id}, so that it is never missing"
                yield Found((*place, "variable"), text, "leave it out; rows without it are refused")
            if one.asked_if:
                yield from _condition(one.asked_if, form, (*place, "asked_if"))


def _agreement(table: AgreementTable, forms: list[Form], path: Path) -> Iterator[Found]:
    if table.first.strip() == table.second.strip():
        yield Found((*path, "second"), "is the same as `first`", "write the other question")
    for form in forms:
        for name in ("first", "second"):
            yield from _condition(getattr(table, name), form, (*path, name))


def _condition(text: str, form: Form, path: Path) -> Iterator[Found]:
    try:
        expression = parse(text, columns_of(form))
    except ExpressionError as error:
        yield Found(path, f"{error}, at {form.id}", "mend the expression; it must hold at each form")
        return
    if expression.type is not Type.TRUTH:
        yield Found(path, f"is not a condition, at {form.id}", "write a condition, as variable = 'code'")


def _consistency(table: ConsistencyTable, forms: list[Form], path: Path) -> Iterator[Found]:
    if len(set(table.items)) < 2:
        yield Found((*path, "items"), "names fewer than two items", "name the numbers that form one scale")
    yield from repeated((*path, "items"), table.items)
    for number, item in enumerate(table.items):
        for form in forms:
            found = next((one for one in form.variables if one.name == item), None)
            if found is None or found.kind not in (Kind.INTEGER, Kind.DECIMAL):
                text = f"is no number of {form.id}"
                yield Found((*path, "items", number), text, "name a number that each of the forms has")
    for form in forms:
        ranges = {(one.minimum, one.maximum) for one in form.variables if one.name in table.items}
        if len(ranges) > 1:
            text = f"have different ranges in {form.id}, and form no one scale"
            yield Found((*path, "items"), text, "name items that are answered on the same scale")
