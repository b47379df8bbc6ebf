"""A simulated Nettskjema: answers become submissions, encrypted to the registry's key, in the tree that TSD keeps.

Deliveries are those of the Survey API, version 2024-09: JSON and CSV Format V1, one pair of files for each submission,
what each form asks in a file beside them, and TSD's hidden copy of all.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

from enclave import durable
from enclave.crypto import keyring, openpgp
from enclave.demo.nettskjema_form import VERSION, VERSION_MINOR, definition_of, written
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG
from enclave.registry.definition import Form, Kind
from enclave.registry.load import load

Answer = str | int | float | bool | None | Mapping[str, bool | str]
NORWEGIAN_WINTER = timezone(timedelta(hours=1))
FIRST_NUMBER = 27_830_787
INSTITUTION = "institution"
"""The question that asks who submits."""
YES = frozenset({"ja", "1"})


@dataclass(repr=False)
class Nettskjema:
    """The forms of one registry at Nettskjema, delivered to the tree at `root`; `forms` by Nettskjema's number."""

    root: Path
    public_key: str
    forms: Mapping[str, Form]
    submitted: int = field(default=0)

    def submit(self, form_number: str, row: Mapping[str, str], institution: str, day: date) -> int:
        """Submit one filled-in form of an institution, and answer the number that it got."""
        self.submitted += 1
        number = FIRST_NUMBER + self.submitted
        answers = {INSTITUTION: institution, **answers_of(self.forms[form_number], row)}
        created = datetime.combine(day, time(8), NORWEGIAN_WINTER) + timedelta(seconds=self.submitted)
        self.deliver(form_number, number, *delivery(answers, number, created))
        return number

    def submit_all(self, forms: Mapping[str, Sequence[Mapping[str, str]]], institution: str, day: date) -> None:
        """Submit every row of these forms, by their ids in the registry."""
        numbers = {form.id: number for number, form in self.forms.items()}
        for form, rows in forms.items():
            for row in rows:
                self.submit(numbers[form], row, institution, day)

    def publish(self, form_number: str, definition: bytes, version: int = 1) -> None:
        """Put what a form asks into the tree, beside its submissions."""
        self._put(form_number, {f"form_{form_number}_{version}.json.asc": definition})

    def deliver(self, form_number: str, number: int, said: bytes, columns: bytes) -> None:
        """Put a submission into the tree, as TSD does: in both places, each file under its own name."""
        self._put(form_number, {f"{number}.json.asc": said, f"{number}.csv.asc": columns})

    def _put(self, form_number: str, files: Mapping[str, bytes]) -> None:
        key = openpgp.key_id(self.public_key)
        for place in (self.root / key / form_number, self.root / ".tsd" / key / form_number):
            durable.make_folder(place)
            for name, content in files.items():
                durable.write(place / name, openpgp.seal(content, self.public_key), mode=0o660)


FORMS = {"200106": "follow_up_6", "200112": "follow_up_12"}
"""The forms that the demo has at Nettskjema, by their numbers there."""


def open_forms(
    working: WorkingFolder, registry: str, tree: Path, institutions: Sequence[str], made: datetime
) -> Nettskjema:
    """What is agreed with Nettskjema and TSD, as enclave.toml says it: the tree, the forms, and who fills them in.

    The options of the institution question are numbered in the order given.
    """
    durable.make_folder(tree)
    numbered = {str(number): name for number, name in enumerate(institutions, start=1)}
    options = ", ".join(f'"{number}" = "{name}"' for number, name in numbered.items())
    lines = [f"\n[registries.{registry}.nettskjema]", f'submissions = "{tree}"']
    for number, form_id in FORMS.items():
        lines += [f"[registries.{registry}.nettskjema.forms.{number}]", f'form = "{form_id}"']
        lines += [f'institution = "{INSTITUTION}"', f"institutions = {{ {options} }}"]
    durable.write(working.settings, working.settings.read_bytes() + "\n".join(lines).encode() + b"\n")
    definition = load(CONFIG / "registries" / registry).definition
    forms = {number: definition.form(form_id) for number, form_id in FORMS.items()}
    opened = Nettskjema(tree, keyring.public(working.registry(registry).keys, "nettskjema"), forms)
    for number, form in forms.items():
        opened.publish(number, written(definition_of(form, number, INSTITUTION, numbered, made)))
    return opened


def answers_of(form: Form, row: Mapping[str, str]) -> dict[str, Answer]:
    """A row of a form as Nettskjema has it: numbers as numbers, options that were ticked or not, nothing as null."""
    answers: dict[str, Answer] = {name: row[name] for name in (form.person_id, form.reference) if name and name in row}
    for variable in form.variables:
        if variable.kind is Kind.MULTI:
            ticked = zip(variable.codes, variable.columns(), strict=True)
            answers[variable.name] = {code.value: row.get(column, "") in YES for code, column in ticked}
        else:
            answers[variable.name] = _answer(variable.kind, row.get(variable.name, ""))
    return answers


def _answer(kind: Kind, text: str) -> Answer:
    if not text:
        return None
    if kind is Kind.INTEGER:
        return int(text)
    return float(text.replace(",", ".")) if kind is Kind.DECIMAL else text


def delivery(
    answers: Mapping[str, Answer], number: int, created: datetime, respondent: Mapping[str, object] | None = None
) -> tuple[bytes, bytes]:
    """The JSON and the CSV file of one submission, before they are encrypted."""
    moment = f"{created:%Y-%m-%dT%H:%M:%S}.828301592{created:%z}"
    moment = f"{moment[:-2]}:{moment[-2:]}"
    metadata: dict[str, object] = {"created": moment, "answer_time": 26_515, "submission_id": number}
    if respondent is not None:
        metadata["respondent"] = respondent
    said = {"answers": answers, "metadata": metadata, "version": VERSION, "version_minor": VERSION_MINOR}
    columns = {"$submission_id": str(number), "$created": moment, **_columns(answers), "$answer_time_ms": "26515"}
    return json.dumps(said, ensure_ascii=False).encode(), csv_format_v1([list(columns), list(columns.values())])


def _columns(answers: Mapping[str, Answer]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for question, answer in answers.items():
        if isinstance(answer, Mapping):
            columns |= {f"{question}.{part}": _field(inner) for part, inner in answer.items()}
        else:
            columns[question] = _field(answer)
    return columns


def _field(answer: Answer) -> str:
    if isinstance(answer, bool):
        return str(int(answer))
    return "" if answer is None else str(answer).replace("\n", " ")


def csv_format_v1(rows: Sequence[Sequence[str]]) -> bytes:
    """Rows as the Survey API writes CSV: semicolons, every field quoted, CRLF."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()
