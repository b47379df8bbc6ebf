"""What a definition declares of the quality of its data: completeness, validity and reliability, and what it lacks.

Comparability is a share table that is `compared`. Each kind is computed by `analysis/` and leaves as every other table
does; how each is counted is said here, because this is what a clinic argues with.
"""

from typing import Literal

from enclave.model.drop import Closed
from enclave.registry.label import Label, Name

REGISTERED = "registered"
REFUSED = "refused"
AGREE = "agree"
SCALE = "scale"
"""The one category that a table of coverage, refused rows, agreement or consistency has."""
WHOLE_FORM = "form"
"""The category of a table of missing answers that counts rows that are not there at all."""


class CoverageTable(Closed):
    """Completeness: people registered in the year, of those whom the institution itself says that it had.

    `form` is a yearly form about an institution, `people` its whole number of patients. An institution that reported
    no number, or a smaller one than is registered, has no coverage and counts in nobody else's.
    """

    id: Name
    kind: Literal["coverage"]
    label: Label
    form: Name
    people: Name


class Asked(Closed):
    """A variable that was to be answered: in every row, or in those for which `asked_if` is true."""

    variable: Name
    asked_if: str = ""


class MissingTable(Closed):
    """Completeness: share of rows in which each variable is not answered, at each of the forms that have it.

    A code that is no answer counts as missing. Of a form that never falls due, the courses without a row are shown too.
    """

    id: Name
    kind: Literal["missing"]
    label: Label
    forms: tuple[Name, ...]
    variables: tuple[Asked, ...]


class ImplausibleTable(Closed):
    """Validity: share of stored rows that break each check which only warns, of those in which it can be judged."""

    id: Name
    kind: Literal["implausible"]
    label: Label
    forms: tuple[Name, ...]


class RefusedTable(Closed):
    """Validity: share of delivered rows that were refused, in the drops from which the period's rows stand."""

    id: Name
    kind: Literal["refused"]
    label: Label


class AgreementTable(Closed):
    """Reliability: how often two questions of one form that ask for the same agree, and Cohen's kappa."""

    id: Name
    kind: Literal["agreement"]
    label: Label
    forms: tuple[Name, ...]
    first: str
    second: str


class ConsistencyTable(Closed):
    """Reliability: Cronbach's alpha of the numbers that form one scale, with Feldt's interval."""

    id: Name
    kind: Literal["consistency"]
    label: Label
    forms: tuple[Name, ...]
    items: tuple[Name, ...]


QualityTable = CoverageTable | MissingTable | ImplausibleTable | RefusedTable | AgreementTable | ConsistencyTable


class Unmeasured(Closed):
    """What quality studies should tell and these variables cannot, and why."""

    aspect: Literal["completeness", "validity", "comparability", "reliability"]
    reason: Label
