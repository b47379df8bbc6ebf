"""The answer to the sender: what was wrong row by row in its own language, and a receipt whose control totals add up.

Feedback names the sender's own references, never a value of a row. The same answer gives the same bytes.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from enclave.errors import CODES
from enclave.intake.answer import Answer
from enclave.intake.answer_texts import WORDS, Words, worded
from enclave.intake.rules import CHECK_REMEDY, FILE_RULES, RuleText
from enclave.model.draft import DraftFile
from enclave.model.fault import Fault, Severity
from enclave.registry import expressions
from enclave.registry.definition import Definition, Form, Kind
from enclave.spreadsheet import csv_bytes, workbook_bytes, write_text

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

WIDTHS = (24, 8, 20, 28, 48, 60, 30, 28)
RECEIPT_LANGUAGE = "nb"
NOT_SIGNED = (
    "Innsendingen var ikke signert: bare tilgangen til slusen og passordet viser at den er deres. "
    "Sier kvitteringen noe dere ikke kjenner igjen, ring registeret."
)
MOST_LISTED = 20_000  # lines; the summary still counts them all
# A reference that could be a person's number, or text that turns into one, is not repeated: nothing that leaves may
# hold one, and a sender must not be able to stop its own answer. The row number still tells which row is meant.
LIKE_A_PERSON = re.compile(r"\d{6}\s?\d{5}|\d{8}[-+]?\d{4}|[0-9a-f]{32}|&|_pseudonym", re.IGNORECASE)

Row = tuple[str, int | None, str, str, str, str, str, str]
KindOfFault = tuple[str, str, str, str]
"""Form, variable, what is wrong, and what comes of it."""


def feedback(answer: Answer, definition: Definition, rules: Mapping[str, RuleText]) -> tuple[DraftFile, ...]:
    """`tilbakemelding.xlsx` and `tilbakemelding.csv`: every fault with its row, the sender's reference and a remedy.

    `rules` are the built-in rules of all stages; the definition's own checks bring their texts.
    """
    wording = _Wording(definition, rules, answer.language)
    rows = [wording.row(answer, fault) for fault in answer.faults]
    listed = rows[:MOST_LISTED]
    if len(rows) > MOST_LISTED:
        listed.append(wording.row(answer, Fault("", 0, "", "too_many_faults", Severity.WARN)))
    return (
        DraftFile("tilbakemelding.xlsx", _workbook(answer, wording, _counted(rows, answer, wording), listed)),
        DraftFile("tilbakemelding.csv", csv_bytes(wording.words.header, listed)),
    )


def receipt(answer: Answer, definition: Definition) -> tuple[DraftFile, ...]:
    """`kvittering.json` for programs and `kvittering.txt` for people: outcome, control totals, audit position."""
    content = {
        "v": 1,
        "registry": answer.registry,
        "sender": answer.sender,
        "drop_id": answer.drop_id,
        "drop_uuid": answer.drop_uuid,
        "payload_sha256": answer.payload_sha256 or None,
        "signed": answer.signed,
        "status": answer.status,
        "reason": _reason(answer),
        "totals": vars(answer.totals),
        "faults": dict(sorted(_by_severity(answer).items())),
        "audit": {"log_id": answer.log_id, "audit_seq": answer.audit_seq},
    }
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    # Notepad and other Windows programs know UTF-8 by its BOM.
    readable = "\r\n".join(_readable(answer, definition)) + "\r\n"
    return (
        DraftFile("kvittering.json", text.encode()),
        DraftFile("kvittering.txt", readable.encode("utf-8-sig")),
    )


def _by_severity(answer: Answer) -> Counter[str]:
    counted = Counter(fault.severity.value for fault in answer.faults if fault.rule != "too_many_faults")
    for kind, count in answer.unlisted.items():
        counted[kind.severity.value] += count
    return counted


def _reason(answer: Answer) -> dict[str, str] | None:
    if not answer.reason:
        return None
    explanation = CODES[answer.reason]
    return {
        "code": answer.reason,
        "text": explanation.text_nb or explanation.text,
        "remedy": explanation.remedy_nb or explanation.remedy,
    }


def _readable(answer: Answer, definition: Definition) -> list[str]:
    words = WORDS[RECEIPT_LANGUAGE]
    lines = [f"Kvittering fra {definition.name.nb}", "", f"{words.status[answer.status]}."]
    reason = _reason(answer)
    if reason:
        lines += [f"Årsak ({reason['code']}): {reason['text']}", f"Hva dere kan gjøre: {reason['remedy']}"]
    lines += ["", *(f"{name}: {value}" for name, value in _facts(answer, words)), ""]
    lines += [f"{name}: {count}" for name, count in _totals(answer, words)]
    if not answer.signed:
        lines += ["", NOT_SIGNED]
    if answer.faults:
        lines += ["", "Tilbakemeldingsfilen viser hva som var galt, rad for rad."]
    return lines


def _facts(answer: Answer, words: Words) -> list[tuple[str, str]]:
    if answer.submissions:
        return [
            (words.sender, answer.sender),
            (words.answer_to, words.submissions.format(count=answer.submissions)),
            (words.unsigned, words.claimed),
            (words.log_place, f"{answer.log_id} nr. {answer.audit_seq}"),
        ]
    return [
        (words.sender, answer.sender),
        (words.their_id, answer.drop_id or words.unreadable),
        (words.our_id, answer.drop_uuid),
        (words.digest, answer.payload_sha256 or words.not_computed),
        (words.log_place, f"{answer.log_id} nr. {answer.audit_seq}"),
    ]


def _totals(answer: Answer, words: Words) -> list[tuple[str, int]]:
    totals = answer.totals
    counts = (totals.delivered, totals.accepted, totals.unchanged, totals.rejected, totals.superseded)
    return list(zip(words.totals, counts, strict=True))


class _Wording:
    """The texts of rules, forms and variables in one language."""

    def __init__(self, definition: Definition, rules: Mapping[str, RuleText], language: str) -> None:
        self.words = WORDS[language]
        self.title = f"{self.words.title} {worded(definition.name, language)}"
        self._language = language
        self._rules = rules
        self._forms = {form.id: form for form in definition.forms}
        self._columns = {form.id: _column_labels(form, language) for form in definition.forms}
        self._checks = {
            f"{form.id}.{check.id}": worded(check.label, language) for form in definition.forms for check in form.checks
        }
        self._read_by = {
            f"{form.id}.{check.id}": expressions.parse(check.holds, expressions.columns_of(form)).columns
            for form in definition.forms
            for check in form.checks
        }
        self._checks |= {
            f"{form.id}.{check.id}": worded(check.label, language)
            for form in definition.forms
            for check in form.set_checks
        }

    def row(self, answer: Answer, fault: Fault) -> Row:
        """One line of the feedback."""
        text, remedy = self._texts(fault.rule)
        form = self._forms.get(fault.form)
        return (
            worded(form.label, self._language) if form else "",
            fault.row or None,
            _shown(answer.reference(fault), self.words),
            self._variables(fault),
            text,
            remedy,
            (self.words.whole_file if fault.rule in FILE_RULES else self.words.consequence)[fault.severity],
            fault.rule,
        )

    def _variables(self, fault: Fault) -> str:
        labels = self._columns.get(fault.form, {})
        names = (fault.variable,) if fault.variable else self._read_by.get(fault.rule, ())
        return ", ".join(labels.get(name, name) for name in names)

    def _texts(self, rule: str) -> tuple[str, str]:
        if rule in self._checks:
            return self._checks[rule], worded(CHECK_REMEDY, self._language)
        if rule in self._rules:
            told = self._rules[rule]
            return worded(told.label, self._language), worded(told.remedy, self._language)
        # An answer that lacks a wording still reaches its sender.
        return rule, self.words.ask


def _shown(reference: str | None, words: Words) -> str:
    if reference is None:
        return ""
    return words.not_shown if LIKE_A_PERSON.search(reference) else reference


def _column_labels(form: Form, language: str) -> dict[str, str]:
    words = WORDS[language]
    labels = {form.reference: f"{words.reference} ({form.reference})"}
    if form.person_id:
        labels[form.person_id] = f"{words.person_id} ({form.person_id})"
    for variable in form.variables:
        label = worded(variable.label, language)
        labels[variable.name] = f"{label} ({variable.name})"
        if variable.kind is Kind.MULTI:
            for column, code in zip(variable.columns(), variable.codes, strict=True):
                labels[column] = f"{label}: {worded(code.label, language)} ({column})"
    return labels


def _counted(rows: Sequence[Row], answer: Answer, wording: _Wording) -> Counter[KindOfFault]:
    """How often each kind of fault occurs, also beyond what is listed: form, variable, what is wrong, consequence."""
    counted = Counter(_kind(row) for row in rows)
    for fault, count in answer.unlisted.items():
        counted[_kind(wording.row(answer, fault))] += count
    return counted


def _kind(row: Row) -> KindOfFault:
    form, _, _, variable, text, _, consequence, _ = row
    return (form, variable, text, consequence)


def _workbook(answer: Answer, wording: _Wording, counted: Counter[KindOfFault], listed: Sequence[Row]) -> bytes:
    from openpyxl import Workbook  # noqa: PLC0415 – heavy, and only this function needs it

    workbook = Workbook()
    summary = workbook.worksheets[0]
    summary.title = wording.words.summary_sheet
    _write_summary(summary, answer, wording.title, wording.words, counted)
    _write_faults(workbook.create_sheet(wording.words.faults_sheet), wording.words, listed)
    return workbook_bytes(workbook)


def _write_summary(sheet: "Worksheet", answer: Answer, title: str, words: Words, counted: Counter[KindOfFault]) -> None:
    lines: list[tuple[str | int, ...]] = [(title,), (words.status[answer.status],), ()]
    lines += [*_facts(answer, words), (), *_totals(answer, words), ()]
    _write_lines(sheet, lines, first=1)
    if counted:
        by_count = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        _write_lines(
            sheet, [words.summary_header, *((*names, count) for names, count in by_count)], first=len(lines) + 1
        )
        _bold(sheet, len(lines) + 1)
    _bold(sheet, 1)
    for letter, width in zip("ABCDE", (36, 70, 48, 30, 10), strict=True):
        sheet.column_dimensions[letter].width = width


def _write_faults(sheet: "Worksheet", words: Words, rows: Sequence[Row]) -> None:
    _write_lines(sheet, [words.header, *rows], first=1)
    _bold(sheet, 1)
    for letter, width in zip("ABCDEFGH", WIDTHS, strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:H{len(rows) + 1}"


def _write_lines(sheet: "Worksheet", lines: Sequence[Sequence[str | int | None]], *, first: int) -> None:
    for number, line in enumerate(lines, start=first):
        for column, value in enumerate(line, start=1):
            cell = sheet.cell(number, column)
            if isinstance(value, str):
                write_text(cell, value)
            elif value is not None:
                cell.value = value


def _bold(sheet: "Worksheet", row: int) -> None:
    from openpyxl.styles import Font  # noqa: PLC0415 – as above

    for cell in sheet[row]:
        cell.font = Font(name="Calibri", size=11, bold=True)
