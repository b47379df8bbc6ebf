"""A form's CSV file as texts with line numbers: every structural fault found, no value in any error.

Quotation marks inside quoted fields are doubled; delimiter and encoding are told by `dialect.py`.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from enclave.intake.dialect import Dialect, recognise
from enclave.intake.rules import identity_columns, optional_columns
from enclave.model.fault import Fault, Severity
from enclave.model.identified import ROW
from enclave.registry.definition import Form

LONGEST_FIELD = 131_072  # characters; csv keeps one limit for the whole process, so it is stated before reading
LONGEST_LINE = 1_048_576  # characters
MOST_ROWS = 1_000_000  # of one file
MOST_CELLS = 4_000_000  # of one file, in the form's own columns; this and the next two are what memory is meant for
MOST_COLUMNS = 512
MOST_LISTED = 10_000  # faults of rows in one file; what a person can read ends long before
BLOCK = 200_000  # cells that wait as Python texts before they become columns


@dataclass(frozen=True, repr=False)
class TextTable:
    """A form's file, read but not judged.

    `frame` has `_row` (Int64) and the file's known columns as String, in the file's order; rows whose width is wrong
    are left out and faulted. `delivered` counts all rows that are not blank. `refused` tells that a fault of the whole
    file keeps all its rows out; they are still checked, so that the sender hears everything at once. `unlisted` counts
    the faults beyond the cap, by kind: the fault without its row.
    """

    form: str
    frame: pl.DataFrame
    faults: tuple[Fault, ...]
    delivered: int
    refused: bool
    unlisted: Mapping[Fault, int] = field(default_factory=dict)


@dataclass(repr=False)
class Records:
    """A file's records, numbered as a spreadsheet numbers its rows. `broken_at` is where reading broke off, or 0.

    Rows become columns a block at a time: as Python texts a file takes many times the memory that its columns take.
    """

    form: Form
    header: list[str] = field(default_factory=list)
    delivered: int = 0
    broken_at: int = 0
    faults: list[Fault] = field(default_factory=list)
    unlisted: Counter[Fault] = field(default_factory=Counter)
    _rows: list[int] = field(default_factory=list)
    _fields: list[list[str]] = field(default_factory=list)
    _blocks: list[pl.DataFrame] = field(default_factory=list)

    @property
    def known(self) -> list[tuple[str, int]]:
        """The form's columns that stand once in the header, with their places."""
        expected = dict.fromkeys((*identity_columns(self.form), *self.form.columns()))
        twice = {name for name, count in Counter(self.header).items() if count > 1}
        return [(name, self.header.index(name)) for name in expected if name in self.header and name not in twice]

    @property
    def most_rows(self) -> int:
        """How many rows are kept: fewer of a form with many columns, none of a file that is wider than any form."""
        if len(self.header) > MOST_COLUMNS:
            return 0
        return min(MOST_ROWS, MOST_CELLS // max(1, len(self.known)))

    def take(self, number: int, fields: list[str]) -> None:
        """Keep a row of the header's width."""
        self._rows.append(number)
        self._fields.append(fields)
        if len(self._rows) * len(self.header) >= BLOCK:
            self._pack()

    def fault(self, fault: Fault) -> None:
        """Keep a row's fault, or count it where enough are listed."""
        if len(self.faults) < MOST_LISTED:
            self.faults.append(fault)
        else:
            self.unlisted[replace(fault, row=0)] += 1

    def frame(self) -> pl.DataFrame:
        """The rows that were kept."""
        self._pack()
        return pl.concat(self._blocks)

    def _pack(self) -> None:
        columns = [pl.Series(name, [row[at] for row in self._fields], dtype=pl.String) for name, at in self.known]
        self._blocks.append(pl.DataFrame([pl.Series(ROW, self._rows, dtype=pl.Int64), *columns]))
        self._rows, self._fields = [], []


def read(content: bytes, form: Form) -> TextTable:
    """The rows of one form's CSV file; nothing in it can make this raise."""
    dialect = recognise(content, (*identity_columns(form), *form.columns()))
    records = _records(content, dialect, form)
    refusing = [Fault(form.id, row, "", rule) for row, rule in dialect.faults]
    if not dialect.encoding or any(fault.rule == "delimiter" for fault in refusing):
        return _unread(form, refusing, records.delivered)
    return table_of(records, refusing, dialect.notes)


def table_of(records: Records, refusing: Sequence[Fault] = (), notes: Sequence[str] = ()) -> TextTable:
    """The records as a table, with the faults of the file and of its header.

    `refusing` are faults of the file itself, `notes` rules about the whole file that keep nothing out.
    """
    form, header, faults = records.form, records.header, list(refusing)
    if records.delivered == 0 and not records.broken_at:
        faults.append(Fault(form.id, 0, "", "empty_file"))
    if records.delivered > records.most_rows and len(header) <= MOST_COLUMNS:
        faults.append(Fault(form.id, 0, "", "too_many_rows"))
    faults += _header_faults(header, form) if header else []
    faults += [Fault(form.id, records.broken_at, "", "unreadable")] if records.broken_at else []
    told = [Fault(form.id, 0, "", rule, Severity.WARN) for rule in notes]
    return TextTable(
        form=form.id,
        frame=records.frame(),
        faults=tuple(sorted([*faults, *records.faults, *told])),
        delivered=records.delivered,
        refused=bool(faults),
        unlisted=records.unlisted,
    )


def unread(form: Form, *rules: str, delivered: int = 0) -> TextTable:
    """A file of which no row can be told, with the rules that it broke."""
    return _unread(form, [Fault(form.id, 0, "", rule) for rule in rules], delivered)


def _unread(form: Form, faults: Sequence[Fault], delivered: int) -> TextTable:
    frame = pl.DataFrame(schema={ROW: pl.Int64})
    return TextTable(form=form.id, frame=frame, faults=tuple(sorted(faults)), delivered=delivered, refused=True)


def _records(content: bytes, dialect: Dialect, form: Form) -> Records:
    """Every record that is not blank.

    After a quotation mark that does not pair, nobody knows where a record ends, so reading does not go on. Above the
    limit rows are only counted, so that a hostile file costs no more memory than an honest one.
    """
    records = Records(form)
    number, most = 0, 0
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(_lines(content, dialect.encoding), delimiter=dialect.delimiter, strict=True)
    try:
        for number, fields in enumerate(reader, start=1):
            if not "".join(fields).strip():
                continue
            if not records.header:
                records.header = [name.strip() for name in fields]
                most = records.most_rows
                continue
            records.delivered += 1
            if records.delivered > most:
                continue
            if len(fields) == len(records.header):
                records.take(number, fields)
            else:
                records.fault(Fault(form.id, number, "", "row_width"))
    except csv.Error:
        records.broken_at = number + 1
    return records


def _lines(content: bytes, encoding: str) -> Iterator[str]:
    """The file's lines, decoded as they are read: a text of the whole takes up to four times its bytes."""
    if not encoding:
        return
    # With replacement characters, so that the sender of a file that cannot be told hears of its other faults too.
    text = io.TextIOWrapper(io.BytesIO(content), encoding=encoding, errors="replace", newline="")
    while line := text.readline(LONGEST_LINE + 1):
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
