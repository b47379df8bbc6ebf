"""All files of a result package, made from the same laid-out tables."""

from collections.abc import Sequence

from enclave.model.draft import DraftFile
from enclave.model.table import ReleasableTable, Withheld
from enclave.registry.definition import Definition
from enclave.report.page import page
from enclave.report.quality import unmeasured_of
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
    notes, unmeasured = (*notes_of(sheets, definition), *linked), unmeasured_in(sheets, definition)
    made = made_of(sheets, code_version)
    about = [
        (text("file", "registry"), definition.name.nb),
        (text("file", "recipient"), recipient_name or text("file", "public")),
        (text("file", "period"), periods),
        *_versions(made),
        (text("made", "code"), code_version),
    ]
    return (
        DraftFile(
            "rapport.html",
            page(
                sheets,
                registry=definition.name.nb,
                title=title,
                period=periods,
                notes=notes,
                made=made,
                unmeasured=unmeasured,
            ),
        ),
        DraftFile("resultater.xlsx", workbook(sheets, about, (*notes, *unmeasured))),
        *(DraftFile(f"csv/{sheet.table.table}.csv", table_csv(sheet)) for sheet in sheets),
    )


def _versions(made: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """The state and definition of the tables: told once where all have the same, else for each."""
    alike = len({tuple(row[1:3]) for row in made}) == 1
    return [
        (text("made", key) if alike else f"{text('made', key)} ({row[0]})", value)
        for row in (made[:1] if alike else made)
        for key, value in zip(("state", "definition"), row[1:3], strict=True)
    ]


def made_of(sheets: Sequence[Sheet], code_version: str) -> list[tuple[str, str, str, str]]:
    """What each table was made from: its title, state, definition, and the version of this program."""
    return [(sheet.title, str(sheet.table.state), sheet.table.definition[:16], code_version) for sheet in sheets]


def unmeasured_in(sheets: Sequence[Sheet], definition: Definition) -> tuple[str, ...]:
    """What cannot be told of the quality of the data, where anything is told of it."""
    return unmeasured_of(definition) if any(sheet.quality for sheet in sheets) else ()


def notes_of(sheets: Sequence[Sheet], definition: Definition) -> tuple[str, ...]:
    """The notes that explain what stands in these tables."""
    figures = [line.figure for sheet in sheets for line in sheet.lines]
    repeated = any(figure.withheld is Withheld.REPEATED for figure in figures)
    keys = ["n", "interval", "withheld", *(["repeated"] if repeated else []), "missing"]
    proposed = (text("made", "proposed"),) if definition.proposed else ()
    return (*(text("notes", key) for key in keys), *proposed)
