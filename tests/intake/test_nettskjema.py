"""A submission through Nettskjema is one row, or is rejected with its own code; both of its files must say the same."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from enclave.demo.nettskjema import answers_of, csv_format_v1, delivery
from enclave.errors import Rejected
from enclave.intake.check import check
from enclave.intake.nettskjema import Submitted, read_json, read_submission
from enclave.intake.nettskjema_csv import read_csv
from enclave.model.fault import Fault
from enclave.model.identified import PERSON_ID, REFERENCE
from enclave.settings import NettskjemaForm
from tests.identity.numbers import synthetic
from tests.intake.forms import ARRIVAL, REGISTRY

DATA = Path(__file__).parent.parent / "data" / "nettskjema"
VERSIONS = ("2022-07", "2023-03", "2024-09")


def schema(version: str) -> Draft201909Validator:
    """The published schema of a version.

    As published it asks that an answer fits exactly one kind of question; a text fits a dozen, so no text would do.
    """
    published = (DATA / f"Submission-{version}.schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(json.loads(published.replace('"oneOf"', '"anyOf"')))


NUMBER = 27830787
CREATED = datetime(2024, 9, 2, 8, tzinfo=UTC)
PERSON = synthetic(datetime(1970, 3, 1, tzinfo=UTC).date(), 1)
GUARDIAN = "01815512345"
ROW = {
    "person_id": PERSON,
    "course_id": "K-1",
    "consent_date": "2024-08-01",
    "arrival_date": "2024-09-01",
    "sex": "female",
    "aid": "none",
    "score": "5",
    "weight": "70.5",
    "employed": "ja",
    "benefits_aap": "1",
    "late": "1",
    "occupation": "murer",
    "free": "0",
}
MAPPED = NettskjemaForm(form="arrival", institution="institution", institutions={"1": "alfa", "2": "beta"})
RESPONDENT = {
    "provider": "helsenorge",
    "sub": "abc",
    "personal_identifier": GUARDIAN,
    "representation": {
        "representation_type": "PARENT",
        "name_authorizer": "Barnet Kanari",
        "pid_authorizer": PERSON,
        "representative_name": "Verge Kanari",
        "representative_pid": GUARDIAN,
    },
}


def answers(institution: str | None = "1", **changes: Any) -> dict[str, Any]:
    """The answers of one submission."""
    return {"institution": institution, **answers_of(ARRIVAL, ROW), **changes}


def files(said: dict[str, Any], **more: Any) -> tuple[bytes, bytes]:
    """Both files of a submission, as Nettskjema writes them."""
    return delivery(said, NUMBER, CREATED, **more)


def read(said: tuple[bytes, bytes], mapped: NettskjemaForm = MAPPED, number: int = NUMBER) -> Submitted:
    """What comes of both files."""
    return read_submission(*said, number=number, mapped=mapped, form=ARRIVAL)


def outcome(submitted: Submitted) -> tuple[str, str]:
    """Whom it is from, and why it is rejected."""
    assert (submitted.table is None) == bool(submitted.reason)
    return submitted.institution, submitted.reason


def faults(submitted: Submitted) -> list[tuple[str, str]]:
    """Variable and rule of each fault, of file and row."""
    assert submitted.table is not None
    checked = check(ARRIVAL, REGISTRY, submitted.table, drop_uuid="u", sender="alfa")
    return [(fault.variable, fault.rule) for fault in checked.faults]


def test_what_the_emulator_writes_is_what_the_schema_says() -> None:
    """Deliveries validate against the published schema of 2024-09, with and without a respondent."""
    for respondent in (None, RESPONDENT):
        said, _ = files(answers(), respondent=respondent)
        assert [error.message for error in schema("2024-09").iter_errors(json.loads(said))] == []
    assert list(schema("2024-09").iter_errors({**json.loads(said), "more": 1}))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_the_survey_api_is_read(version: str) -> None:
    """What validates against a version's schema is a row; the minor version is of the newest only."""
    said, columns = files(answers())
    document = {**json.loads(said), "version": version}
    if version != "2024-09":
        document.pop("version_minor")

    assert [error.message for error in schema(version).iter_errors(document)] == []
    assert outcome(read((json.dumps(document).encode(), columns))) == ("alfa", "")
    other = {**document, "version_minor": 1} if version != "2024-09" else {**document, "version": "2023-03"}
    assert outcome(read((json.dumps(other).encode(), columns))) == ("", "E_SUBMISSION_JSON")


def test_a_submission_is_a_row_of_the_form() -> None:
    """Every answer is in its column, the person and the course are named, and nothing is faulted."""
    submitted = read(files(answers()))
    assert submitted.table is not None
    checked = check(ARRIVAL, REGISTRY, submitted.table, drop_uuid="u", sender="alfa")
    (row,) = checked.records.frame.to_dicts()

    assert outcome(submitted) == ("alfa", "")
    assert checked.faults == ()
    assert (row[PERSON_ID], row[REFERENCE], row["score"], row["weight"]) == (PERSON, "K-1", 5, 70.5)
    assert (row["employed"], row["benefits_aap"], row["benefits_none"], row["sex"]) == (True, True, False, "female")


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_the_three_dialects_are_told_by_content(delimiter: str) -> None:
    """Tabs, commas and semicolons, quoted or not, give the same row."""
    said, columns = files(answers())
    rows = [line.strip('"').split('";"') for line in columns.decode().splitlines()]
    text = "\n".join(delimiter.join(row) for row in rows)

    assert read_csv(text.encode()) == read_csv(columns)
    assert outcome(read((said, text.encode()))) == ("alfa", "")


def test_names_and_options_are_translated_where_they_differ() -> None:
    """A question's column, an option's code and a check-box's variable come from the form map."""
    said = {
        "who": "Klinikk A",
        "fnr": PERSON,
        "q1": "2",
        "nav": {"7": True, "8": False},
        **{
            name: answer
            for name, answer in answers().items()
            if name not in ("institution", "person_id", "sex", "benefits")
        },
    }
    mapped = NettskjemaForm(
        form="arrival",
        institution="who",
        institutions={"Klinikk A": "alfa"},
        questions={"fnr": "person_id", "q1": "sex", "nav": "benefits"},
        answers={"q1": {"1": "female", "2": "male"}, "nav": {"7": "aap", "8": "none"}},
    )
    submitted = read(files(said), mapped)
    assert submitted.table is not None
    (row,) = submitted.table.frame.to_dicts()

    assert faults(submitted) == []
    assert (row["sex"], row["benefits_aap"], row["benefits_none"]) == ("male", "1", "0")


def test_a_row_of_a_matrix_is_a_column_by_the_map() -> None:
    """A matrix question's row is named with a dot, and mapped by that name."""
    said = answers(grid={"score": "7"})
    said.pop("score")
    mapped = MAPPED.model_copy(update={"questions": {"grid.score": "score"}})
    submitted = read(files(said), mapped)
    assert submitted.table is not None

    assert submitted.table.frame["score"].to_list() == ["7"]
    assert faults(submitted) == []


def test_a_cell_of_a_matrix_of_check_boxes_is_a_column_by_the_map() -> None:
    """Row and column of a matrix are named with two dots: mapped cell by cell, or row by row as a check-box."""
    cells = {"money": {"7": True, "8": False, "9": True}}
    for mapped in (
        {
            "questions": {
                "grid.money.7": "benefits_aap",
                "grid.money.8": "benefits_none",
                "grid.money.9": "benefits_new",
            }
        },
        {"questions": {"grid.money": "benefits"}, "answers": {"grid.money": {"7": "aap", "8": "none", "9": "new"}}},
    ):
        said = answers(grid=cells)
        said.pop("benefits")
        submitted = read(in_cells(said), MAPPED.model_copy(update=mapped))
        assert submitted.table is not None
        (row,) = submitted.table.frame.to_dicts()

        assert faults(submitted) == []
        assert (row["benefits_aap"], row["benefits_none"], row["benefits_new"]) == ("1", "0", "1")


def in_cells(said: dict[str, Any]) -> tuple[bytes, bytes]:
    """Both files of a submission whose form has a matrix of check-boxes: in CSV a column for each cell."""
    cells = said["grid"]
    json_file, _ = files(said)
    flat = {f"grid.{row}.{column}": ticked for row, columns in cells.items() for column, ticked in columns.items()}
    _, csv_file = files({**{name: answer for name, answer in said.items() if name != "grid"}, **flat})
    return json_file, csv_file


@pytest.mark.parametrize("hidden", [{}, None, {"aap": None, "none": None, "new": None}])
def test_a_check_box_that_was_not_shown_is_not_answered(hidden: object) -> None:
    """Hidden by another answer: nothing, or null, in JSON, and empty parts in CSV; the variable is missing, no more."""
    said, _ = files(answers(benefits=hidden))
    _, columns = files(answers(benefits={"aap": None, "none": None, "new": None}))
    submitted = read((said, columns))
    assert submitted.table is not None

    assert outcome(submitted) == ("alfa", "")
    assert faults(submitted) == [("benefits", "required")]
    assert submitted.table.frame["benefits_aap"].to_list() == [""]


@pytest.mark.parametrize(
    "moment", ["2023-08-29T10:52:11.828301592+02:00", "2023-08-29T00:00+02:00", "2023-08-29T10:52:11Z"]
)
def test_when_it_was_created_may_have_any_precision(moment: str) -> None:
    """`$created` has up to 9 digits of a second, or none, in both files; a date among the answers may have them too."""
    said, columns = files(answers(arrival_date=moment))
    created = json.loads(said)["metadata"]["created"]
    assert created.encode() in columns
    submitted = read(
        (said.replace(created.encode(), moment.encode()), columns.replace(created.encode(), moment.encode()))
    )
    assert submitted.table is not None

    assert len(created.partition(".")[2].partition("+")[0]) == 9
    assert outcome(submitted) == ("alfa", "")
    assert submitted.table.frame["arrival_date"].to_list() == ["2023-08-29"]


def test_a_date_with_a_time_is_the_day() -> None:
    """Nettskjema writes dates as 2024-09-01T11:11."""
    submitted = read(files(answers(arrival_date="2024-09-01T11:11")))
    assert submitted.table is not None

    assert submitted.table.frame["arrival_date"].to_list() == ["2024-09-01"]
    assert faults(submitted) == []


@pytest.mark.parametrize("question", ["sex", "score", "arrival_date", "occupation", "person_id", "course_id"])
@pytest.mark.parametrize("word", ["undefined", "Undefined", " undefined "])
def test_the_text_undefined_is_a_fault(question: str, word: str) -> None:
    """An answer that is literally `undefined` is faulted where it stands, also as a course's number."""
    submitted = read(files(answers(**{question: word})))

    assert (question, "undefined_literal") in faults(submitted)


def test_an_institution_that_is_undefined_is_unknown() -> None:
    """Nobody is answered for it."""
    assert outcome(read(files(answers("undefined")))) == ("", "E_SUBMISSION_INSTITUTION")


@pytest.mark.parametrize("institution", ["3", "", None, "alfa", " 1"])
def test_an_institution_outside_the_map_is_rejected_with_its_own_code(institution: str | None) -> None:
    """Only an option that the map lists is an institution."""
    assert outcome(read(files(answers(institution)))) == ("", "E_SUBMISSION_INSTITUTION")


@pytest.mark.parametrize("question", ["sex", "score", "course_id", "person_id", "occupation", "benefits"])
def test_files_that_disagree_are_rejected_and_answered(question: str) -> None:
    """One answer that differs is enough; the institution, on which they agree, is told."""
    other = {"benefits": {"none": True, "aap": True, "new": False}}.get(question, "7")
    said, _ = files(answers())
    _, columns = files(answers(**{question: other}))

    assert outcome(read((said, columns))) == ("alfa", "E_SUBMISSION_DISAGREE")


def test_files_that_disagree_on_the_institution_answer_nobody() -> None:
    """Whom it is from cannot be told, so nobody is."""
    assert outcome(read((files(answers("1"))[0], files(answers("2"))[1]))) == ("", "E_SUBMISSION_DISAGREE")


def test_a_lost_leading_zero_is_a_disagreement() -> None:
    """A text is compared as a text: 01 and 1 are two answers; a number as a number: 70.50 and 70.5 are one."""
    said, columns = files(answers(occupation="01"))
    assert outcome(read((said, columns.replace(b'"01"', b'"1"')))) == ("alfa", "E_SUBMISSION_DISAGREE")
    said, columns = files(answers())
    assert outcome(read((said, columns.replace(b'"70.5"', b'"70.50"')))) == ("alfa", "")


def test_a_line_break_is_a_space() -> None:
    """CSV Format V1 writes it so; that is no disagreement."""
    assert outcome(read(files(answers(occupation="murer\nog lærer")))) == ("alfa", "")


def test_another_number_than_the_files_name_is_rejected() -> None:
    """A submission copied under another number is not taken for a second one."""
    assert outcome(read(files(answers()), number=NUMBER + 1)) == ("alfa", "E_SUBMISSION_NUMBER")


def test_the_respondent_is_read_by_nobody() -> None:
    """Neither the respondent's nor a guardian's number or name is in anything that comes out."""
    submitted = read(files(answers(), respondent=RESPONDENT))
    assert submitted.table is not None
    out = repr(submitted) + repr(submitted.table.frame.to_dicts()) + repr(read_json(files(answers())[0]))

    assert outcome(submitted) == ("alfa", "")
    assert not [word for word in (GUARDIAN, "Kanari", "helsenorge") if word in out]


def test_an_attachment_is_refused_and_its_name_forgotten() -> None:
    """The answers are taken without it, and the sender is told; its name is in nothing that comes out."""
    name = "../../Åse Kanari.pdf"
    said, _ = files(answers(scan={"original_filename": name, "file_id": "x"}))
    _, columns = files(answers(scan=f"123456-{NUMBER}-{name}"))
    submitted = read((said, columns))

    assert outcome(submitted) == ("alfa", "")
    assert faults(submitted) == [("", "attachment_refused")]
    assert submitted.table is not None
    assert "Kanari" not in repr(submitted.table.frame.to_dicts())


def test_answers_to_an_older_form_are_judged_by_validity_dates() -> None:
    """Without a question that was added later the row is taken; without one that always was, the variable is named."""
    older = answers()
    older.pop("late")
    assert faults(read(files(older))) == []
    older.pop("score")
    assert faults(read(files(older))) == [("score", "header_missing")]


def test_a_question_that_no_column_has_is_refused_unless_it_is_ignored() -> None:
    """A form that changed under way is seen; questions that are not taken are listed in the map."""
    said = files(answers(thanks="Takk"))

    assert faults(read(said)) == [("", "header_unknown")]
    assert faults(read(said, MAPPED.model_copy(update={"ignored": ("thanks",)}))) == []


def legacy(name: str, answer: Any) -> dict[str, Any]:
    """One answer as the legacy delivery has it: options by their ids, or a text."""
    if name in ("institution", "sex", "aid", "employed"):
        return {"answerOptions": [{"externalAnswerOptionId": answer}]}
    if name == "benefits":
        return {"answerOptions": [{"externalAnswerOptionId": "aap"}, {"externalAnswerOptionId": "new"}]}
    return {"unfilteredTextAnswer": str(answer)}


LEGACY = {
    "answersAsMap": {name: legacy(name, answer) for name, answer in answers().items()},
    "submissionId": NUMBER,
}


def test_a_legacy_delivery_is_told_by_its_content() -> None:
    """`answersAsMap` and a file with tabs are the legacy generation, and give the same row."""
    columns = {
        **{name: str(answer) for name, answer in answers().items() if name != "benefits"},
        "benefits.aap": "1",
        "benefits.new": "1",
    }
    text = "\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n"
    submitted = read((json.dumps(LEGACY).encode(), text.encode()))

    assert outcome(submitted) == ("alfa", "")
    assert submitted.table is not None
    (row,) = submitted.table.frame.to_dicts()
    assert (row["sex"], row["benefits_aap"], row["benefits_new"], row["score"]) == ("female", "1", "1", "5")


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The JSON of a submission with something wrong in it."""
    said = json.loads(files(answers())[0])
    change(said)
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "E_SUBMISSION_JSON"),
        (b"[]", "E_SUBMISSION_JSON"),
        (b"\xff\xfe", "E_SUBMISSION_JSON"),
        (b'{"answers": {}, "answers": {}}', "E_SUBMISSION_JSON"),
        (b"[" * 100_000, "E_SUBMISSION_JSON"),
        (changed(lambda said: said.pop("metadata")), "E_SUBMISSION_JSON"),
        (changed(lambda said: said.update(more=1)), "E_SUBMISSION_JSON"),
        (changed(lambda said: said.update(answers=[])), "E_SUBMISSION_JSON"),
        (changed(lambda said: said["metadata"].pop("submission_id")), "E_SUBMISSION_JSON"),
        (changed(lambda said: said["metadata"].update(submission_id="1")), "E_SUBMISSION_JSON"),
        (changed(lambda said: said["answers"].update({"a b": "x"})), "E_SUBMISSION_JSON"),
        (changed(lambda said: said["answers"].update(sex=True)), "E_SUBMISSION_JSON"),
        (changed(lambda said: said["answers"].update(sex=[1])), "E_SUBMISSION_JSON"),
        (changed(lambda said: said["answers"].update(benefits={"aap": {"deep": {"er": True}}})), "E_SUBMISSION_JSON"),
        (changed(lambda said: said.update(version="2031-01")), "E_SUBMISSION_VERSION"),
        (changed(lambda said: said.update(version_minor="2")), "E_SUBMISSION_VERSION"),
        (b'{"answersAsMap": []}', "E_SUBMISSION_JSON"),
        (b'{"answersAsMap": {"q": {"answerOptions": {"a": 1}}}}', "E_SUBMISSION_JSON"),
    ],
)
def test_json_that_nettskjema_does_not_write_is_rejected(said: bytes, code: str) -> None:
    """Each mistake has its code, and the next submission is tried."""
    assert outcome(read((said, files(answers())[1]))) == ("", code)


@pytest.mark.parametrize(
    "columns",
    [
        b"",
        b"one line only",
        b"a;b\n1;2;3\n",
        b"a;b\n1;2\n3;4\n",
        b"a;a\n1;2\n",
        b'a;b\n"1;2\n',
        b"a;b\n\xff;2\n",
        b"$submission_id;a\nx;1\n",
        b"$submission_id;a\n" + b"9" * 40 + b";1\n",
        b"a;b\n" + b"x" * 200_000 + b";1\n",
    ],
)
def test_csv_that_nettskjema_does_not_write_is_rejected_and_answered(columns: bytes) -> None:
    """The JSON file names the institution, so it hears of it."""
    assert outcome(read((files(answers())[0], columns))) == ("alfa", "E_SUBMISSION_CSV")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_make_it_raise(said: bytes, columns: bytes) -> None:
    """Whatever the files hold, the outcome is a row or a code."""
    assert outcome(read((said, columns)))[1].startswith("E_SUBMISSION")
    assert read((files(answers())[0], columns)).reason
    try:
        read_csv(columns)
    except Rejected as why:
        assert why.code == "E_SUBMISSION_CSV"  # noqa: PT017


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(JSON, JSON)
def test_no_json_makes_it_raise(inside: object, instead: object) -> None:
    """Any value in the place of the answers, and any document, is read or rejected."""
    said = json.loads(files(answers())[0])
    for document in ({**said, "answers": inside}, {"answersAsMap": inside}, instead):
        read((json.dumps(document).encode(), files(answers())[1]))


def test_formulas_and_quotes_come_through_as_text() -> None:
    """What looks like a formula is a text of the respondent's."""
    text = '=1+1 "murer"; og'
    submitted = read(files(answers(occupation=text)))
    assert submitted.table is not None

    assert submitted.table.frame["occupation"].to_list() == [text]
    assert csv_format_v1([["a"], [text]]).count(b'""') == 2


def test_a_submissions_faults_stand_in_row_one() -> None:
    """A submission has one row and no header."""
    submitted = read(files(answers(score="99")))
    assert submitted.table is not None
    checked = check(ARRIVAL, REGISTRY, submitted.table, drop_uuid="u", sender="alfa")

    assert checked.faults == (Fault("arrival", 1, "score", "above_maximum"),)
