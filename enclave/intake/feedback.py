"""The answer to the sender, in Norwegian: what was wrong row by row, and a receipt whose control totals add up.

Feedback names the sender's own references, never a value of a row. The same answer gives the same bytes.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from enclave.errors import CODES
from enclave.intake.answer import Answer
from enclave.intake.rules import CHECK_REMEDY, FILE_RULES, RuleText
from enclave.model.draft import DraftFile
from enclave.model.fault import Fault, Severity
from enclave.registry import expressions
from enclave.registry.definition import Definition, Form, Kind
from enclave.spreadsheet import csv_bytes, workbook_bytes, write_text

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

HEADER = ("Skjema", "Rad", "Forløpsnummer", "Variabel", "Hva er galt", "Hva dere kan gjøre", "Følge", "Regel")
WIDTHS = (24, 8, 20, 28, 48, 60, 30, 28)
SUMMARY_HEADER = ("Skjema", "Variabel", "Hva er galt", "Følge", "Antall")
CONSEQUENCE = {
    Severity.REFUSE: "Raden er ikke tatt inn",
    Severity.WARN: "Tatt inn, men kontroller",
}
WHOLE_FILE = {
    Severity.REFUSE: "Hele filen er ikke tatt inn",
    Severity.WARN: "Til opplysning",
}
STATUS = {"admitted": "Innsendingen er tatt imot", "rejected": "Innsendingen er avvist"}
MOST_LISTED = 20_000  # lines; the summary still counts them all
ASK = "Ta kontakt med registeret."
# A reference that could be a person's number, or text that turns into one, is not repeated: nothing that leaves may
# hold one, and a sender must not be able to stop its own answer. The row number still tells which row is meant.
LIKE_A_PERSON = re.compile(r"\d{6}\s?\d{5}|\d{8}[-+]?\d{4}|[0-9a-f]{32}|&|_pseudonym", re.IGNORECASE)
NOT_SHOWN = "(vises ikke)"

Row = tuple[str, int | None, str, str, str, str, str, str]
KindOfFault = tuple[str, str, str, str]
"""(form, variable, what is wrong, consequence)"""


def feedback(answer: Answer, definition: Definition, rules: Mapping[str, RuleText]) -> tuple[DraftFile, ...]:
    """`tilbakemelding.xlsx` and `tilbakemelding.csv`: every fault with its row, the sender's reference and a remedy.

    `rules` are the built-in rules of all stages; the definition's own checks bring their texts.
    """
    wording = _Wording(definition, rules)
    rows = [wording.row(answer, fault) for fault in answer.faults]
    listed = rows[:MOST_LISTED]
    if len(rows) > MOST_LISTED:
        listed.append(wording.row(answer, Fault("", 0, "", "too_many_faults", Severity.WARN)))
    return (
        DraftFile("tilbakemelding.xlsx", _workbook(answer, definition, _counted(rows, answer, wording), listed)),
        DraftFile("tilbakemelding.csv", csv_bytes(HEADER, listed)),
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
    lines = [f"Kvittering fra {definition.name.nb}", "", f"{STATUS[answer.status]}."]
    reason = _reason(answer)
    if reason:
        lines += [f"Årsak ({reason['code']}): {reason['text']}", f"Hva dere kan gjøre: {reason['remedy']}"]
    lines += ["", *(f"{name}: {value}" for name, value in _facts(answer)), ""]
    lines += [f"{name}: {count}" for name, count in _totals(answer)]
    if answer.faults:
        lines += ["", "Tilbakemeldingsfilen viser hva som var galt, rad for rad."]
    return lines


def _facts(answer: Answer) -> list[tuple[str, str]]:
    return [
        ("Avsender", answer.sender),
        ("Deres innsendings-id", answer.drop_id or "kunne ikke leses"),
        ("Vår innsendings-id", answer.drop_uuid),
        ("Innholdsfilens SHA-256", answer.payload_sha256 or "ikke beregnet"),
        ("Plass i revisjonsloggen", f"{answer.log_id} nr. {answer.audit_seq}"),
    ]


def _totals(answer: Answer) -> list[tuple[str, int]]:
    totals = answer.totals
    return [
        ("Rader levert", totals.delivered),
        ("– tatt inn", totals.accepted),
        ("– uendret fra før", totals.unchanged),
        ("– ikke tatt inn", totals.rejected),
        ("Tidligere rader som ble erstattet", totals.superseded),
    ]


class _Wording:
    """The texts of rules, forms and variables."""

    def __init__(self, definition: Definition, rules: Mapping[str, RuleText]) -> None:
        self._rules = rules
        self._forms = {form.id: form for form in definition.forms}
        self._columns = {form.id: _column_labels(form) for form in definition.forms}
        self._checks = {f"{form.id}.{check.id}": check.label.nb for form in definition.forms for check in form.checks}
        self._read_by = {
            f"{form.id}.{check.id}": expressions.parse(check.holds, expressions.columns_of(form)).columns
            for form in definition.forms
            for check in form.checks
        }
        self._checks |= {
            f"{form.id}.{check.id}": check.label.nb for form in definition.forms for check in form.set_checks
        }

    def row(self, answer: Answer, fault: Fault) -> Row:
        """One line of the feedback."""
        text, remedy = self._texts(fault.rule)
        form = self._forms.get(fault.form)
        return (
            form.label.nb if form else "",
            fault.row or None,
            _shown(answer.reference(fault)),
            self._variables(fault),
            text,
            remedy,
            (WHOLE_FILE if fault.rule in FILE_RULES else CONSEQUENCE)[fault.severity],
            fault.rule,
        )

    def _variables(self, fault: Fault) -> str:
        labels = self._columns.get(fault.form, {})
        names = (fault.variable,) if fault.variable else self._read_by.get(fault.rule, ())
        return ", ".join(labels.get(name, name) for name in names)

    def _texts(self, rule: str) -> tuple[str, str]:
        if rule in self._checks:
            return self._checks[rule], CHECK_REMEDY.nb
        if rule in self._rules:
            return self._rules[rule].label.nb, self._rules[rule].remedy.nb
        # An answer that lacks a wording still reaches its sender.
        return rule, ASK


def _shown(reference: str | None) -> str:
    if reference is None:
        return ""
    return NOT_SHOWN if LIKE_A_PERSON.search(reference) else reference


def _column_labels(form: Form) -> dict[str, str]:
    labels = {form.reference: f"Forløpsnummer ({form.reference})"}
    if form.person_id:
        labels[form.person_id] = f"Fødselsnummer ({form.person_id})"
    for variable in form.variables:
        labels[variable.name] = f"{variable.label.nb} ({variable.name})"
        if variable.kind is Kind.MULTI:
            for column, code in zip(variable.columns(), variable.codes, strict=True):
                labels[column] = f"{variable.label.nb}: {code.label.nb} ({column})"
    return labels


def _counted(rows: Sequence[Row], answer: Answer, wording: _Wording) -> Counter[KindOfFault]:
    """How often each kind of fault occurs, also beyond what is listed."""
    counted = Counter(_kind(row) for row in rows)
    for fault, count in answer.unlisted.items():
        counted[_kind(wording.row(answer, fault))] += count
    return counted


def _kind(row: Row) -> KindOfFault:
    form, _, _, variable, text, _, consequence, _ = row
    return (form, variable, text, consequence)


def _workbook(answer: Answer, definition: Definition, counted: Counter[KindOfFault], listed: Sequence[Row]) -> bytes:
    from openpyxl import Workbook  # noqa: PLC0415 – heavy, and only this function needs it

    workbook = Workbook()
    summary = workbook.worksheets[0]
    summary.title = "Sammendrag"
    _write_summary(summary, answer, definition, counted)
    _write_faults(workbook.create_sheet("Feil"), listed)
    return workbook_bytes(workbook)


def _write_summary(sheet: "Worksheet", answer: Answer, definition: Definition, counted: Counter[KindOfFault]) -> None:
    lines: list[tuple[str | int, ...]] = [(f"Tilbakemelding fra {definition.name.nb}",), (STATUS[answer.status],), ()]
    reason = _reason(answer)
    if reason:
        lines += [("Årsak", f"{reason['text']} ({reason['code']})"), ("Hva dere kan gjøre", reason["remedy"]), ()]
    lines += [*_facts(answer), (), *_totals(answer), ()]
    _write_lines(sheet, lines, first=1)
    if counted:
        by_count = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        _write_lines(sheet, [SUMMARY_HEADER, *((*names, count) for names, count in by_count)], first=len(lines) + 1)
        _bold(sheet, len(lines) + 1)
    _bold(sheet, 1)
    for letter, width in zip("ABCDE", (36, 70, 48, 30, 10), strict=True):
        sheet.column_dimensions[letter].width = width


def _write_faults(sheet: "Worksheet", rows: Sequence[Row]) -> None:
    _write_lines(sheet, [HEADER, *rows], first=1)
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
        cell.font = Font(bold=True)
