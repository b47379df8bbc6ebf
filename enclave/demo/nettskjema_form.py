"""What a simulated Nettskjema says that a form asks: its definition, as the Survey API writes it, version 2024-09."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from enclave.registry.definition import Form, Kind, Variable

VERSION, VERSION_MINOR = "2024-09", 2
EDITOR = {"username": "oppdiktet", "type": "LOCAL", "personId": 17, "name": "Oppdiktet Redaktør"}
"""Whoever edits a form stands in its definition, with name and address."""
ELEMENT_TYPES: Mapping[Kind, str] = {
    Kind.CODE: "RADIO",
    Kind.BOOLEAN: "RADIO",
    Kind.MULTI: "CHECKBOX",
    Kind.INTEGER: "NUMBER",
    Kind.DECIMAL: "NUMBER",
    Kind.DATE: "DATE",
    Kind.TEXT: "QUESTION",
}
YES_OR_NO = {"ja": "Ja", "nei": "Nei"}


def definition_of(
    form: Form, number: str, question: str, institutions: Mapping[str, str], made: datetime
) -> dict[str, object]:
    """The definition of a form of the registry; `question` asks which of `institutions`, by option, submits."""
    elements = [_element("HEADING", "", form.label.nb), _element("RADIO", question, "Hvem sender inn?", institutions)]
    elements += [
        _element(kind, name, label)
        for kind, name, label in (
            ("NATIONAL_ID_NUMBER", form.person_id, "Fødselsnummer"),
            ("QUESTION", form.reference if form.subject == "person" else None, "Forløpsnummer"),
        )
        if name
    ]
    elements += _variables(form)
    return {
        "title": form.label.nb,
        "formId": int(number),
        "version": VERSION,
        "versionMinor": VERSION_MINOR,
        "editors": [EDITOR],
        "createdBy": EDITOR,
        "modifiedBy": EDITOR,
        "editorsContactEmail": "oppdiktet@example.org",
        "elements": [{**element, "sequence": place, "elementId": place} for place, element in enumerate(elements, 1)],
        "openFrom": None,
        "createdDate": made.isoformat(),
        "modifiedDate": made.isoformat(),
        "generatedDate": made.isoformat(),
        "languageCode": "nb",
        "respondentGroup": "ALL",
        "deliveryDestination": "TSD",
        "collectsPersonalData": True,
        "isSensitivePersonalDataCollected": True,
    }


def written(definition: Mapping[str, object]) -> bytes:
    """A definition as a file."""
    return json.dumps(definition, ensure_ascii=False, indent=1).encode()


def _variables(form: Form) -> Iterator[dict[str, object]]:
    for variable in form.variables:
        yield _element(ELEMENT_TYPES[variable.kind], variable.name, variable.label.nb, _options(variable))


def _options(variable: Variable) -> Mapping[str, str]:
    if variable.kind is Kind.BOOLEAN:
        return YES_OR_NO
    return {code.value: code.label.nb for code in variable.codes}


def _element(kind: str, name: str, text: str, options: Mapping[str, str] | None = None) -> dict[str, object]:
    element: dict[str, object] = {"elementType": kind, "text": text, "isMandatory": False}
    if name:
        element["externalElementId"] = name
    if options:
        element["answerOptions"] = [
            {"externalAnswerOptionId": code, "text": label, "sequence": place, "answerOptionId": place}
            for place, (code, label) in enumerate(options.items(), 1)
        ]
    return element
