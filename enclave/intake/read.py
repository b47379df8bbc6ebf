"""A form's CSV file as texts with line numbers: every structural fault found, no value in any error.

The dialect is declared, not guessed: `;`, quotation marks doubled inside quoted fields, UTF-8 with or without BOM.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from enclave.intake.rules import identity_columns, optional_columns
from enclave.model.fault import Fault
from enclave.model.identified import ROW
from enclave.registry.definition import Form

DELIMITER = ";"
OTHER_DELIMITERS = (",", "\t", "|")
LONGEST_FIELD = 131_072  # characters; csv keeps one limit for the whole process, so it is stated before reading
LONGEST_LINE = 1_048_576  # characters
MOST_ROWS = 1_000_000  # of one file
BOM = b"\xef\xbb\xbf"
UTF_16_BOMS = (b"\xff\xfe", b"\xfe\xff")


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
    if content.startswith(UTF_16_BOMS):
        return unread(form, "encoding")
    text, whole_file = _decode(content.removeprefix(BOM))
    records = _records(text)
    header = records.header
    if len(header) == 1 and any(delimiter in header[0] for delimiter in OTHER_DELIMITERS):
        return unread(form, *whole_file, "delimiter", delivered=records.delivered)
    return table_of(records, form, whole_file)


def table_of(records: Records, form: Form, whole_file: Sequence[str] = (), fields: Sequence[Fault] = ()) -> TextTable:
    """The records as a table, with the faults of the file and of its header.

    `whole_file` are rules that the file itself broke, `fields` faults of rows that were left out of the records.
    """
    header, whole_file = records.header, list(whole_file)
    if records.delivered == 0 and not records.broken_at:
        whole_file.append("empty_file")
    if records.delivered > MOST_ROWS:
        whole_file.append("too_many_rows")
    faults = [Fault(form.id, 0, "", rule) for rule in whole_file]
    faults += _header_faults(header, form) if header else []
    faults += [Fault(form.id, records.broken_at, "", "unreadable")] if records.broken_at else []
    narrow = [Fault(form.id, row, "", "row_width") for row in records.of_other_width]
    return TextTable(
        form=form.id,
        frame=_frame(records, form),
        faults=tuple(sorted([*faults, *narrow, *fields])),
        delivered=records.delivered,
        refused=bool(faults),
    )


def unread(form: Form, *rules: str, delivered: int = 0) -> TextTable:
    """A file of which no row can be told, with the rules that it broke."""
    faults = tuple(sorted(Fault(form.id, 0, "", rule) for rule in rules))
    frame = pl.DataFrame(schema={ROW: pl.Int64})
    return TextTable(form=form.id, frame=frame, faults=faults, delivered=delivered, refused=True)


def _decode(content: bytes) -> tuple[str, list[str]]:
    try:
        return content.decode(), []
    except UnicodeDecodeError:
        # Read on with replacement characters, so that the sender hears of the file's other faults too.
        return content.decode(errors="replace"), ["encoding"]


def _records(text: str) -> Records:
    """Every record that is not blank.

    After a quotation mark that does not pair, nobody knows where a record ends, so reading does not go on. Above the
    limit rows are only counted, so that a hostile file costs no more memory than an honest one.
    """
    records = Records()
    number = 0
    csv.field_size_limit(LONGEST_FIELD)
    try:
        for number, fields in enumerate(csv.reader(_lines(text), delimiter=DELIMITER, strict=True), start=1):
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
