"""A research extract: one row for each course under numbers of its own, sealed to the project's key, and a letter.

The numbers are drawn at random for this extract and kept nowhere: no other extract has them, and nobody – not the
registry, not the vault's keeper – can lead a row back by them. The price: a project cannot be told which of its rows is
somebody's who withdraws later, and the same extract cannot be made twice. What is drafted, kept and delivered holds the
rows as ciphertext to the project alone.
"""

import hashlib
import secrets
from dataclasses import dataclass

import polars as pl

from enclave.crypto import age
from enclave.model.draft import DraftFile
from enclave.model.extract import ExtractTerms
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Definition, Kind, Variable
from enclave.spreadsheet import csv_bytes

ROWS = "uttrekk.age"
LETTER = "uttrekk.txt"
VARIABLES = "variabler.csv"
FEW = 5
NUMBER_BYTES = 8
STEPS = {"month": "måned", "quarter": "kvartal", "year": "år"}


@dataclass(frozen=True, repr=False)
class Lent:
    """What is lent: courses with `_pseudonym`, `_episode` and the columns, and what the letter tells of them."""

    courses: pl.DataFrame
    columns: tuple[str, ...]
    step: str
    least: int
    left_out: int


def lendable(definition: Definition) -> dict[str, Variable]:
    """What a project may be lent, as `FORM.VARIABLE`: of people, no free text, and nothing that identifies."""
    return {
        f"{form.id}.{variable.name}": variable
        for form in definition.forms
        if form.subject == "person"
        for variable in form.variables
        if variable.kind is not Kind.TEXT and variable.sensitivity != "identifying"
    }


def columns_of(variable: Variable, name: str) -> tuple[str, ...]:
    """The columns that a variable `FORM.VARIABLE` has in an extract."""
    form = name.partition(".")[0]
    return tuple(f"{form}.{column}" for column in variable.columns())


def extract_files(lent: Lent, terms: ExtractTerms, definition: Definition) -> tuple[DraftFile, ...]:
    """`uttrekk.age`, sealed to the project's key; `uttrekk.txt`; and `variabler.csv`, what the columns mean."""
    table = _numbered(lent)
    sealed = age.seal(csv_bytes(table.columns, table.rows()), [terms.age_key])
    left_out = str(lent.left_out) if lent.left_out == 0 or lent.left_out >= FEW else f"færre enn {FEW}"
    lines = (
        f"Utlån av avidentifiserte opplysninger fra {definition.name.nb}",
        "",
        f"Utlån:               {terms.extract_id}",
        f"Prosjekt:            {terms.project}",
        f"Formål:              {terms.purpose}",
        f"Rettslig grunnlag:   {terms.legal_basis}",
        f"Saksnummer:          {terms.case_number}",
        f"Ankomster:           {terms.first.isoformat()} til {terms.last.isoformat()}",
        f"Antall forløp:       {table.height}",
        f"Antall personer:     {table['person'].n_unique()}",
        f"Personer utelatt:    {left_out}",
        f"Slettes innen:       {terms.due.isoformat()}",
        "",
        f"Hver rad er et forløp. Minst {lent.least} personer ligner på hverandre i det som andre kan vite om dem.",
        f"Ankomst er oppgitt som {STEPS[lent.step]}; andre datoer som hele måneder etter ankomst.",
        "Numrene for person og forløp er trukket tilfeldig for dette utlånet og finnes ingen andre steder.",
        "Opplysningene er fortsatt personopplysninger: prøv ikke å finne ut hvem noen er, og koble dem ikke til annet.",
        "",
        "Slik åpner dere filen (med nøkkelen som dere har gitt registeret den offentlige delen av):",
        "",
        f"  age --decrypt -i NØKKELFIL -o uttrekk.csv {ROWS}",
        "",
        f"Hva kolonnene betyr, står i {VARIABLES}. Bekreft skriftlig til registeret når opplysningene er slettet.",
        "",
        f"SHA-256 for {ROWS}: {hashlib.sha256(sealed).hexdigest()}",
    )
    letter = "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")
    return (DraftFile(ROWS, sealed), DraftFile(LETTER, letter), DraftFile(VARIABLES, _meanings(terms, definition)))


def _numbered(lent: Lent) -> pl.DataFrame:
    """`person`, `course` and the columns, in the order of the random numbers, which tells nothing."""
    people = lent.courses.select(PSEUDONYM).unique(maintain_order=True)
    people = people.with_columns(person=pl.Series(_numbers(people.height), dtype=pl.String))
    numbered = lent.courses.join(people, on=PSEUDONYM, how="left", maintain_order="left").with_columns(
        course=pl.Series(_numbers(lent.courses.height), dtype=pl.String)
    )
    truths = [name for name, kind in numbered.schema.items() if kind == pl.Boolean()]
    return numbered.sort("course").select(
        "person", "course", *(pl.col(name).cast(pl.Int8) if name in truths else pl.col(name) for name in lent.columns)
    )


def _numbers(count: int) -> list[str]:
    """So many different numbers; a letter first, so that no spreadsheet takes one for a number."""
    drawn: set[str] = set()
    while len(drawn) < count:
        drawn.add(f"n{secrets.token_hex(NUMBER_BYTES)}")
    return list(drawn)


def _meanings(terms: ExtractTerms, definition: Definition) -> bytes:
    known = lendable(definition)
    rows: list[tuple[str, str, str, str]] = []
    for name in terms.variables:
        variable, form = known[name], definition.form(name.partition(".")[0])
        for column, code in zip(
            columns_of(variable, name),
            variable.codes if variable.kind is Kind.MULTI else [None] * len(columns_of(variable, name)),
            strict=True,
        ):
            answers = "1 = ja, 0 = nei" if code or variable.kind is Kind.BOOLEAN else _answers(variable)
            label = f"{variable.label.nb}: {code.label.nb}" if code else variable.label.nb
            rows.append((column, form.label.nb, label, answers))
    return csv_bytes(["kolonne", "skjema", "spørsmål", "svar"], rows)


def _answers(variable: Variable) -> str:
    return ", ".join(f"{code.value} = {code.label.nb}" for code in variable.codes)
