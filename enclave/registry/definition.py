"""The shape of a registry definition: frozen, closed, and the only source of what a registry may hold.

Written as TOML in `config/registries/ID/`; read by `registry/load.py`. Everything that can change over time has
validity dates; `valid_to` is the last valid day.
"""

from calendar import monthrange
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from enclave.model.drop import Closed, RegistryId
from enclave.model.fault import Severity
from enclave.registry.label import Label as Label  # noqa: PLC0414  a definition's labels are imported from here
from enclave.registry.label import Name as Name  # noqa: PLC0414
from enclave.registry.quality import QualityTable, Unmeasured


class Valid(Closed):
    """Something that holds from one day to another, both included; None is open-ended."""

    valid_from: date | None = None
    valid_to: date | None = None

    def holds_on(self, day: date) -> bool:
        """Whether `day` lies within the validity dates."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


class Kind(StrEnum):
    """The type of a variable. It never changes once applied."""

    CODE = "code"
    MULTI = "multi"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    TEXT = "text"


class Code(Valid):
    """One permitted answer. `not_answered` codes count as missing in every analysis."""

    value: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,29}$")]
    label: Label
    not_answered: bool = False


class Variable(Valid):
    """One question of a form. A `multi` variable is one boolean column for each option, `NAME_OPTION`."""

    name: Name
    kind: Kind
    label: Label
    codes: tuple[Code, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    maximum_length: int = 200
    required: bool = False
    sensitivity: Literal["identifying", "quasi", "sensitive"] = "sensitive"

    def columns(self) -> tuple[str, ...]:
        """The registry columns that hold this variable."""
        if self.kind is Kind.MULTI:
            return tuple(f"{self.name}_{code.value}" for code in self.codes)
        return (self.name,)


class Check(Valid):
    """What must hold within one row, as an expression of `registry/expressions.py`; unknown passes."""

    id: Name
    holds: str
    label: Label
    severity: Severity = Severity.REFUSE


class SetCheck(Valid):
    """What must hold over a sender's rows: a declared kind, evaluated in `store` (DESIGN 4).

    `unique`: no two rows of one person (or institution) agree on `columns`. `precedes`: `columns[0]` is not after
    `other_form.other_column` of the same course. `overlap`: no two periods of one person overlap; a period runs from
    `columns[0]` to `columns[1]`, or to `other_form.other_column` of the same course. `window`: `columns[0]` lies within
    [`after_days`, `before_days`] of `other_form.other_column` of the same course. `due`: `columns[0]` lies within the
    tolerance of the form's own `due`. `follows`: the course has a row of `other_form`. `steady`: a row that replaces a
    stored one answers `columns` as that did, where both answer. `drift`: the rate of missing `columns[0]` in a drop
    stays within `percent` points of the sender's earlier.
    """

    id: Name
    kind: Literal["unique", "overlap", "precedes", "window", "due", "follows", "steady", "drift"]
    columns: tuple[Name, ...]
    other_form: Name | None = None
    other_column: Name | None = None
    after_days: int | None = None
    before_days: int | None = None
    percent: float | None = None
    label: Label
    severity: Severity = Severity.REFUSE


class Due(Closed):
    """When a follow-up of a course falls due: `months` after a date of another form, give or take some days."""

    form: Name
    column: Name
    months: int
    tolerance_days: int

    def day(self, anchor: date) -> date:
        """The calendar day `months` after `anchor`; the month's last day where it has no such day, as Polars has it."""
        year, month = divmod(anchor.year * 12 + anchor.month - 1 + self.months, 12)
        return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))

    def window(self, anchor: date) -> tuple[date, date]:
        """The first and the last day on which an answer is in time."""
        day, tolerance = self.day(anchor), timedelta(days=self.tolerance_days)
        return day - tolerance, day + tolerance


class Yearly(Closed):
    """When the yearly figures of an institution fall due: on a day of the year after the one in column `year`."""

    year: Name
    month: int
    day: int

    def due(self, year: int) -> date:
        """The day by which the figures of `year` are to be in."""
        return date(year + 1, self.month, self.day)


class Form(Valid):
    """One form: who it is about, how a row is keyed, and what it asks.

    A record's key is (sender, form, course, time point): a form has one time point, so the key column is `reference`.
    `person_id` and `reference` name the identity columns of the sender's file; they are not variables and never reach
    the registry. A form about an institution has neither, but a `key`: its variables that tell one row from another
    (the year; the year and the programme). `dated_by` names the date variable that validity dates, legal basis and age
    are judged by. `consent` names the date variable that must be given where the legal basis is consent. `due` tells
    when a form about a person falls due, `yearly` when one about an institution does.
    """

    id: Name
    label: Label
    time_point: Name
    subject: Literal["person", "institution"] = "person"
    person_id: Name | None = "person_id"
    reference: Name = "course_id"
    key: tuple[Name, ...] = ()
    dated_by: Name
    consent: Name | None = None
    minimum_age: int | None = None
    due: Due | None = None
    yearly: Yearly | None = None
    variables: tuple[Variable, ...]
    checks: tuple[Check, ...] = ()
    set_checks: tuple[SetCheck, ...] = ()

    @property
    def names_persons(self) -> bool:
        """Whether each row is about one person, named by the sender's `person_id`."""
        return self.subject == "person" and self.person_id is not None

    def columns(self) -> tuple[str, ...]:
        """Every registry column of this form, in order."""
        return tuple(column for variable in self.variables for column in variable.columns())


class LegalBasis(Valid):
    """What allows the registry to hold a person's data, with the document that says so."""

    kind: Literal["consent", "reservation", "mandatory"]
    source: str


class ChangeTable(Closed):
    """Mean and paired mean change of one number from a first form to later forms of the same course."""

    id: Name
    kind: Literal["change"]
    label: Label
    variable: Name
    forms: tuple[Name, ...]
    decimals: int = 1


class Category(Closed):
    """One line of a share table: the courses for which an expression holds, the same at each of its forms.

    A course for which it is unknown counts neither in the numerator nor in the denominator.
    """

    id: Name
    label: Label
    holds: str


class ShareTable(Closed):
    """Share of courses in each category at each form, and its paired change from the first form to each later one.

    `exclusive`: a course is in one category at most; each compares one variable with codes of its own. Otherwise the
    categories read different variables, and `union` adds two: at least one of them, and none. `compared`: the table is
    of one form, and each institution is told its standardised difference from the others (comparability).
    """

    id: Name
    kind: Literal["share"]
    label: Label
    forms: tuple[Name, ...]
    categories: tuple[Category, ...]
    exclusive: bool = False
    union: bool = False
    compared: bool = False


class TransitionTable(Closed):
    """From each answer to a code variable at the first form, the share with each answer at each later form."""

    id: Name
    kind: Literal["transition"]
    label: Label
    variable: Name
    forms: tuple[Name, ...]


class ResponseTable(Closed):
    """Share of the follow-ups that fell due which were answered, for forms with a `due`."""

    id: Name
    kind: Literal["response"]
    label: Label
    forms: tuple[Name, ...]


class LoanShareTable(Closed):
    """Share of people receiving each benefit in months 1–12 after a date of their course, from a loan."""

    id: Name
    kind: Literal["loan_share"]
    label: Label
    loan: Name
    form: Name
    start: Name
    months: int = 12


Table = ChangeTable | ShareTable | TransitionTable | ResponseTable | LoanShareTable | QualityTable


class Identifier(Closed):
    """A column of the lender's file that tells who a row is about where it has no usable number.

    `ours` is where we know the same of a person: `birth_date` or `sex`, which the number tells, or `FORM.VARIABLE`.
    """

    name: Name
    kind: Literal["text", "date"]
    ours: Annotated[str, StringConstraints(pattern=r"^(birth_date|sex|[a-z][a-z0-9_]{0,47}\.[a-z][a-z0-9_]{0,47})$")]


class Probabilistic(Closed):
    """How rows without a usable number are linked by probability: a trained Splink model, and what is made of it.

    `model` is the model as JSON (in the definition's folder the name of its file); it is never trained in a run. Pairs
    from `accept_above` are links, those from `review_above` are for a person. `most_pairs` may be compared at most;
    `sample` people whose number is known are linked again without it, and as many as if they were not ours, to see how
    good the model is.
    """

    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
    model: str
    accept_above: Annotated[float, Field(gt=0, le=1)]
    review_above: Annotated[float, Field(gt=0, le=1)]
    most_pairs: Annotated[int, Field(ge=1)] = 20_000_000
    sample: Annotated[int, Field(ge=1)] = 2000


class Loan(Closed):
    """A kind of borrowed data: monthly rows of `person_id`, `month` (YYYY-MM) and boolean `variables`.

    Rows without a usable number are linked only where `identifiers` are declared: by `keys`, each some of them that
    must agree and point at one person only, and last by `probabilistic`.
    """

    id: Name
    label: Label
    lender: str
    person_id: Name = "person_id"
    month: Name = "month"
    variables: tuple[Variable, ...]
    identifiers: tuple[Identifier, ...] = ()
    keys: tuple[tuple[Name, ...], ...] = ()
    probabilistic: Probabilistic | None = None


class Disclosure(Closed):
    """Thresholds, never below the floors in `enclave/disclosure/policy.py`."""

    minimum_count: int = 5
    minimum_denominator: int = 10
    minimum_institutions: int = 3


class Definition(Closed):
    """One registry, whole. `proposed` says that the variable list is ours, not the registry's published one."""

    id: RegistryId
    name: Label
    version: str
    country: Literal["no", "se"]
    proposed: bool
    source: str
    retention_days: int = 30
    period_form: Name
    """the form whose date places a course in a reporting period"""
    legal_bases: tuple[LegalBasis, ...]
    forms: tuple[Form, ...]
    loans: tuple[Loan, ...] = ()
    tables: tuple[Annotated[Table, Field(discriminator="kind")], ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    disclosure: Disclosure = Disclosure()

    def form(self, form_id: str) -> Form:
        """The form with this id; KeyError where there is none."""
        return {form.id: form for form in self.forms}[form_id]
