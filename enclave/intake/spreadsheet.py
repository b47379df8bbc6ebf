"""A form's Excel file as texts with the row numbers that Excel shows: the same table as its CSV file gives.

What a cell holds is not always what it shows. Where they differ in a way that could change an answer (a percentage, a
number that Excel made a date of), the row is refused rather than guessed at.
"""

import io
import math
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from enclave.intake.answer_texts import worded
from enclave.intake.read import Records, TextTable, read, table_of, unread
from enclave.intake.rules import form_of, identity_columns
from enclave.intake.workbook import Workbook, look_through, sheet_names
from enclave.model.drop import PlainFile
from enclave.model.fault import Fault
from enclave.registry.definition import Definition, Form, Kind

if TYPE_CHECKING:
    from openpyxl.cell.cell import Cell, MergedCell
    from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell

    AnyCell = Cell | MergedCell | ReadOnlyCell | EmptyCell

ENDING = ".xlsx"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
LONGEST_TEXT = 32_767  # characters of a cell, a limit of the format
MOST_TEXT = 64 << 20  # characters of all cells: one long text may be named by a million cells
WORDS = {"true": "ja", "sann": "ja", "false": "nei", "usann": "nei"}
ERROR = "#VALUE!"
YES_OR_NO = (Kind.BOOLEAN, Kind.MULTI)
IDENTITY_LABELS = (
    ("Fødselsnummer eller D-nummer", "Deres eget nummer på forløpet"),
    ("National id or D-number", "Your own number of the course"),
)
LANGUAGES = ("nb", "en", "sv")

# What openpyxl raises over a file that is XML but no workbook; the texts hold values, so none is repeated.
UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


class _TooLarge(Exception):
    """The cells hold more text than is taken."""


@dataclass(frozen=True, repr=False)
class Part:
    """A form's rows in a file: all of it, or in a workbook of several forms the `sheet` of that name."""

    file: PlainFile
    form: Form
    sheet: str = ""

    def read(self) -> TextTable:
        """The rows; nothing in the file can make this raise."""
        if self.sheet:
            return read_spreadsheet(self.file.content, self.form, self.sheet)
        return read_file(self.file, self.form)


def parts_of(file: PlainFile, definition: Definition) -> tuple[Part, ...]:
    """The forms that a file holds: one, told by its name; or those that the sheets of `REGISTRY.xlsx` are named after.

    Empty where the file or one of its sheets is no form, or two sheets are the same one.
    """
    form = form_of(file.name, definition)
    if form is not None:
        return (Part(file, form),)
    if file.name != f"{definition.id}{ENDING}" or not file.content.startswith(ZIP_SIGNATURES):
        return ()
    known = {
        (_sheet_name(name), form.id) for form in definition.forms for name in (form.id, form.label.nb, form.label.en)
    }
    shared = Counter(name for name, _ in known)
    forms = {name: definition.form(form_id) for name, form_id in known if shared[name] == 1}
    named = [(forms.get(_sheet_name(name)), name) for name in sheet_names(file.content)]
    found = tuple(Part(file, form, name) for form, name in named if form is not None)
    return found if len(found) == len(named) == len({part.form.id for part in found}) else ()


def _sheet_name(text: str) -> str:
    """A text as the name of a sheet: Excel takes 31 characters, and none of these."""
    return re.sub(r"[\[\]:*?/\\]", "", text).strip()[:31].strip().casefold()


def read_file(file: PlainFile, form: Form) -> TextTable:
    """The rows of one form's file, CSV or Excel by name, which its content must bear out."""
    if file.content.startswith(ZIP_SIGNATURES) != file.name.endswith(ENDING):
        return unread(form, "workbook_unreadable")
    return read_spreadsheet(file.content, form) if file.name.endswith(ENDING) else read(file.content, form)


def read_spreadsheet(content: bytes, form: Form, sheet: str = "") -> TextTable:
    """The rows of one form's Excel file, or of one sheet of it; nothing in it can make this raise."""
    workbook = look_through(content, sheet)
    if workbook.faults:
        return _refused(form, workbook.faults, workbook.delivered)
    try:
        with warnings.catch_warnings():
            # They are about what is not read, and one of them repeats a cell's value.
            warnings.simplefilter("ignore")
            records = _records(workbook, form)
    except _TooLarge:
        return _refused(form, [(0, "workbook_too_large")], workbook.delivered)
    except UNREADABLE:
        return _refused(form, [(0, "workbook_unreadable")], workbook.delivered)
    return table_of(records)


def _refused(form: Form, faults: Sequence[tuple[int, str]], delivered: int) -> TextTable:
    empty = unread(form, delivered=delivered)
    told = tuple(sorted({Fault(form.id, row, "", rule) for row, rule in faults}))
    return TextTable(form=form.id, frame=empty.frame, faults=told, delivered=delivered, refused=True)


def _records(workbook: Workbook, form: Form) -> Records:
    """Every row with content. The first is the header; a row with a cell that cannot be taken is only counted."""
    records, names, kinds, length, most = Records(form), _names(form), _kinds(form), 0, 0
    for number, cells in enumerate(_rows(workbook), start=1):
        if not any(_shown(cell) for cell in cells):
            continue
        if not records.header:
            shown = [_shown(cell) for cell in cells]
            while not shown[-1]:
                shown.pop()
            records.header = [names.get(text.casefold(), text) for text in shown]
            most = records.most_rows
            continue
        records.delivered += 1
        if records.delivered > most:
            continue
        width = len(records.header)
        length += sum(len(cell.value) for cell in cells if isinstance(cell.value, str))
        if length > MOST_TEXT or any(len(cell.value) > LONGEST_TEXT for cell in cells if isinstance(cell.value, str)):
            raise _TooLarge
        if any(_shown(cell) for cell in cells[width:]):
            records.fault(Fault(form.id, number, "", "row_width"))
            continue
        texts = [_text(cell, kinds.get(name)) for name, cell in zip(records.header, cells, strict=False)]
        misfits = [name for name, text in zip(records.header, texts, strict=True) if text is None and name in names]
        if misfits:
            for name in misfits:
                records.fault(Fault(form.id, number, name, "type"))
        else:
            records.take(number, [text or "" for text in texts])
    return records


def _rows(workbook: Workbook) -> "Iterator[tuple[AnyCell, ...]]":
    from openpyxl import load_workbook  # noqa: PLC0415 – heavy, and only a drop with a workbook needs it

    if not workbook.height:
        return
    book = load_workbook(io.BytesIO(workbook.package), read_only=True, keep_links=False)
    (sheet,) = book.worksheets
    yield from sheet.iter_rows(1, workbook.height, 1, workbook.width)


def _names(form: Form) -> Mapping[str, str]:
    """Columns by what a header may say: the name, or the label in one of its languages where no other column has it."""
    identities = [form.person_id or "", form.reference]
    labels = {
        (label.casefold(), name)
        for both in IDENTITY_LABELS
        for label, name in zip(both, identities, strict=True)
        if name in identity_columns(form)
    }
    for variable in form.variables:
        for language in LANGUAGES:
            label = worded(variable.label, language)
            if variable.kind is Kind.MULTI:
                for column, code in zip(variable.columns(), variable.codes, strict=True):
                    labels.add((f"{label}: {worded(code.label, language)}".casefold(), column))
            else:
                labels.add((label.casefold(), variable.name))
    said = Counter(label for label, _ in labels)
    by_label = {label: name for label, name in labels if said[label] == 1}
    return by_label | {name: name for name in (*identity_columns(form), *form.columns())}


def _kinds(form: Form) -> Mapping[str, Kind]:
    return {column: variable.kind for variable in form.variables for column in variable.columns()}


def _shown(cell: "AnyCell") -> str:
    """A cell's value as text without white space around it; only whether there is one matters, but for a header."""
    return "" if cell.value is None else str(cell.value).strip()


def _text(cell: "AnyCell", kind: Kind | None) -> str | None:
    """A cell as its CSV field would be; None where it holds another thing than the column is for."""
    match cell.value:
        case None:
            return ""
        case str() as text:
            # What the format writes for an underscore that is one.
            said = ERROR if cell.data_type == "e" else text.replace("_x005F_", "_")
            return WORDS.get(said.strip().lower(), said) if kind in YES_OR_NO else said
        case bool() as answer:
            return ("nei", "ja")[answer] if kind in YES_OR_NO else None
        case int() | float() as number:
            # A percentage shows 100 and holds 1.
            return None if "%" in str(cell.number_format) else _number(number)
        case datetime() | date() as moment:
            return _day(moment) if kind is Kind.DATE else None
        case _:
            return None


def _day(moment: date) -> str | None:
    if not isinstance(moment, datetime):
        return moment.isoformat()
    return moment.date().isoformat() if moment.time() == time() else None


def _number(value: float) -> str | None:
    """A number with decimal comma, to the fifteen digits that Excel itself keeps."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    digits = str(value) if isinstance(value, int) else format(Decimal(f"{value:.15g}"), "f")
    whole, point, rest = digits.partition(".")
    return f"{whole},{rest.rstrip('0')}".rstrip(",") if point else whole
