"""A small registry for tests: its definition, and a reader over rows in memory."""

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from enclave.model.purpose import Purpose
from enclave.registry.definition import (
    ChangeTable,
    Definition,
    Form,
    Kind,
    Label,
    LegalBasis,
    Loan,
    LoanShareTable,
    Variable,
)

PERIOD = (date(2024, 1, 1), date(2024, 12, 31))
SHA = "d" * 64
BENEFITS = ("sick_pay", "aap", "disability_pension")


def label(nb: str) -> Label:
    """A label with one text in both languages."""
    return Label(nb=nb, en=nb)


def variable(name: str, kind: Kind, nb: str) -> Variable:
    """A variable with the fewest properties."""
    return Variable(name=name, kind=kind, label=label(nb))


DEFINITION = Definition(
    id="kar",
    name=label("Kvalitetsregister for arbeidsrettet rehabilitering"),
    version="1",
    country="no",
    proposed=True,
    source="test",
    period_form="arrival",
    legal_bases=(LegalBasis(kind="consent", source="test"),),
    forms=(
        Form(
            id="arrival",
            label=label("Opplysninger ved ankomst"),
            time_point="arrival",
            dated_by="arrival_date",
            variables=(
                variable("arrival_date", Kind.DATE, "Ankomstdato"),
                variable("end_date", Kind.DATE, "Sluttdato"),
                variable("work_ability", Kind.INTEGER, "Arbeidsevne (0–10)"),
            ),
        ),
        Form(
            id="follow_up_12",
            label=label("Opplysninger ved 12 måneder oppfølging"),
            time_point="month_12",
            dated_by="response_date",
            variables=(
                variable("response_date", Kind.DATE, "Svardato"),
                variable("work_ability", Kind.INTEGER, "Arbeidsevne (0–10)"),
            ),
        ),
    ),
    loans=(
        Loan(
            id="nav",
            label=label("Ytelser fra NAV"),
            lender="nav",
            variables=tuple(
                variable(name, Kind.BOOLEAN, nb)
                for name, nb in zip(BENEFITS, ("Sykepenger", "AAP", "Uføretrygd"), strict=True)
            ),
        ),
    ),
    tables=(
        ChangeTable(
            id="work_ability",
            kind="change",
            label=label("Selvvurdert arbeidsevne"),
            variable="work_ability",
            forms=("arrival", "follow_up_12"),
        ),
        LoanShareTable(
            id="benefits_by_month",
            kind="loan_share",
            label=label("Ytelser måned for måned"),
            loan="nav",
            form="arrival",
            start="end_date",
        ),
    ),
)
CHANGE = DEFINITION.tables[0]
SHARE = DEFINITION.tables[1]
assert isinstance(CHANGE, ChangeTable)
assert isinstance(SHARE, LoanShareTable)


@dataclass(frozen=True)
class Course:
    """One course of one person at one institution; None is a form that was not sent, or a question not answered."""

    sender: str
    person: int
    number: int
    arrived: date = date(2024, 3, 1)
    ended: date | None = date(2024, 4, 12)
    first: int | None = 5
    later: int | None = 6
    followed_up: bool = True


@dataclass
class MemoryReader:
    """Reads courses from a list; `reserved` bars people from purposes."""

    courses: list[Course]
    reserved: dict[Purpose, set[int]] = field(default_factory=dict)
    asked: list[tuple[str, int | None, Purpose]] = field(default_factory=list)

    def read(self, form: str, *, state: int | None, purpose: Purpose) -> pl.DataFrame:
        """The rows of the form, as `Reader` promises them."""
        self.asked.append((form, state, purpose))
        kept = [
            course
            for course in sorted(self.courses, key=lambda course: (course.sender, course.number))
            if course.person not in self.reserved.get(purpose, set()) and (form == "arrival" or course.followed_up)
        ]
        keys = {
            "_sender": pl.Series([course.sender for course in kept], dtype=pl.String),
            "_pseudonym": pl.Series([pseudonym(course.person) for course in kept], dtype=pl.Binary),
            "_episode": pl.Series([course.number.to_bytes(16) for course in kept], dtype=pl.Binary),
        }
        if form == "arrival":
            columns = {
                "arrival_date": pl.Series([course.arrived for course in kept], dtype=pl.Date),
                "end_date": pl.Series([course.ended for course in kept], dtype=pl.Date),
                "work_ability": pl.Series([course.first for course in kept], dtype=pl.Int64),
            }
        else:
            columns = {"work_ability": pl.Series([course.later for course in kept], dtype=pl.Int64)}
        return pl.DataFrame(keys | columns)


def pseudonym(person: int) -> bytes:
    """Sixteen bytes whose order is not that of the people."""
    return (person * 7919 % 65521).to_bytes(16)


def linked(rows: list[tuple[int, str, bool | None, bool | None, bool | None]]) -> pl.DataFrame:
    """Borrowed rows of (person, month, one answer for each benefit), as `linkage` hands them over."""
    return pl.DataFrame(
        {
            "_pseudonym": pl.Series([pseudonym(row[0]) for row in rows], dtype=pl.Binary),
            "month": pl.Series([row[1] for row in rows], dtype=pl.String),
            **{
                name: pl.Series([row[2 + index] for row in rows], dtype=pl.Boolean)
                for index, name in enumerate(BENEFITS)
            },
        }
    )
