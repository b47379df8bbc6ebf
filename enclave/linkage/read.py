"""A borrowed CSV file as typed columns, in memory: only the agreed variables enter, the rest is dropped at the door.

The file is `;`-separated UTF-8 with one row for each person and month: the person's number, `YYYY-MM`, and booleans
written `ja/nei`, `1/0` or `true/false`; empty is unknown.
"""

import csv
import io

import polars as pl

from enclave.errors import Rejected, explain
from enclave.linkage.rules import check_agreement
from enclave.model.identified import PERSON_ID, LoanRows
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Loan

explain(
    "E_LOAN_CSV",
    "The borrowed file is not readable as semicolon-separated UTF-8 with the same number of fields in every row.",
    "Save it as CSV UTF-8 with semicolons, seal and send again.",
    nb=(
        "Lånefilen kan ikke leses som UTF-8 med semikolon og like mange felter i hver rad.",
        "Lagre den som CSV UTF-8 med semikolon, forsegl og send på nytt.",
    ),
)
explain(
    "E_LOAN_EMPTY",
    "The borrowed file has a header and no rows.",
    "Send the rows of those who were asked about; one who received nothing has rows that say so.",
    nb=(
        "Lånefilen har overskrifter, men ingen rader.",
        "Send radene til dem det ble spurt om; den som ikke har mottatt noe, har rader som sier det.",
    ),
)
explain(
    "E_LOAN_HEADER",
    "A column of the borrowed file is missing or stands twice.",
    "Use the column names of the order, each once, seal and send again.",
    nb=(
        "En kolonne i lånefilen mangler eller står to ganger.",
        "Bruk kolonnenavnene i bestillingen, hvert én gang, forsegl og send på nytt.",
    ),
)
explain(
    "E_LOAN_VALUES",
    "A column of the borrowed file has values that are neither a month (YYYY-MM), a date nor yes or no.",
    "Write months as 2024-03, dates as 2024-03-31 and answers as ja/nei or 1/0, seal and send again.",
    nb=(
        "En kolonne i lånefilen har verdier som verken er måned (ÅÅÅÅ-MM), dato, ja eller nei.",
        "Skriv måneder som 2024-03, datoer som 2024-03-31 og svar som ja/nei eller 1/0, forsegl og send på nytt.",
    ),
)

_MONTH = r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])$"
_BOOLEANS = {"ja": True, "nei": False, "1": True, "0": False, "true": True, "false": False}


def read_rows(content: bytes, agreement: LoanAgreement, form: Loan) -> LoanRows:
    """The rows of a borrowed file, with all variables of its definition: those not agreed stay unknown (null).

    Rejected E_LOAN_CSV, E_LOAN_HEADER, E_LOAN_EMPTY, E_LOAN_VALUES; `place` names columns and rows, never a value.
    """
    check_agreement(agreement, form)
    header, rows = _split(content)
    identifiers = [one.name for one in form.identifiers]
    wanted = [form.person_id, form.month, *identifiers, *sorted(agreement.variables)]
    wrong = sorted(name for name in wanted if header.count(name) != 1)
    if wrong or len(set(header)) != len(header):
        raise Rejected("E_LOAN_HEADER", place=", ".join(wrong))
    if not rows:
        # It would use up the loan: the lender may send it again.
        raise Rejected("E_LOAN_EMPTY")
    places = [header.index(name) for name in wanted]
    columns = {
        name: pl.Series([row[place] for row in rows], dtype=pl.String)
        for name, place in zip(wanted, places, strict=True)
    }
    text = pl.DataFrame(columns).with_columns(pl.exclude(form.person_id).str.strip_chars(" "))
    _check_values(text, form, agreement.variables)
    frame = text.select(
        pl.col(form.person_id).alias(PERSON_ID),
        form.month,
        *(comparable(one.name, one.kind) for one in form.identifiers),
        *(_boolean(variable.name, agreed=variable.name in agreement.variables) for variable in form.variables),
    )
    return LoanRows(agreement.loan_id, frame, len(header) - len(wanted))


def _split(content: bytes) -> tuple[list[str], list[list[str]]]:
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";", strict=True)
        header, *rows = [line for line in lines if line]
    except (UnicodeDecodeError, csv.Error, ValueError):
        # The causes quote the text that they stumbled over.
        raise Rejected("E_LOAN_CSV") from None
    if any(len(row) != len(header) for row in rows):
        raise Rejected("E_LOAN_CSV")
    return header, rows


def comparable(name: str, kind: str) -> pl.Expr:
    """An identifier as both sides are compared by it: a date, or text in small letters without needless spaces."""
    if kind == "date":
        return pl.col(name).cast(pl.String).str.to_date("%Y-%m-%d", strict=False).alias(name)
    plain = pl.col(name).cast(pl.String).str.to_lowercase().str.strip_chars().str.replace_all(r"\s+", " ")
    return pl.when(plain == "").then(None).otherwise(plain).alias(name)


def _check_values(text: pl.DataFrame, form: Loan, variables: tuple[str, ...]) -> None:
    """Every column's wrong values at once: how many, and the first one's row (the header is row 1)."""
    month = form.month
    wrong = {month: ~text[month].str.contains(_MONTH)}
    wrong |= {
        one.name: (text[one.name] != "") & text.select(comparable(one.name, "date")).to_series().is_null()
        for one in form.identifiers
        if one.kind == "date"
    }
    wrong |= {name: ~text[name].str.to_lowercase().is_in([*_BOOLEANS, ""]) for name in sorted(variables)}
    found = [
        f"{name}: {flags.sum()} rows, the first is row {(flags.arg_max() or 0) + 2}"
        for name, flags in wrong.items()
        if flags.any()
    ]
    if found:
        raise Rejected("E_LOAN_VALUES", place="; ".join(found))


def _boolean(name: str, *, agreed: bool) -> pl.Expr:
    if not agreed:
        return pl.lit(None, dtype=pl.Boolean).alias(name)
    return pl.col(name).str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
