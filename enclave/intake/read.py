"""A form's CSV file as texts with line numbers: every structural fault found, no value in any error.

Quotation marks inside quoted fields are doubled; delimiter and encoding are told by `dialect.py`.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from enclave.intake.dialect import recognise
from enclave.intake.rules import identity_columns, optional_columns
from enclave.model.fault import Fault, Severity
from enclave.model.identified import ROW
from enclave.registry.definition import Form

LONGEST_FIELD = 131_072  # characters; csv keeps one limit for the whole process, so it is stated before reading
LONGEST_LINE = 1_048_576  # characters
MOST_ROWS = 1_000_000  # of one file


@dataclass(frozen=True, repr=False)
class TextTable:
    """A form's file, read but not judged.

    `frame` has `_row` (Int64) and the file's known columns as String, in the file's order; rows whose width is wrong
    are left out and faulted. `delivered` counts all rows that are not blank. `refused` tells that a fault of the whole
    file keeps all its rows out; they are still checked, so that the sender hears everything at once.
    """

    form: str
    frame: pl.DataFrame
    faults: tuple[Fault, ...]
    delivered: int
    refused: bool


@dataclass(repr=False)
class Records:
    """A file's records, numbered as a spreadsheet numbers its rows. `broken_at` is where reading broke off, or 0."""

    header: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    fields: list[list[str]] = field(default_factory=list)
    of_other_width: list[int] = field(default_factory=list)
    delivered: int = 0
    broken_at: int = 0


def read(content: bytes, form: Form) -> TextTable:
    """The rows of one form's CSV file; nothing in it can make this raise."""
    dialect = recognise(content, (*identity_columns(form), *form.columns()))
    records = _records(dialect.text, dialect.delimiter)
    refusing = [Fault(form.id, row, "", rule) for row, rule in dialect.faults]
    if refusing and (not dialect.text or any(fault.rule == "delimiter" for fault in refusing)):
        return _unread(form, refusing, records.delivered)
    return table_of(records, form, refusing, notes=dialect.notes)


def table_of(
    records: Records,
    form: Form,
    refusing: Sequence[Fault] = (),
    fields: Sequence[Fault] = (),
    notes: Sequence[str] = (),
) -> TextTable:
    """The records as a table, with the faults of the file and of its header.

    `refusing` are faults of the file itself, `fields` those of rows that were left out of the records, and `notes` are
    rules about the whole file that keep nothing out.
    """
    header, faults = records.header, list(refusing)
    if records.delivered == 0 and not records.broken_at:
        faults.append(Fault(form.id, 0, "", "empty_file"))
    if records.delivered > MOST_ROWS:
        faults.append(Fault(form.id, 0, "", "too_many_rows"))
    faults += _header_faults(header, form) if header else []
    faults += [Fault(form.id, records.broken_at, "", "unreadable")] if records.broken_at else []
    narrow = [Fault(form.id, row, "", "row_width") for row in records.of_other_width]
    told = [Fault(form.id, 0, "", rule, Severity.WARN) for rule in notes]
    return TextTable(
        form=form.id,
        frame=_frame(records, form),
        faults=tuple(sorted([*faults, *narrow, *fields, *told])),
        delivered=records.delivered,
        refused=bool(faults),
    )


def unread(form: Form, *rules: str, delivered: int = 0) -> TextTable:
    """A file of which no row can be told, with the rules that it broke."""
    return _unread(form, [Fault(form.id, 0, "", rule) for rule in rules], delivered)


def _unread(form: Form, faults: Sequence[Fault], delivered: int) -> TextTable:
    frame = pl.DataFrame(schema={ROW: pl.Int64})
    return TextTable(form=form.id, frame=frame, faults=tuple(sorted(faults)), delivered=delivered, refused=True)


def _records(text: str, delimiter: str) -> Records:
    """Every record that is not blank.

    After a quotation mark that does not pair, nobody knows where a record ends, so reading does not go on. Above the
    limit rows are only counted, so that a hostile file costs no more memory than an honest one.
    """
    records = Records()
    number = 0
    csv.field_size_limit(LONGEST_FIELD)
    try:
        for number, fields in enumerate(csv.reader(_lines(text), delimiter=delimiter, strict=True), start=1):
            if not any(text and not text.isspace() for text in fields):
                continue
            if not records.header:
                records.header = [name.strip() for name in fields]
                continue
            records.delivered += 1
            if records.delivered > MOST_ROWS:
                continue
            if len(fields) == len(records.header):
                records.rows.append(number)
                records.fields.append(fields)
            else:
                records.of_other_width.append(number)
    except csv.Error:
        records.broken_at = number + 1
    return records


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        if len(line) > LONGEST_LINE:
            raise csv.Error("a line is too long")
        yield line


def _header_faults(header: Sequence[str], form: Form) -> list[Fault]:
    expected = (*identity_columns(form), *form.columns())
    optional = optional_columns(form)
    missing = [name for name in expected if name not in header and name not in optional]
    twice = [name for name in expected if header.count(name) > 1]
    # An unknown name may itself be a value (a file without a header row), so it is not repeated.
    unknown = [""] if any(name not in expected for name in header) else []
    named = ((missing, "header_missing"), (twice, "header_twice"), (unknown, "header_unknown"))
    return [Fault(form.id, 0, name, rule) for names, rule in named for name in names]


def _frame(records: Records, form: Form) -> pl.DataFrame:
    header = records.header
    known = [name for name in (*identity_columns(form), *form.columns()) if header.count(name) == 1]
    places = [(name, header.index(name)) for name in known]
    columns = [pl.Series(name, [row[place] for row in records.fields], dtype=pl.String) for name, place in places]
    return pl.DataFrame([pl.Series(ROW, records.rows, dtype=pl.Int64), *columns])
