"""A clinic's own rows, given back to it: what it submitted itself, under its own references, as CSV and as a workbook.

*Own* is what the sender sent (law 6): never joined through the person, never borrowed. No national number goes back:
the registry holds none, and a reference, text or number that could be one is not shown. Equal rows give equal bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from enclave.errors import Halt, explain
from enclave.model.draft import DraftFile
from enclave.model.pseudonymous import EPISODE, SENDER
from enclave.registry.definition import Definition, Form, Kind
from enclave.release.leaks import could_leak
from enclave.spreadsheet import Value, csv_bytes, number_text, workbook_bytes, write_text

explain(
    "H_NOT_OWN",
    "Rows that were to go back to an institution are not all its own, or one of its courses has no reference.",
    "Nothing was released. Compare registry and vault with a backup; they do not belong together any more.",
)

WORKBOOK = "egne_rader.xlsx"
REFERENCE_LABEL = "Forløpsnummer"
NOT_SHOWN = "(vises ikke)"
HEADER_ROW = 2
NARROWEST, WIDEST = 12, 48  # characters


@dataclass(frozen=True, repr=False)
class OwnRows:
    """One form's rows of one institution: the header as the institution sends it, and a value for each column.

    `hidden` counts values that are not shown because they could be a person's number.
    """

    form: Form
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    hidden: int


def own_rows(form: Form, rows: pl.DataFrame, references: pl.DataFrame, *, institution: str) -> OwnRows:
    """The rows of one form with their references; Halt H_NOT_OWN where one is not the institution's own.

    `rows` is what the store reads for `own_rows`; `references` has `episode`, `sender`, `reference`. A form that tells
    its rows apart by answers of its own (the year) has no reference.
    """
    if not rows[SENDER].eq(institution).all() or not references["sender"].eq(institution).all():
        raise Halt("H_NOT_OWN", place=form.id)
    answers = rows.select(form.columns())
    columns = form.columns()
    if not form.key:
        named = rows.select(EPISODE).join(
            references, left_on=EPISODE, right_on="episode", how="left", maintain_order="left", validate="m:1"
        )["reference"]
        if named.null_count():
            raise Halt("H_NOT_OWN", place=form.id)
        answers = answers.insert_column(0, named.alias(form.reference))
        columns = (form.reference, *columns)
    hidden = 0
    shown: list[tuple[Value, ...]] = []
    for row in answers.iter_rows():
        kept = tuple(NOT_SHOWN if could_leak(_as_written(value)) else value for value in row)
        hidden += sum(one != other for one, other in zip(kept, row, strict=True))
        shown.append(kept)
    return OwnRows(form, columns, tuple(shown), hidden)


def _as_written(value: Value) -> str:
    """A text or number as the files have it: a large number has as many digits as an identifier."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value} {number_text(value)}"
    return value if isinstance(value, str) else ""


def own_files(
    forms: Sequence[OwnRows], definition: Definition, *, recipient_name: str, state: int
) -> tuple[DraftFile, ...]:
    """`egne_rader.xlsx` with a sheet for each form, and `csv/FORM.csv` with the codes as they were sent."""
    return (
        DraftFile(WORKBOOK, _workbook(forms, definition, recipient_name, state)),
        *(DraftFile(f"csv/{each.form.id}.csv", csv_bytes(each.columns, each.rows)) for each in forms),
    )


def _workbook(forms: Sequence[OwnRows], definition: Definition, recipient_name: str, state: int) -> bytes:
    book = Workbook()
    _write_about(book.worksheets[0], forms, definition, recipient_name, state)
    for number, each in enumerate(forms, start=1):
        _write_form(book.create_sheet(f"{number} {each.form.id}"[:31]), each)
    return workbook_bytes(book)


def _write_about(
    sheet: Worksheet, forms: Sequence[OwnRows], definition: Definition, recipient_name: str, state: int
) -> None:
    sheet.title = "Om filen"
    hidden = sum(each.hidden for each in forms)
    facts = [
        ("Register", definition.name.nb),
        ("Institusjon", recipient_name),
        ("Definisjon", definition.version),
        ("Registerets tilstand", str(state)),
        *((each.form.label.nb, f"{len(each.rows)} rader") for each in forms),
        (
            "Hva dette er",
            "Det dere selv har sendt inn, slik det gjelder nå. Den som har trukket samtykket, er ikke med.",
        ),
        ("Oppbevaring", "Oppbevar filen som dere oppbevarer journalopplysninger."),
    ]
    if hidden:
        facts.append(
            (NOT_SHOWN, f"{hidden} verdier vises ikke, fordi de kan være et fødselsnummer. Bruk egne forløpsnumre.")
        )
    for row, (name, value) in enumerate(facts, start=1):
        write_text(sheet.cell(row, 1), name)
        sheet.cell(row, 1).font = Font(name="Calibri", size=11, bold=True)
        sheet.cell(row, 1).alignment = Alignment(wrap_text=True, vertical="top")
        write_text(sheet.cell(row, 2), value)
        sheet.cell(row, 2).alignment = Alignment(wrap_text=True, vertical="top")
    sheet.column_dimensions["A"].width = 44
    sheet.column_dimensions["B"].width = 80


def _write_form(sheet: Worksheet, each: OwnRows) -> None:
    """A heading for people above the column names as they are sent; codes by their labels."""
    labels = {each.form.reference: REFERENCE_LABEL, **_column_labels(each.form)}
    answers = _code_labels(each.form)
    for column, name in enumerate(each.columns, start=1):
        heading, sent_as = sheet.cell(1, column), sheet.cell(HEADER_ROW, column)
        write_text(heading, labels[name])
        heading.font = Font(name="Calibri", size=11, bold=True, color="FFFFFF")
        heading.fill = PatternFill("solid", fgColor="1F4E5F")
        heading.alignment = Alignment(wrap_text=True, vertical="center")
        write_text(sent_as, name)
        sent_as.font = Font(italic=True, color="666666")
        texts = [_as_text(row[column - 1], answers.get(name, {})) for row in each.rows]
        width = max([NARROWEST, len(name) + 2, *(len(text) + 2 for text in texts)])
        sheet.column_dimensions[get_column_letter(column)].width = min(WIDEST, width)
        for row, values in enumerate(each.rows, start=HEADER_ROW + 1):
            value = values[column - 1]
            if isinstance(value, bool | str) or value is None:
                write_text(sheet.cell(row, column), _as_text(value, answers.get(name, {})) or None)
            else:
                sheet.cell(row, column, value)
    sheet.freeze_panes = f"{'A' if each.form.key else 'B'}{HEADER_ROW + 1}"
    sheet.auto_filter.ref = f"A{HEADER_ROW}:{get_column_letter(len(each.columns))}{HEADER_ROW + len(each.rows)}"


def _column_labels(form: Form) -> dict[str, str]:
    labels: dict[str, str] = {}
    for variable in form.variables:
        if variable.kind is Kind.MULTI:
            labels |= {f"{variable.name}_{one.value}": f"{variable.label.nb}: {one.label.nb}" for one in variable.codes}
        else:
            labels[variable.name] = variable.label.nb
    return labels


def _code_labels(form: Form) -> dict[str, dict[str, str]]:
    coded = (variable for variable in form.variables if variable.kind is Kind.CODE)
    return {variable.name: {one.value: one.label.nb for one in variable.codes} for variable in coded}


def _as_text(value: Value, labels: dict[str, str]) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "ja" if value else "nei"
        case date():
            return value.isoformat()
        case str():
            return labels.get(value, value)
        case _:
            return str(value)
