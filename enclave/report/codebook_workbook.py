"""The codebook as a workbook: texts only, filtered and frozen headings, equal bytes each time."""

from collections.abc import Sequence
from dataclasses import dataclass

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from enclave.spreadsheet import workbook_bytes, write_text

NARROWEST, WIDEST = 10, 60  # characters


@dataclass(frozen=True)
class Table:
    """One sheet: its title, the names of its columns, and its rows of texts."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def workbook(title: str, about: Sequence[tuple[str, str]], notes: Sequence[str], tables: Sequence[Table]) -> bytes:
    """An XLSX file: first a sheet about the registry, then one sheet for each table."""
    book = Workbook()
    first = book.worksheets[0]
    first.title = title
    lines = [*about, ("", ""), *(("", note) for note in notes)]
    for row, (name, value) in enumerate(lines, start=1):
        write_text(first.cell(row, 1), name)
        first.cell(row, 1).font = Font(name="Calibri", size=11, bold=True)
        write_text(first.cell(row, 2), value)
        first.cell(row, 2).alignment = Alignment(wrap_text=True, vertical="top")
    first.column_dimensions["A"].width = 30
    first.column_dimensions["B"].width = 100
    for table in tables:
        _write(book.create_sheet(table.title), table)
    return workbook_bytes(book)


def _write(target: Worksheet, table: Table) -> None:
    for row, line in enumerate((table.header, *table.rows), start=1):
        for column, value in enumerate(line, start=1):
            cell = target.cell(row, column)
            write_text(cell, value or None)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if row == 1:
                cell.font = Font(name="Calibri", size=11, bold=True, color="FFFFFF")
                cell.fill = PatternFill("solid", fgColor="1F4E5F")
    for column in range(1, len(table.header) + 1):
        longest = max(len(line[column - 1]) for line in (table.header, *table.rows)) + 2
        target.column_dimensions[get_column_letter(column)].width = min(WIDEST, max(NARROWEST, longest))
    target.freeze_panes = "A2"
    target.auto_filter.ref = f"A1:{get_column_letter(len(table.header))}{len(table.rows) + 1}"
