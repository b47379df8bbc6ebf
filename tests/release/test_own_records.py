"""An institution's own rows: only its own, under its references, the same bytes each time, nothing that leaks."""

import io
from datetime import date
from typing import Any

import openpyxl
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enclave.errors import Halt
from enclave.model.draft import Draft, Kind
from enclave.registry.definition import Code, Definition, Form, Label, LegalBasis, Variable
from enclave.registry.definition import Kind as Type
from enclave.release.gate import admit
from enclave.release.leaks import could_leak
from enclave.release.own_records import NOT_SHOWN, OwnRows, own_files, own_rows

PERSON = "13897248098"  # synthetic (month + 80), with valid control digits
PSEUDONYM = "0123456789abcdef" * 2


def label(text: str) -> Label:
    """A label that is the same in both languages."""
    return Label(nb=text, en=text)


ARRIVAL = Form(
    id="arrival",
    label=label("Ankomst"),
    time_point="arrival",
    dated_by="arrived",
    variables=(
        Variable(name="arrived", kind=Type.DATE, label=label("Ankomstdato")),
        Variable(name="sex", kind=Type.CODE, label=label("Kjønn"), codes=(Code(value="f", label=label("Kvinne")),)),
        Variable(name="got", kind=Type.MULTI, label=label("Stønad"), codes=(Code(value="aap", label=label("AAP")),)),
        Variable(name="share", kind=Type.DECIMAL, label=label("Andel")),
        Variable(name="words", kind=Type.TEXT, label=label("Yrke")),
    ),
)
YEARLY = Form(
    id="unit",
    label=label("Institusjonen"),
    time_point="year",
    subject="institution",
    key=("year",),
    dated_by="told",
    variables=(
        Variable(name="year", kind=Type.INTEGER, label=label("År"), required=True),
        Variable(name="told", kind=Type.DATE, label=label("Dato")),
    ),
)
DEFINITION = Definition(
    id="test",
    name=label("Prøveregister"),
    version="1",
    country="no",
    proposed=True,
    source="own",
    period_form="arrival",
    legal_bases=(LegalBasis(kind="mandatory", source="own"),),
    forms=(ARRIVAL, YEARLY),
)
ROW: dict[str, Any] = {"arrived": date(2024, 1, 2), "sex": "f", "got_aap": True, "share": 0.5, "words": "murer"}


def stored(*rows: dict[str, Any], sender: str = "alfa") -> pl.DataFrame:
    """Rows as the store reads them, one course each."""
    keys = [
        {"_pseudonym": bytes(16), "_episode": bytes([n]) * 16, "_sender": sender, "_drop": "x", "_row": n}
        for n in range(len(rows))
    ]
    return pl.DataFrame([{**key, **ROW, **row} for key, row in zip(keys, rows, strict=True)])


def references(*names: str, sender: str = "alfa") -> pl.DataFrame:
    """What the vault answers for the courses of `stored`."""
    found = [(bytes([n]) * 16, sender, name) for n, name in enumerate(names)]
    return pl.DataFrame(found, schema={"episode": pl.Binary, "sender": pl.String, "reference": pl.String}, orient="row")


def given_back(rows: pl.DataFrame, names: pl.DataFrame) -> OwnRows:
    """Alfa's arrivals."""
    return own_rows(ARRIVAL, rows, names, institution="alfa")


def test_a_row_stands_under_its_reference_with_every_answer() -> None:
    """The reference first, as it was sent, then the columns of the definition; nothing of the registry's own."""
    own = given_back(stored({}, {"words": None}), references("A-1", "A-2"))

    assert own.columns == ("course_id", "arrived", "sex", "got_aap", "share", "words")
    assert own.rows == (
        ("A-1", date(2024, 1, 2), "f", True, 0.5, "murer"),
        ("A-2", date(2024, 1, 2), "f", True, 0.5, None),
    )


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (stored({}, sender="beta"), references("B-1")),
        (stored({}), references("B-1", sender="beta")),
        (stored({}, {}), references("A-1")),
        (pl.concat([stored({}), stored({}, sender="beta")]), references("A-1")),
    ],
)
def test_a_row_or_reference_of_another_stops_everything(rows: pl.DataFrame, names: pl.DataFrame) -> None:
    """Somebody else's row, somebody else's reference, a course without one: nothing is made of any of them."""
    with pytest.raises(Halt, match="H_NOT_OWN"):
        given_back(rows, names)


def test_rows_about_the_institution_have_no_reference() -> None:
    """What an institution tells of itself is told apart by its own answers, and the vault is not asked."""
    rows = pl.DataFrame({"_sender": ["alfa"], "_episode": [bytes(16)], "year": [2025], "told": [date(2026, 1, 2)]})

    assert own_rows(YEARLY, rows, references(), institution="alfa").columns == ("year", "told")


HOSTILE = [
    PERSON,
    f"x {PERSON[:6]} {PERSON[6:]}",
    "&#49;3897248098",
    PSEUDONYM,
    "a_pseudonym",
    "200001012384",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_could_name_somebody_is_not_shown(text: str) -> None:
    """A clinic that used national numbers gets its other answers back, and cannot stop its own package at the gate."""
    own = given_back(stored({"words": text}), references(text))
    files = own_files([own], DEFINITION, recipient_name="Alfa", state=3)

    assert own.rows[0][0] == own.rows[0][-1] == NOT_SHOWN
    assert own.hidden == 2
    admit(draft(files), recipient="alfa", institutions={"alfa"})


def draft(files: Any) -> Draft:
    """The files as the job drafts them."""
    return Draft(Kind.OWN_RECORDS, "test", "alfa", 3, "0" * 64, files)


@given(st.text(max_size=40), st.text(min_size=1, max_size=40), st.floats(allow_nan=False, allow_infinity=False))
@example("", "0", 1e31)  # 32 digits, as many as a pseudonym has
@example("", "0", float(PERSON))  # eleven, with the control digits of a national number
def test_no_sender_can_stop_its_own_answer(words: str, reference: str, share: float) -> None:
    """Whatever stands in a row, what is made of it passes the gate; what is shown is what was sent."""
    own = given_back(stored({"words": words, "share": share}), references(reference))
    files = own_files([own], DEFINITION, recipient_name="Alfa", state=3)

    admit(draft(files), recipient="alfa", institutions={"alfa"})
    assert own.rows[0][0] in {reference, NOT_SHOWN}
    assert (own.rows[0][0] == NOT_SHOWN) >= could_leak(reference)


def test_the_workbook_reads_as_people_read_it() -> None:
    """Labels above the names that are sent, codes by their labels, numbers and dates as such; no formula."""
    own = given_back(stored({"words": "=1+1"}), references("A-1"))
    (book_file, csv_file) = own_files([own], DEFINITION, recipient_name="Alfa", state=3)
    book = openpyxl.load_workbook(io.BytesIO(book_file.content))
    cells = [[cell.value for cell in row] for row in book.worksheets[1].iter_rows()]

    assert cells[0] == ["Forløpsnummer", "Ankomstdato", "Kjønn", "Stønad: AAP", "Andel", "Yrke"]
    assert cells[1][0] == "course_id"
    assert cells[2][2:] == ["Kvinne", "ja", 0.5, "=1+1"]
    assert book.worksheets[1].cell(3, 6).data_type == "s"
    assert str(cells[2][1]).startswith("2024-01-02")
    assert csv_file.content.decode("utf-8-sig").splitlines()[1] == '"A-1";2024-01-02;"f";ja;0,5;"\'=1+1"'


def test_the_same_rows_give_the_same_bytes() -> None:
    """Nothing of the clock or the machine is in the files."""
    made = [
        own_files([given_back(stored({}), references("A-1"))], DEFINITION, recipient_name="Alfa", state=3)
        for _ in range(2)
    ]

    assert [file.content for file in made[0]] == [file.content for file in made[1]]
