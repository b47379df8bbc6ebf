"""Workbooks and CSV files that institutions open: the same bytes every time, and no cell that runs.

A text that begins with `=`, `+`, `-`, `@` or a control character is a formula to a spreadsheet program. In a workbook
the cell's type says text and the text is kept as it is; in CSV, which has no types, it gets a leading apostrophe.
"""

import io
import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import Cell, MergedCell

Value = str | bool | int | float | Decimal | date | None

NEUTRAL_TIME = datetime(1980, 1, 1)  # noqa: DTZ001 – the earliest time a ZIP entry can carry; it has no zone there
LONGEST_CELL = 32_767  # characters, a limit of the format
FORMULA_STARTS = frozenset(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def workbook_bytes(workbook: "Workbook") -> bytes:
    """The bytes of an XLSX file, the same for the same content: no clock and no machine shows in it.

    openpyxl writes each sheet to a temporary file first, so TMPDIR must be memory where a sheet names people.
    """
    from openpyxl.writer.excel import ExcelWriter  # noqa: PLC0415 – heavy, and only those who write workbooks need it

    workbook.properties.created = NEUTRAL_TIME
    workbook.properties.modified = NEUTRAL_TIME
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        ExcelWriter(workbook, archive).write_data()
    packed = io.BytesIO()
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(packed, "w") as target:
        for name in sorted(source.namelist(), key=_package_order):
            entry = zipfile.ZipInfo(name, NEUTRAL_TIME.timetuple()[:6])
            entry.create_system = 0
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, source.read(name), compresslevel=6)
    return packed.getvalue()


def _package_order(name: str) -> tuple[bool, str]:
    # Readers that guess a file's type from its first bytes look for the content types first.
    return (name != "[Content_Types].xml", name)


def write_text(cell: "Cell | MergedCell", value: str | None) -> None:
    """Put a text into a cell as text, never as a formula, number, date or link; None leaves the cell empty.

    What XML cannot carry is replaced by U+FFFD and what the format has no room for is cut. A cell that is merged into
    another raises TypeError.
    """
    from openpyxl.cell import MergedCell  # noqa: PLC0415 – as above

    if isinstance(cell, MergedCell):
        raise TypeError("a merged cell holds no value")
    if value is None:
        cell.value = None
        return
    kept = LOOKS_ESCAPED.sub("_x005F_", NOT_IN_XML.sub(REPLACEMENT, value))[:LONGEST_CELL]
    cell.value = kept
    cell.data_type = "s"
    if value[:1] in FORMULA_STARTS:
        # The type alone would be lost when a person edits the cell and presses Enter.
        cell.quotePrefix = True


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """A CSV file as institutions read it: UTF-8 with BOM, `;`, decimal comma, CRLF, texts in quotation marks.

    Dates are ISO, booleans `ja`/`nei`, None is empty. A row that is not as wide as the header, and a number that is
    not finite, raise ValueError.
    """
    lines = [";".join(_csv_field(name) for name in header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError("a row is not as wide as the header")
        lines.append(";".join(_csv_field(value) for value in row))
    return "".join(line + "\r\n" for line in lines).encode("utf-8-sig")


def _csv_field(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "ja" if value else "nei"
        case int() | float() | Decimal():
            return number_text(value)
        case date():
            return value.isoformat()
        case str():
            return _csv_text(value)


def number_text(value: float | Decimal) -> str:
    """A number as a CSV file has it: decimal comma, no exponent; ValueError where it is not finite."""
    if not math.isfinite(value):
        raise ValueError("a number that is not finite has no place in a file for people")
    return format(Decimal(str(value)), "f").replace(".", ",")


def _csv_text(value: str) -> str:
    kept = NOT_IN_XML.sub(REPLACEMENT, value)
    # Some programs look for the formula behind leading spaces.
    guarded = "'" + kept if kept.lstrip(" \u00a0")[:1] in FORMULA_STARTS and kept.strip(" \u00a0") else kept
    return '"' + guarded.replace('"', '""') + '"'
