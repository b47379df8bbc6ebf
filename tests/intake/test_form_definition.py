"""What a form at Nettskjema asks: read strictly from every generation, without its editors; and what changed by it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from enclave.demo.nettskjema_form import EDITOR, definition_of, written
from enclave.errors import Rejected
from enclave.intake.form_definition import (
    LARGEST,
    MOST_POINTS,
    FormDefinition,
    changes,
    counted,
    points_of,
    read_definition,
)
from tests.intake.forms import ARRIVAL
from tests.intake.test_nettskjema import JSON

DATA = Path(__file__).parent.parent / "data" / "nettskjema"
NUMBER = "123456"
MADE = datetime(2024, 9, 2, 8, tzinfo=UTC)
CLINICS = {"1": "Klinikk alfa", "2": "Klinikk beta"}


def said() -> dict[str, Any]:
    """The definition of the test registry's arrival form, as the emulator writes it."""
    return json.loads(written(definition_of(ARRIVAL, NUMBER, "institution", CLINICS, MADE)))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The definition with something else in it."""
    document = said()
    change(document)
    return document


def read(document: object, form: str = NUMBER) -> FormDefinition:
    """What is read of a definition."""
    return read_definition(json.dumps(document).encode(), form)


def element(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The element of a question."""
    return next(one for one in document["elements"] if one.get("externalElementId") == name)


def options(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The options of a question."""
    return element(document, name)["answerOptions"]


def drift(change: Callable[[dict[str, Any]], object]) -> list[tuple[str, str, str]]:
    """What a change of the form is found to be: what, question and code."""
    found = changes(read(said()).points, read(changed(change)).points)
    return [(one.what, one.question, one.code) for one in found]


def code(content: bytes, form: str = NUMBER) -> str:
    """Why a definition is rejected."""
    with pytest.raises(Rejected) as why:
        read_definition(content, form)
    return why.value.code


def schema(version: str) -> Draft201909Validator:
    """The published schema of a version's definitions.

    Those of 2023-03 and 2024-09 require keys that they do not know, so as published nothing is valid.
    """
    published = json.loads((DATA / f"Form-{version}.schema.json").read_text(encoding="utf-8"))
    for part in (
        published,
        published["$defs"]["element"],
        published["$defs"].get("subElement", {"required": [], "properties": {}}),
    ):
        part["required"] = [name for name in part["required"] if name in part["properties"]]
    return Draft201909Validator(published)


def test_what_the_emulator_writes_is_what_the_schema_says() -> None:
    """The emulator's definition validates against the published schema of 2024-09."""
    assert [error.message for error in schema("2024-09").iter_errors(said())] == []
    assert list(schema("2024-09").iter_errors({**said(), "more": 1}))


def test_a_definition_is_read_and_what_is_kept_says_the_same() -> None:
    """Every question, option and its words are there; kept and read again they are the same, under the same hash."""
    definition = read(said())
    places = {point.place: point.says for point in definition.points}

    assert places["sex", "question", ""].startswith("RADIO ")
    assert {code for question, part, code in places if (question, part) == ("sex", "option")} == {
        one.value for variable in ARRIVAL.variables if variable.name == "sex" for one in variable.codes
    }
    assert places["institution", "option", "2"] == "Klinikk beta"
    assert ("person_id", "question", "") in places
    assert definition.made == MADE
    assert points_of(definition.content) == tuple(sorted(definition.points))
    assert read({**said(), "generatedDate": "2025-01-01", "title": "Nytt"}).sha256 == definition.sha256


def test_whoever_edits_the_form_is_forgotten() -> None:
    """Neither name, user name nor e-mail address of an editor is in what is kept."""
    document = said()
    kept = read(document).content

    assert EDITOR["name"] in json.dumps(document, ensure_ascii=False)
    assert not [word for word in (EDITOR["name"], EDITOR["username"], "example.org") if str(word) in kept]


def minimal(version: str) -> dict[str, Any]:
    """A definition as a version of the Survey API has it, with a matrix and a scale."""
    row: dict[str, Any] = {"sequence": 2, "externalElementId": "pain", "text": "Smerte"}
    if version == "2022-07":
        row["mandatory"] = True
    options = [{"externalAnswerOptionId": "0", "text": "Ingen"}, {"externalAnswerOptionId": "1", "text": "Sterk"}]
    matrix = {
        "sequence": 1,
        "elementId": 1,
        "externalElementId": "grid",
        "elementType": "MATRIX_RADIO",
        "text": "Plager",
        "answerOptions": options,
        "subElements": [row],
    }
    editor = {"name": "X", "username": "x", "type": "LOCAL", "personId": 1}
    document = {
        "title": "Skjema",
        "formId": int(NUMBER),
        "editors": [editor],
        "elements": [{**matrix, "mandatory": True} if version == "2022-07" else matrix],
        "createdBy": editor,
        "openFrom": "2024-01-01",
        "modifiedBy": editor,
        "createdDate": "2024-01-01",
        "languageCode": "nb",
        "modifiedDate": "2024-01-02T10:52:11.828301592+02:00",
        "respondentGroup": "ID_PORTEN_LEVEL_4",
        "collectsPersonalData": True,
    }
    if version == "2022-07":
        return {**document, "tsdProjectName": "p11", "sensitivePersonalDataCollected": True}
    return {**document, "version": version, **({"versionMinor": 0} if version == "2024-09" else {})}


@pytest.mark.parametrize("version", ["2022-07", "2023-03", "2024-09"])
def test_every_version_of_the_survey_api_is_read(version: str) -> None:
    """What is valid by a version's schema is read: a matrix with rows and options, a time with 9 digits of a second."""
    document = minimal(version)
    definition = read(document)

    assert [error.message for error in schema(version).iter_errors(document)] == []
    assert [point.place for point in sorted(definition.points)] == [
        ("grid", "option", "0"),
        ("grid", "option", "1"),
        ("grid", "question", ""),
        ("grid", "row", "pain"),
    ]
    assert definition.made == datetime(2024, 1, 2, 8, 52, 11, 828301, tzinfo=UTC)


def test_a_legacy_definition_is_told_by_its_content() -> None:
    """The published example is read: its questions, and options by Nettskjema's number where nobody gave a code."""
    definition = read_definition((DATA / "legacy-form-example.json").read_bytes(), "63332")
    places = {point.place: point.words for point in definition.points}

    assert places["consent", "question", ""] == "Bekreftelse på deltakelse i studien"
    assert places["children_ages", "option", "#931452"] == "Kan ikke"
    assert places["var1", "option", "#931463"] == "Nei"
    assert definition.made is None
    assert code((DATA / "legacy-form-example.json").read_bytes(), "1") == "E_DEFINITION_NUMBER"


def swap(document: dict[str, Any]) -> None:
    """Two options of one question get each other's words."""
    first, second = options(document, "sex")[:2]
    first["text"], second["text"] = second["text"], first["text"]


def test_two_options_that_swap_their_words_are_recoded() -> None:
    """Every code is there as before, and means something else."""
    first, second = (one["externalAnswerOptionId"] for one in options(said(), "sex")[:2])

    assert drift(swap) == [("recoded", "sex", one) for one in sorted((first, second))]


def test_an_option_that_is_gone_is_removed_and_a_new_one_is_added() -> None:
    """A code that nobody can choose any more, and one that nobody could choose before."""
    gone = options(said(), "sex")[0]["externalAnswerOptionId"]

    assert drift(lambda form: options(form, "sex").pop(0)) == [("removed", "sex", gone)]
    more = {"externalAnswerOptionId": "other", "text": "Annet"}
    assert drift(lambda form: options(form, "sex").append(more)) == [("added", "sex", "other")]


def test_a_code_that_goes_to_another_option_is_gone_and_new() -> None:
    """The words stay, their code is another: what was answered with the old one is no longer asked."""
    found = drift(lambda form: options(form, "sex")[0].update(externalAnswerOptionId="x"))

    assert sorted(one[0] for one in found) == ["added", "removed"]


@pytest.mark.parametrize(
    "change",
    [
        lambda form: element(form, "sex").update(text="Kjønn ved fødsel"),
        lambda form: element(form, "sex").update(elementType="SELECT"),
        lambda form: element(form, "sex").update(isAnswerHashed=True),
    ],
    ids=["words", "kind", "hashed"],
)
def test_a_question_that_asks_otherwise_is_recoded(change: Callable[[dict[str, Any]], object]) -> None:
    """Other words, another kind of answer, or only a hash of the answer: what is delivered means something else."""
    assert drift(change) == [("recoded", "sex", "")]


def test_a_scale_that_ends_elsewhere_is_recoded() -> None:
    """The ends of a scale are its options: 3 of 5 is not 3 of 10."""
    scale = {"elementType": "LINEAR_SCALE", "minimumValue": 0, "externalElementId": "pain", "text": "Smerte"}
    before, after = ({**said(), "elements": [{**scale, "maximumValue": most}]} for most in (5, 10))

    assert [one.what for one in changes(read(before).points, read(after).points)] == ["recoded"]


def test_a_question_that_is_gone_takes_its_options_with_it() -> None:
    """A question and each of its options are counted as removed."""
    gone = len(options(said(), "sex"))
    found = changes(
        read(said()).points, read(changed(lambda form: form["elements"].remove(element(form, "sex")))).points
    )

    assert counted(found) == {"removed": gone + 1}


def test_order_spaces_and_what_nobody_answers_are_no_change() -> None:
    """Questions and options in another order, a line break, a heading, a help text and a new title."""

    def change(form: dict[str, Any]) -> None:
        form["elements"].reverse()
        options(form, "sex").reverse()
        element(form, "sex").update(text=f"  {element(form, 'sex')['text']}\n", description="Hjelp", isMandatory=True)
        form["elements"].append({"elementType": "HEADING", "text": "Ny overskrift", "sequence": 99, "elementId": 99})
        form.update(title="Ny tittel")

    assert drift(change) == []


def test_words_cannot_steer_a_terminal() -> None:
    """Control characters, changes of direction and lone surrogates are spaces in what is kept."""
    words = "Ja\x1b[2J\u202eieN\ud800"
    definition = read(changed(lambda form: options(form, "sex")[0].update(text=words)))

    assert all(point.words.isprintable() for point in definition.points)
    assert "Ja [2J ieN" in {point.words for point in definition.points}
    assert definition.sha256


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "E_DEFINITION_FORM"),
        (b"[]", "E_DEFINITION_FORM"),
        (b"{}", "E_DEFINITION_FORM"),
        (b"\xff\xfe", "E_DEFINITION_FORM"),
        (b'{"formId": 1, "formId": 1}', "E_DEFINITION_FORM"),
        (b"[" * 100_000, "E_DEFINITION_FORM"),
        (b'{"definition": []}', "E_DEFINITION_FORM"),
        (b'{"definition": {"formId": 123456}}', "E_DEFINITION_FORM"),
        (b'{"definition": {"formId": 123456, "pages": [{}]}}', "E_DEFINITION_FORM"),
        (b'{"definition": {"formId": 123456, "pages": []}, "form_id": 1}', "E_DEFINITION_NUMBER"),
        (b" " * (LARGEST + 1), "E_DEFINITION_FORM"),
    ],
)
def test_what_is_no_definition_is_rejected(content: bytes, expected: str) -> None:
    """Each has its code; nothing else comes of it."""
    assert code(content) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda form: form.update(formId="123456"), "E_DEFINITION_FORM"),
        (lambda form: form.update(formId=[123456]), "E_DEFINITION_FORM"),
        (lambda form: form.update(formId=True), "E_DEFINITION_FORM"),
        (lambda form: form.update(formId=7), "E_DEFINITION_NUMBER"),
        (lambda form: form.update(version="2031-01"), "E_DEFINITION_VERSION"),
        (lambda form: form.update(version=[]), "E_DEFINITION_VERSION"),
        (lambda form: form.update(elements=[]), "E_DEFINITION_FORM"),
        (lambda form: form.update(elements={}), "E_DEFINITION_FORM"),
        (lambda form: form["elements"].append("x"), "E_DEFINITION_FORM"),
        (lambda form: form["elements"].append(element(form, "sex")), "E_DEFINITION_FORM"),
        (lambda form: form["elements"].append({"elementType": "RADIO"}), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(elementType=7), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(elementType="x y"), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(text=["x"]), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(text="x" * 10_001), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(externalElementId="a\nb"), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(externalElementId=7), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(answerOptions={}), "E_DEFINITION_FORM"),
        (lambda form: options(form, "sex").append(options(form, "sex")[0]), "E_DEFINITION_FORM"),
        (lambda form: options(form, "sex").append({"text": "x"}), "E_DEFINITION_FORM"),
        (lambda form: options(form, "sex").append({"answerOptionId": 10**30}), "E_DEFINITION_FORM"),
        (lambda form: element(form, "sex").update(subElements=[{}]), "E_DEFINITION_FORM"),
        (
            lambda form: options(form, "sex").extend({"answerOptionId": n} for n in range(MOST_POINTS + 1)),
            "E_DEFINITION_FORM",
        ),
        (
            lambda form: element(form, "sex").update(elementType="LINEAR_SCALE", minimumValue="0"),
            "E_DEFINITION_FORM",
        ),
    ],
)
def test_a_definition_with_a_mistake_is_rejected_whole(
    change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    """A wrong type, a code that stands twice or is none, and more than a form has: nothing of it is taken."""
    assert code(json.dumps(changed(change)).encode()) == expected


@pytest.mark.parametrize("made", ["", "yesterday", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", 7, None])
def test_a_date_that_cannot_be_read_is_none(made: object) -> None:
    """When it was made is then when it was collected; the rest is read."""
    assert read({**said(), "generatedDate": made, "modifiedDate": made}).made is None


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_else(content: bytes) -> None:
    """Whatever a file holds, it is read or rejected."""
    assert code(content) == "E_DEFINITION_FORM"


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(["elements", "answerOptions", "subElements", "text", "definition", "pages", "formId"]))
def test_no_json_makes_it_raise_anything_else(inside: object, name: str) -> None:
    """Any value in the place of any part is read or rejected."""
    inner = {"elementType": "RADIO", "externalElementId": "q", name: inside}
    documents = (
        {**said(), name: inside},
        {**said(), "elements": [inner]},
        {"definition": {"formId": int(NUMBER), "pages": [{"elements": [{"questions": [inner], name: inside}]}]}},
    )
    for document in documents:
        try:
            definition = read(document)
        except Rejected as why:
            assert why.code.startswith("E_DEFINITION_")  # noqa: PT017
        else:
            assert points_of(definition.content) == tuple(sorted(definition.points))
