"""What a definition must hold beyond its shape: names that exist, dates in order, expressions with types, floors.

Pure: a definition in, every mistake out. What lies within one form is in `check_form.py`.
"""

from collections.abc import Iterator
from datetime import date

from pydantic import BaseModel

from enclave.registry.check_form import form_mistakes
from enclave.registry.check_loan import linkage_mistakes
from enclave.registry.check_quality import quality_mistakes
from enclave.registry.check_table import table_mistakes
from enclave.registry.definition import (
    ChangeTable,
    Definition,
    Disclosure,
    Kind,
    Label,
    Loan,
    LoanShareTable,
    ResponseTable,
    ShareTable,
    Table,
    TransitionTable,
    Valid,
    Variable,
)
from enclave.registry.mistake import Found, Mistake, Place, repeated

LABEL_LIMIT = 300  # characters


def check(definition: Definition, place: Place) -> list[Mistake]:
    """Every mistake of the definition: its own first, then form by form, loan by loan, table by table."""
    found: list[Found] = [
        *_registry(definition),
        *_everywhere(definition, definition, ()),
        *repeated(("forms",), (form.id for form in definition.forms)),
        *repeated(("loans",), (loan.id for loan in definition.loans)),
        *repeated(("tables",), (table.id for table in definition.tables)),
    ]
    for number, form in enumerate(definition.forms):
        found += form_mistakes(definition, form, ("forms", number))
    for number, loan in enumerate(definition.loans):
        found += _loan(definition, loan, ("loans", number))
    for number, table in enumerate(definition.tables):
        found += _table(definition, table, ("tables", number))
    return [Mistake(*place.of(one.path), one.text, one.remedy) for one in found]


def _registry(definition: Definition) -> Iterator[Found]:
    if not 1 <= definition.retention_days <= 3650:
        yield Found(("retention_days",), "is not from 1 to 3650", "write the days that a settled drop's key is kept")
    for name in ("version", "source"):
        if not getattr(definition, name).strip():
            yield Found((name,), "is empty", "write it")
    yield from _legal_bases(definition)
    yield from _floors(definition.disclosure)
    first = next((form for form in definition.forms if form.id == definition.period_form), None)
    if first is None:
        yield Found(("period_form",), "names no form", "name one of `forms`")
    elif first.subject != "person":
        yield Found(("period_form",), "names a form that is not about a person", "name the form that begins a course")
    elif first.consent is None and any(basis.kind == "consent" for basis in definition.legal_bases):
        number = definition.forms.index(first)
        text = "is missing while the legal basis is consent"
        yield Found(("forms", number, "consent"), text, "name the date variable")


def _legal_bases(definition: Definition) -> Iterator[Found]:
    bases = definition.legal_bases
    if not bases:
        yield Found(("legal_bases",), "is empty", "write what allows the registry to hold data")
    for number, basis in enumerate(bases):
        if not basis.source.strip():
            yield Found(("legal_bases", number, "source"), "is empty", "name the document")
        if any(_overlap(basis, other) for other in bases[:number]):
            remedy = "let one end before the next begins"
            yield Found(("legal_bases", number, "valid_from"), "overlaps another legal basis", remedy)


def _overlap(one: Valid, other: Valid) -> bool:
    latest_start = max(one.valid_from or date.min, other.valid_from or date.min)
    return latest_start <= min(one.valid_to or date.max, other.valid_to or date.max)


def _floors(disclosure: Disclosure) -> Iterator[Found]:
    floors = Disclosure()
    for name in Disclosure.model_fields:
        floor = getattr(floors, name)
        if getattr(disclosure, name) < floor:
            yield Found(("disclosure", name), f"is below the floor of {floor}", f"write {floor} or more")
    if disclosure.minimum_denominator < disclosure.minimum_count:
        yield Found(("disclosure", "minimum_denominator"), "is below minimum_count", "write at least minimum_count")


def _everywhere(definition: Definition, model: BaseModel, path: tuple[str | int, ...]) -> Iterator[Found]:
    """Mistakes that any label or validity can have, wherever it stands."""
    if isinstance(model, Label):
        yield from _label(model, path, needs_swedish=definition.country == "se")
        return
    if isinstance(model, Valid) and model.valid_from and model.valid_to and model.valid_from > model.valid_to:
        yield Found((*path, "valid_to"), "is before valid_from", "write the last valid day, or leave it out")
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _everywhere(definition, value, (*path, name))
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _everywhere(definition, item, (*path, name, number))


def _label(label: Label, path: tuple[str | int, ...], *, needs_swedish: bool) -> Iterator[Found]:
    for language in Label.model_fields:
        text = getattr(label, language)
        if not text.strip():
            if language != "sv" or needs_swedish:
                yield Found((*path, language), "is missing", "write the label in this language")
        elif len(text) > LABEL_LIMIT or not text.isprintable():
            yield Found(
                (*path, language), f"is longer than {LABEL_LIMIT} or not one printable line", "write one short line"
            )


def _loan(definition: Definition, loan: Loan, path: tuple[str | int, ...]) -> Iterator[Found]:
    yield from repeated((*path, "variables"), (loan.person_id, loan.month, *(item.name for item in loan.variables)), 2)
    if loan.person_id == loan.month:
        yield Found((*path, "month"), "is also person_id", "name the lender's column of the month")
    if not loan.lender.strip():
        yield Found((*path, "lender"), "is empty", "name the lender")
    if not loan.variables:
        yield Found((*path, "variables"), "is empty", "name what is borrowed")
    for number, variable in enumerate(loan.variables):
        if variable.kind is not Kind.BOOLEAN:
            yield Found((*path, "variables", number, "kind"), "is not boolean", 'write kind = "boolean"')
    yield from linkage_mistakes(definition, loan, path)


def _table(definition: Definition, table: Table, path: tuple[str | int, ...]) -> Iterator[Found]:
    match table:
        case ChangeTable():
            yield from _change(definition, table, path)
        case LoanShareTable():
            yield from _loan_share(definition, table, path)
        case ShareTable() | TransitionTable() | ResponseTable():
            yield from table_mistakes(definition, table, path)
        case _:
            yield from quality_mistakes(definition, table, path)


def _change(definition: Definition, table: ChangeTable, path: tuple[str | int, ...]) -> Iterator[Found]:
    if len(table.forms) < 2:
        yield Found((*path, "forms"), "names fewer than two forms", "name the first form and those after it")
    if not 0 <= table.decimals <= 6:
        yield Found((*path, "decimals"), "is not from 0 to 6", "write how many decimals are shown")
    yield from repeated((*path, "forms"), table.forms)
    for number, name in enumerate(table.forms):
        variables = _variables(definition, name)
        if variables is None:
            yield Found((*path, "forms", number), "names no form", "name one of `forms`")
        elif table.variable not in variables:
            yield Found((*path, "variable"), f"is no variable of {name}", "name one that each of the forms has")
        elif variables[table.variable].kind not in (Kind.INTEGER, Kind.DECIMAL):
            yield Found((*path, "variable"), f"is not a number in {name}", "name an integer or decimal variable")


def _loan_share(definition: Definition, table: LoanShareTable, path: tuple[str | int, ...]) -> Iterator[Found]:
    if table.loan not in {loan.id for loan in definition.loans}:
        yield Found((*path, "loan"), "names no loan", "name one of [[loans]]")
    if not 1 <= table.months <= 60:
        yield Found((*path, "months"), "is not from 1 to 60", "write how many months are counted")
    variables = _variables(definition, table.form)
    if variables is None:
        yield Found((*path, "form"), "names no form", "name one of `forms`")
    elif table.start not in variables or variables[table.start].kind is not Kind.DATE:
        yield Found((*path, "start"), f"is no date variable of {table.form}", "name the date that months count from")


def _variables(definition: Definition, form_id: str) -> dict[str, Variable] | None:
    form = next((form for form in definition.forms if form.id == form_id), None)
    return None if form is None else {variable.name: variable for variable in form.variables}
