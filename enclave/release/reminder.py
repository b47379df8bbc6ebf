"""The monthly reminder to an institution: which of its own courses miss an answer, and which yearly form it owes.

When something falls due stands in the definition (`Form.due`, `Form.yearly`). The list names courses by the
institution's own references; the letter holds counts only. A month in which nothing is due has no reminder.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from enclave.model.draft import DraftFile
from enclave.registry.definition import Definition, Form
from enclave.release.leaks import could_leak
from enclave.release.own_records import NOT_SHOWN, REFERENCE_LABEL
from enclave.spreadsheet import csv_bytes, workbook_bytes, write_text

AHEAD = timedelta(days=31)
"""How long before its first day in time a follow-up is listed: until the next reminder."""
LISTED_AFTER = timedelta(days=365)
"""How long after its last day in time a follow-up is still listed."""

HEADER = (REFERENCE_LABEL, "Skjema", "Status", "Forfaller", "Kan svares fra", "Siste dag i tide", "Skjemanavn i CSV")
WIDTHS = (20, 42, 20, 14, 16, 18, 20)


class Standing(StrEnum):
    """Where a follow-up without an answer stands, in the words of the list and in its order."""

    OVERDUE = "over fristen"
    DUE = "kan svares nå"
    COMING = "kommer"


@dataclass(frozen=True, repr=False)
class FollowUp:
    """One course that misses one form, under the institution's own reference."""

    form: Form
    reference: str
    standing: Standing
    day: date
    first: date
    last: date


@dataclass(frozen=True)
class Yearly:
    """Figures about the institution itself that have not come: of which form and year, and by when they were to."""

    form: Form
    year: int
    by: date


def follow_ups(form: Form, anchors: Mapping[str, date], today: date) -> tuple[FollowUp, ...]:
    """What is due of the courses that have no answer to this form, by last day in time, then by reference.

    `anchors` gives each such course's date that the form is due after. A form without `due` is never due.
    """
    if form.due is None:
        return ()
    found = []
    for reference, anchor in anchors.items():
        day, (first, last) = form.due.day(anchor), form.due.window(anchor)
        if form.holds_on(day) and first - AHEAD <= today <= last + LISTED_AFTER:
            standing = Standing.OVERDUE if today > last else Standing.DUE if today >= first else Standing.COMING
            found.append(FollowUp(form, reference, standing, day, first, last))
    return tuple(sorted(found, key=lambda one: (one.last, one.reference)))


def owed(form: Form, reported: Sequence[int], active: Sequence[int], today: date) -> tuple[Yearly, ...]:
    """The figures of last year, where the institution had courses then (`active` years) and reported none."""
    year = today.year - 1
    if form.yearly is None or year in reported or year not in active:
        return ()
    by = form.yearly.due(year)
    return (Yearly(form, year, by),) if form.holds_on(by) else ()


def reminder_files(
    listed: Sequence[FollowUp], owes: Sequence[Yearly], definition: Definition, *, recipient_name: str, today: date
) -> tuple[DraftFile, ...]:
    """`melding.txt`, with `oppfolging.csv` and `.xlsx` where courses are listed; nothing where nothing is due."""
    if not listed and not owes:
        return ()
    letter = "".join(f"{line}\r\n" for line in _letter(listed, owes, definition, recipient_name, today))
    files = [DraftFile("melding.txt", letter.encode("utf-8-sig"))]
    if listed:
        rows = [_row(one) for one in sorted(listed, key=_order)]
        files += [
            DraftFile("oppfolging.csv", csv_bytes(HEADER, rows)),
            DraftFile("oppfolging.xlsx", _workbook(rows)),
        ]
    return tuple(files)


def _order(one: FollowUp) -> tuple[int, date, str, str]:
    return list(Standing).index(one.standing), one.last, one.form.id, one.reference


def _row(one: FollowUp) -> tuple[str, str, str, date, date, date, str]:
    reference = NOT_SHOWN if could_leak(one.reference) else one.reference
    return (reference, one.form.label.nb, one.standing.value, one.day, one.first, one.last, one.form.id)


def _letter(
    listed: Sequence[FollowUp], owes: Sequence[Yearly], definition: Definition, recipient_name: str, today: date
) -> list[str]:
    lines = [f"Påminnelse fra {definition.name.nb}", f"Til {recipient_name}, {today.isoformat()}", ""]
    if listed:
        lines += ["Oppfølginger som mangler svar:", ""]
        counted = Counter((one.form.id, one.standing) for one in listed)
        for form in definition.forms:
            counts = [f"{counted[form.id, each]} {each.value}" for each in Standing if counted[form.id, each]]
            if counts:
                lines.append(f"  {form.label.nb}: {', '.join(counts)}")
        lines += [
            "",
            "oppfolging.xlsx viser hvilke forløp det gjelder, med deres egne forløpsnumre, og når svaret må komme.",
            "Minn deltakeren på skjemaet. Er svaret alt samlet inn, så send det i neste innsending.",
            f"Et forløp listes til {LISTED_AFTER.days} dager etter siste dag i tide.",
        ]
    if owes:
        lines += ["", "Årlige skjema om institusjonen:", ""]
        for one in owes:
            late = " – fristen er gått ut" if today > one.by else ""
            lines.append(f"  {one.form.label.nb} for {one.year}: frist {one.by.isoformat()}{late}")
    return lines


def _workbook(rows: Sequence[tuple[str, str, str, date, date, date, str]]) -> bytes:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Oppfølging"
    for column, (name, width) in enumerate(zip(HEADER, WIDTHS, strict=True), start=1):
        heading = sheet.cell(1, column)
        write_text(heading, name)
        heading.font = Font(name="Calibri", size=11, bold=True, color="FFFFFF")
        heading.fill = PatternFill("solid", fgColor="1F4E5F")
        heading.alignment = Alignment(wrap_text=True, vertical="center")
        sheet.column_dimensions[get_column_letter(column)].width = width
    for number, row in enumerate(rows, start=2):
        for column, value in enumerate(row, start=1):
            if isinstance(value, date):
                sheet.cell(number, column, value)
            else:
                write_text(sheet.cell(number, column), str(value))
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(HEADER))}{len(rows) + 1}"
    return workbook_bytes(book)
