"""All files of a result package, made from the same laid-out tables."""

from collections.abc import Sequence

from enclave.model.draft import DraftFile
from enclave.model.table import ReleasableTable, Withheld
from enclave.registry.definition import Definition
from enclave.report.page import page
from enclave.report.sheet import Sheet
from enclave.report.texts import period_words, text
from enclave.report.view import lay_out
from enclave.report.workbook import table_csv, workbook


def result_files(
    tables: Sequence[ReleasableTable],
    definition: Definition,
    *,
    recipient_name: str,
    code_version: str,
    link_rates: Sequence[tuple[str, int]] = (),
) -> tuple[DraftFile, ...]:
    """`rapport.html`, `resultater.xlsx` and `csv/TABLE.csv` of these tables (at least one).

    `link_rates` says of loans behind these tables how many per cent of the registry's people they met.
    `recipient_name` is how the institution is called, "" for the national page. The same tables, definition and code
    version give the same bytes.
    """
    sheets = [lay_out(table, definition) for table in tables]
    title = text("title", "institution", recipient=recipient_name) if recipient_name else text("title", "public")
    periods = " · ".join(dict.fromkeys(period_words(table.period) for table in tables))
    linked = (text("notes", "linked", loan=loan, percent=percent) for loan, percent in link_rates)
    notes = (*notes_of(sheets, definition), *linked)
    made = made_of(sheets, code_version)
    about = [
        (text("file", "registry"), definition.name.nb),
        (text("file", "recipient"), recipient_name or text("file", "public")),
        (text("file", "period"), periods),
        *(
            (f"{text('made', key)} ({row[0]})", value)
            for row in made
            for key, value in zip(("state", "definition"), row[1:3], strict=True)
        ),
        (text("made", "code"), code_version),
    ]
    return (
        DraftFile(
            "rapport.html",
            page(sheets, registry=definition.name.nb, title=title, period=periods, notes=notes, made=made),
        ),
        DraftFile("resultater.xlsx", workbook(sheets, about, notes)),
        *(DraftFile(f"csv/{sheet.table.table}.csv", table_csv(sheet)) for sheet in sheets),
    )


def made_of(sheets: Sequence[Sheet], code_version: str) -> list[tuple[str, str, str, str]]:
    """What each table was made from: its title, state, definition, and the version of this program."""
    return [(sheet.title, str(sheet.table.state), sheet.table.definition[:16], code_version) for sheet in sheets]


def notes_of(sheets: Sequence[Sheet], definition: Definition) -> tuple[str, ...]:
    """The notes that explain what stands in these tables."""
    figures = [line.figure for sheet in sheets for line in sheet.lines]
    repeated = any(figure.withheld is Withheld.REPEATED for figure in figures)
    keys = ["n", "interval", "withheld", *(["repeated"] if repeated else []), "missing"]
    proposed = (text("made", "proposed"),) if definition.proposed else ()
    return (*(text("notes", key) for key in keys), *proposed)
