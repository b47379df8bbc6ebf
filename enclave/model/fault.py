"""What was wrong with a row, a file or a drop: where, which rule, how grave. Never the value."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a fault keeps its row out of the registry or only tells the sender."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True, order=True)
class Fault:
    """One broken rule at one place in a sender's file.

    `row` is the line that a person sees when the file is opened in a spreadsheet (the header is line 1); 0 means the
    whole file. `rule` is a built-in rule (`intake/rules.py`, `identity/rules.py`, `store/rules.py`) or a check of the
    definition (`FORM.CHECK`). A fault never holds a value.
    """

    form: str
    row: int
    variable: str
    rule: str
    severity: Severity = Severity.REFUSE
