"""The CSV file of one submission: a header and one row, whichever of three characters stands between the columns."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from enclave.errors import Rejected, explain

explain(
    "E_SUBMISSION_CSV",
    "The CSV file of the submission is not what Nettskjema writes: a header and one row of the same width, in UTF-8.",
    "Submit the form again; if this lasts, Nettskjema has changed its format: tell the data processor.",
    nb=(
        "Innsendingens CSV-fil er ikke slik Nettskjema skriver den.",
        "Send inn skjemaet på nytt; skjer det igjen, ta kontakt med databehandleren.",
    ),
)

DELIMITERS = ("\t", ";", ",")
META = "$"
LINE_BREAK = re.compile(r"\r\n|\r|\n")
NUMBER = "$submission_id"
LONGEST_FIELD = 131_072  # characters; csv keeps one limit for the whole process, so it is stated before reading


@dataclass(frozen=True, repr=False)
class Columns:
    """The answers by column, without Nettskjema's own `$` columns; and the submission's number, where it stands."""

    number: int | None
    answers: Mapping[str, str]


def read_csv(content: bytes) -> Columns:
    """The one row; Rejected E_SUBMISSION_CSV."""
    csv.field_size_limit(LONGEST_FIELD)
    try:
        text = content.decode("utf-8-sig")
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True) if row
        ]
    except (UnicodeDecodeError, csv.Error):
        raise Rejected("E_SUBMISSION_CSV") from None
    if len(rows) != 2 or len(rows[0]) != len(rows[1]) or len(set(rows[0])) != len(rows[0]):
        raise Rejected("E_SUBMISSION_CSV")
    fields = dict(zip(*rows, strict=True))
    number = fields.get(NUMBER, "")
    if number and not (number.isascii() and number.isdigit() and len(number) < len(str(2**63))):
        raise Rejected("E_SUBMISSION_CSV")
    # Format V1 writes a line break as a space; the older ones quote it.
    answers = {name: LINE_BREAK.sub(" ", answer) for name, answer in fields.items() if not name.startswith(META)}
    return Columns(int(number) if number else None, answers)


def _delimiter(text: str) -> str:
    """The first of the three that stands in the header; names of questions hold none of them."""
    header = text.partition("\n")[0]
    return next((one for one in DELIMITERS if one in header), DELIMITERS[0])
