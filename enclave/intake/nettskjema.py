"""A submission through Nettskjema, its JSON and its CSV file, as one row of a form of the registry.

Both files say the same, or the submission is rejected. Which generation a file is of is told by its content: JSON of
the Survey API, or of the legacy delivery (`answersAsMap`). What the metadata say of the respondent, or of a guardian,
is identity: it is neither returned nor compared, so it is in memory until the file is forgotten and nowhere else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from enclave.errors import Rejected, explain
from enclave.intake import strict_json
from enclave.intake.nettskjema_csv import LINE_BREAK, Columns, read_csv
from enclave.intake.read import Records, TextTable, table_of
from enclave.model.fault import Fault, Severity
from enclave.registry.definition import Form, Kind
from enclave.settings import NettskjemaForm

explain(
    "E_SUBMISSION_JSON",
    "The JSON file of the submission is not what Nettskjema writes.",
    "Submit the form again; if this lasts, Nettskjema has changed its format: tell the data processor.",
    nb=(
        "Innsendingens JSON-fil er ikke slik Nettskjema skriver den.",
        "Send inn skjemaet på nytt; skjer det igjen, ta kontakt med databehandleren.",
    ),
)
explain(
    "E_SUBMISSION_VERSION",
    "The JSON file of the submission is of a version that this server does not read.",
    "Tell the data processor, who updates the server; then submit the form again.",
    nb=(
        "Innsendingens JSON-fil er av en versjon som ikke kan leses her.",
        "Ta kontakt med databehandleren, og send inn skjemaet på nytt når det er ordnet.",
    ),
)
explain(
    "E_SUBMISSION_DISAGREE",
    "The JSON and the CSV file of the submission do not say the same.",
    "Submit the form again; nobody can tell which of the two is right.",
    nb=(
        "Innsendingens JSON-fil og CSV-fil sier ikke det samme.",
        "Send inn skjemaet på nytt; ingen kan vite hvilken av de to som er riktig.",
    ),
)
explain(
    "E_SUBMISSION_INSTITUTION",
    "The submission names no institution that enclave.toml maps, or one that is not added here.",
    "Compare the options of the form's institution question with `institutions` in enclave.toml.",
    nb=(
        "Innsendingen oppgir ingen institusjon som registeret kjenner.",
        "Velg institusjon i skjemaet, og send inn på nytt.",
    ),
)
explain(
    "E_SUBMISSION_NUMBER",
    "The submission says that it has another number, or is of another form, than the names that it lay under.",
    "Find out who else writes to the folder of submissions; submit the form again.",
    nb=(
        "Innsendingen har et annet nummer enn navnet den lå under.",
        "Send inn skjemaet på nytt.",
    ),
)

SURVEY_API = frozenset({"answers", "metadata", "version"})
MINOR = "version_minor"
VERSIONS = {"2022-07": frozenset[str](), "2023-03": frozenset[str](), "2024-09": frozenset({MINOR})}
"""Each version of the Survey API's JSON, with the keys that it has besides `SURVEY_API`."""
ROW = 1
"""A submission is one row, and has no header line."""
_QUESTION = re.compile(r"[A-Za-z0-9_]{1,80}", re.ASCII)
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9:.]{5,18}(Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII)
_ATTACHMENT = frozenset({"original_filename", "file_id"})


@dataclass(frozen=True, repr=False)
class Answered:
    """What a JSON file says: the answers under the names that CSV columns have, and the submission's own number.

    `numbers` are the answers that JSON has as numbers, `attachments` the questions that were answered with a file.
    """

    number: int | None
    answers: Mapping[str, str]
    numbers: frozenset[str]
    attachments: frozenset[str]


@dataclass(frozen=True, repr=False)
class Submitted:
    """A submission, read: who it claims to be from ("" where that cannot be told), why it is rejected, or its row."""

    institution: str
    reason: str
    table: TextTable | None


def read_submission(json: bytes, csv: bytes, *, number: int, mapped: NettskjemaForm, form: Form) -> Submitted:
    """The submission's row as the form map and the form have it; nothing in the files can make this raise."""
    institution = ""
    try:
        answered = read_json(json)
        institution = mapped.institutions.get(answered.answers.get(mapped.institution, ""), "")
        columns = read_csv(csv)
    except Rejected as why:
        return Submitted(institution, why.code, None)
    if columns.answers.get(mapped.institution) != answered.answers.get(mapped.institution):
        institution = ""  # there is nobody to be answered
    reason = _reason(answered, columns, number, institution)
    return Submitted(institution, reason, None if reason else _table(answered, columns, mapped, form))


def _reason(answered: Answered, columns: Columns, number: int, institution: str) -> str:
    """Why a submission whose files could both be read is rejected; "" where it is not."""
    if {answered.number, columns.number} - {None, number}:
        return "E_SUBMISSION_NUMBER"
    if not agree(answered, columns):
        return "E_SUBMISSION_DISAGREE"
    return "" if institution else "E_SUBMISSION_INSTITUTION"


def read_json(content: bytes) -> Answered:
    """What a JSON file of either generation says; Rejected E_SUBMISSION_JSON, E_SUBMISSION_VERSION."""
    try:
        said = strict_json.parse(content)
    except (ValueError, RecursionError):
        raise Rejected("E_SUBMISSION_JSON") from None
    if not isinstance(said, dict):
        raise Rejected("E_SUBMISSION_JSON")
    if "answersAsMap" in said:
        return _legacy(said)
    if not isinstance(said.get("answers"), dict) or not isinstance(said.get("metadata"), dict):
        raise Rejected("E_SUBMISSION_JSON")
    version = said.get("version")
    if not isinstance(version, str) or version not in VERSIONS or type(said.get(MINOR, 0)) is not int:
        raise Rejected("E_SUBMISSION_VERSION")
    if set(said) != SURVEY_API | VERSIONS[version]:
        raise Rejected("E_SUBMISSION_JSON")
    number = said["metadata"].get("submission_id")
    if type(number) is not int:
        raise Rejected("E_SUBMISSION_JSON")
    return _flattened(number, said["answers"])


def _legacy(said: Mapping[str, Any]) -> Answered:
    """The legacy delivery: each answer is a text, or options by the ids that their form gave them."""
    answers: dict[str, Any] = {}
    if not isinstance(said["answersAsMap"], dict):
        raise Rejected("E_SUBMISSION_JSON")
    for question, answer in said["answersAsMap"].items():
        if not isinstance(answer, dict):
            raise Rejected("E_SUBMISSION_JSON")
        options = answer.get("answerOptions") or []
        if not isinstance(options, list) or not all(isinstance(option, dict) for option in options):
            raise Rejected("E_SUBMISSION_JSON")
        chosen = [option.get("externalAnswerOptionId") for option in options]
        if len(chosen) > 1:
            answers[question] = dict.fromkeys(chosen, True)
        else:
            answers[question] = chosen[0] if chosen else answer.get("unfilteredTextAnswer")
    number = said.get("submissionId")
    return _flattened(number if type(number) is int else None, answers)


def _flattened(number: int | None, said: Mapping[str, Any]) -> Answered:
    answers: dict[str, str] = {}
    numbers: set[str] = set()
    attachments: set[str] = set()
    for question, answer in said.items():
        if _QUESTION.fullmatch(question) is None:
            raise Rejected("E_SUBMISSION_JSON")
        if isinstance(answer, dict) and set(answer) == _ATTACHMENT:
            attachments.add(question)
        elif isinstance(answer, dict):
            for part, inner in answer.items():
                inside = inner.items() if isinstance(inner, dict) else [("", inner)]
                for option, value in inside:
                    name = ".".join((question, part, option) if option else (question, part))
                    answers[name] = _text(value, ticked=True)
        else:
            answers[question] = _text(answer)
            if type(answer) in (int, float):
                numbers.add(question)
    return Answered(number, answers, frozenset(numbers), frozenset(attachments))


def _text(answer: object, *, ticked: bool = False) -> str:
    """An answer as a CSV field has it; anything that no question is answered with is Rejected E_SUBMISSION_JSON."""
    match answer:
        case None:
            return ""
        case bool() if ticked:
            return "1" if answer else "0"
        case str():
            return LINE_BREAK.sub(" ", answer)
        case int() | float() if type(answer) is not bool and not ticked:
            return repr(answer).removesuffix(".0")
        case _:
            raise Rejected("E_SUBMISSION_JSON")


def agree(answered: Answered, columns: Columns) -> bool:
    """Whether both files have the same answers; one that a file leaves out is empty in the other."""
    questions = {*answered.answers, *columns.answers} - answered.attachments
    return all(
        _same(answered.answers.get(name, ""), columns.answers.get(name, ""), as_number=name in answered.numbers)
        for name in questions
    )


def _same(said: str, field: str, *, as_number: bool) -> bool:
    if said == field or not as_number:
        return said == field
    try:
        return Decimal(said) == Decimal(field.replace(",", "."))
    except InvalidOperation:
        return False


def _table(answered: Answered, columns: Columns, mapped: NettskjemaForm, form: Form) -> TextTable:
    """The one row, under the names of the form's columns; a question that no column has is a fault of the header."""
    kinds = {column: variable.kind for variable in form.variables for column in variable.columns()}
    header: list[str] = []
    fields: list[str] = []
    names = dict.fromkeys((*columns.answers, *answered.answers))
    in_parts = {name.split(".")[0] for name in names if "." in name}
    for name in names:
        question = name.split(".")[0]
        if name in in_parts and not answered.answers.get(name) and not columns.answers.get(name):
            continue  # a check-box or matrix that was not shown: null in one file, empty parts in the other
        if mapped.institution == name or question in mapped.ignored or question in answered.attachments:
            continue
        column, text = _translated(name, answered.answers.get(name, ""), mapped)
        moment = _MOMENT.fullmatch(text)
        header.append(column)
        fields.append(moment[1] if moment and kinds.get(column) is Kind.DATE else text)
    records = Records(form, header=header, delivered=1)
    records.take(ROW, fields)
    if answered.attachments:
        records.fault(Fault(form.id, ROW, "", "attachment_refused", Severity.WARN))
    return table_of(records)


def _translated(name: str, text: str, mapped: NettskjemaForm) -> tuple[str, str]:
    """The column of a question and the code of its answer; a ticked option of a check-box is a column of its own."""
    question, dot, option = name.rpartition(".")
    if name in mapped.questions or not dot:
        return mapped.questions.get(name, name), mapped.answers.get(name, {}).get(text, text)
    variable = mapped.questions.get(question, question)
    return f"{variable}_{mapped.answers.get(question, {}).get(option, option)}", text
