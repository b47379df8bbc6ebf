"""The results as a workbook and as CSV: numbers as numbers, no formula, link or hidden part, equal bytes each time."""

from collections.abc import Sequence
from textwrap import wrap

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from enclave.report.sheet import Cell, Format, Sheet
from enclave.report.texts import text
from enclave.spreadsheet import csv_bytes, workbook_bytes, write_text

LONGEST_TITLE = 31  # characters of a sheet's name, a limit of the format
NOT_IN_TITLES = str.maketrans(dict.fromkeys("[]:*?/\\", "-"))
HEADER_ROW = 3
NARROWEST, WIDEST, ABOUT_WIDTH = 13, 64, 90  # characters
LINE = 15.5  # points; a row that is not given its height shows one line only in some programs


def workbook(sheets: Sequence[Sheet], about: Sequence[tuple[str, str]], notes: Sequence[str]) -> bytes:
    """An XLSX file: first what it is about and how to read it, then one sheet for each table."""
    book = Workbook()
    first = book.worksheets[0]
    first.title = text("file", "about")
    _write_about(first, about, notes)
    for sheet in sheets:
        _write_sheet(book.create_sheet(_title(sheet.title, book.sheetnames)), sheet)
    for written in book.worksheets:
        _fit_to_paper(written)
    return workbook_bytes(book)


def table_csv(sheet: Sheet) -> bytes:
    """One table as CSV, with the reason for each number that is not there in the last column."""
    rows = [
        [*(cell.value if _is_number(cell) else cell.shown() for cell in line.cells), line.remark]
        for line in sheet.lines
    ]
    return csv_bytes([*sheet.columns, text("column", "remark")], rows)


def _is_number(cell: Cell) -> bool:
    return cell.withheld is None and not isinstance(cell.value, str) and cell.value is not None


def _title(label: str, taken: Sequence[str]) -> str:
    title = label.translate(NOT_IN_TITLES)[:LONGEST_TITLE].strip("' ")
    return title if title not in taken else f"{title[: LONGEST_TITLE - 3]} {len(taken)}"


def _write_about(target: Worksheet, about: Sequence[tuple[str, str]], notes: Sequence[str]) -> None:
    for row, (name, value) in enumerate(about, start=1):
        write_text(target.cell(row, 1), name)
        target.cell(row, 1).font = Font(name="Calibri", size=11, bold=True)
        write_text(target.cell(row, 2), value)
        target.cell(row, 2).alignment = Alignment(wrap_text=True, vertical="top")
    for row, note in enumerate(notes, start=len(about) + 2):
        write_text(target.cell(row, 2), note)
        target.cell(row, 2).alignment = Alignment(wrap_text=True, vertical="top")
        target.row_dimensions[row].height = _lines(note, ABOUT_WIDTH) * LINE
    target.column_dimensions["A"].width = 24
    target.column_dimensions["B"].width = ABOUT_WIDTH


def _write_sheet(target: Worksheet, sheet: Sheet) -> None:
    write_text(target.cell(1, 1), sheet.title)
    target.cell(1, 1).font = Font(name="Calibri", bold=True, size=14)
    columns = [*sheet.columns, text("column", "remark")]
    for column, name in enumerate(columns, start=1):
        heading = target.cell(HEADER_ROW, column)
        write_text(heading, name)
        heading.font = Font(name="Calibri", size=11, bold=True, color="FFFFFF")
        heading.fill = PatternFill("solid", fgColor="1F4E5F")
        heading.alignment = Alignment(wrap_text=True, vertical="center")
    for row, line in enumerate(sheet.lines, start=HEADER_ROW + 1):
        for column, written in enumerate(line.cells, start=1):
            _write_cell(target, row, column, written)
        write_text(target.cell(row, len(columns)), line.remark)
    lines = 1
    for column in range(1, len(columns) + 1):
        texts = [line.remark if column == len(columns) else line.cells[column - 1].shown() for line in sheet.lines]
        width = min(WIDEST, max([NARROWEST, *(len(shown) + 2 for shown in texts)]))
        target.column_dimensions[get_column_letter(column)].width = width
        lines = max(lines, _lines(columns[column - 1], width - 2))
    target.row_dimensions[HEADER_ROW].height = lines * LINE
    for row, note in enumerate(sheet.notes, start=HEADER_ROW + len(sheet.lines) + 2):
        write_text(target.cell(row, 1), note)
    target.freeze_panes = f"A{HEADER_ROW + 1}"


def _lines(written: str, width: int) -> int:
    """How many lines a text of the workbook's font needs in a column of that many characters, word by word."""
    return len(wrap(written, max(1, int(width * 0.85)))) or 1


def _fit_to_paper(target: Worksheet) -> None:
    """All columns on one page across, whoever prints it; the headings stand on every page of a table."""
    target.page_setup.orientation = "landscape"
    target.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    target.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    target.page_setup.fitToHeight = 0
    if target.freeze_panes:
        target.print_title_rows = f"{HEADER_ROW}:{HEADER_ROW}"


def _write_cell(target: Worksheet, row: int, column: int, cell: Cell) -> None:
    place = target.cell(row, column)
    if not _is_number(cell):
        write_text(place, cell.shown())
        place.alignment = Alignment(horizontal="left" if cell.format is Format.TEXT else "right")
        return
    target.cell(row, column, cell.value)
    fraction = "." + "0" * cell.decimals if cell.decimals else ""
    place.number_format = f"+0{fraction};-0{fraction};0{fraction}" if cell.format is Format.CHANGE else f"0{fraction}"
