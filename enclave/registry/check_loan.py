"""What a kind of loan must say about linking rows without a usable number: columns that exist, keys, a whole model."""

import json
from collections.abc import Iterator

from enclave.registry.definition import Definition, Identifier, Kind, Loan, Probabilistic
from enclave.registry.mistake import Found, repeated

Path = tuple[str | int, ...]
TOLD_BY_NUMBER = {"birth_date": "date", "sex": "text"}
OF_KIND = {Kind.DATE: "date", Kind.TEXT: "text", Kind.CODE: "text"}


def linkage_mistakes(definition: Definition, loan: Loan, path: Path) -> Iterator[Found]:
    """Every mistake of a loan's identifiers, keys and model."""
    columns = (loan.person_id, loan.month, *(variable.name for variable in loan.variables))
    yield from repeated((*path, "identifiers"), (*columns, *(one.name for one in loan.identifiers)), len(columns))
    for number, one in enumerate(loan.identifiers):
        if _kind_of(definition, one) != one.kind:
            yield Found(
                (*path, "identifiers", number, "ours"),
                "names nothing of this kind that we know of a person",
                "write birth_date, sex, or FORM.VARIABLE of a form about persons, of kind date, text or code",
            )
    names = {one.name for one in loan.identifiers}
    for number, key in enumerate(loan.keys):
        if not key or not set(key) <= names:
            yield Found((*path, "keys", number), "names no identifiers", "name some of [[loans.identifiers]]")
    if loan.probabilistic is not None:
        yield from _model(loan.probabilistic, names, (*path, "probabilistic"))


def _kind_of(definition: Definition, one: Identifier) -> str | None:
    form_id, dot, name = one.ours.partition(".")
    if not dot:
        return TOLD_BY_NUMBER.get(one.ours)
    forms = {form.id: form for form in definition.forms if form.names_persons}
    variables = {variable.name: variable.kind for variable in forms[form_id].variables} if form_id in forms else {}
    return OF_KIND.get(variables[name]) if name in variables else None


def _model(terms: Probabilistic, names: set[str], path: Path) -> Iterator[Found]:
    if terms.review_above > terms.accept_above:
        yield Found((*path, "review_above"), "is above accept_above", "write the lower threshold here")
    try:
        model = json.loads(terms.model)
        compared = {str(one["output_column_name"]) for one in model["comparisons"]}
        whole = model["link_type"] == "link_only" and bool(model["blocking_rules_to_generate_predictions"])
    except (ValueError, KeyError, TypeError):
        compared, whole = set(), False
    if not whole or not compared:
        yield Found((*path, "model"), "is no trained model that links two lists", "save it with Splink, link_only")
    elif not compared <= names:
        yield Found((*path, "model"), "compares what is no identifier", "declare it under [[loans.identifiers]]")
