"""An extract: de-identified individual data lent to one research project, for a purpose, until a day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class ExtractTerms:
    """What is agreed with a project, and signed by the project lead: what is lent, to whom, why and until when.

    `project` and `purpose` are one line each, and are published. `variables` are `FORM.VARIABLE`; `first` and `last`
    are the arrivals that are lent, both included. `age_key` is the recipient's public key that the data are sealed to.
    """

    extract_id: str
    project: str
    purpose: str
    legal_basis: str
    recipient: str
    age_key: str
    case_number: str
    variables: tuple[str, ...]
    first: date
    last: date
    due: date

    def parameters(self) -> dict[str, str]:
        """The terms as a request holds them."""
        return {
            **{name: str(value) for name, value in vars(self).items()},
            "variables": ",".join(self.variables),
        }

    @staticmethod
    def of(parameters: Mapping[str, str]) -> "ExtractTerms":
        """The terms that a request holds."""
        facts = {name: parameters[name] for name in ExtractTerms.__dataclass_fields__}
        days = {name: date.fromisoformat(facts.pop(name)) for name in ("first", "last", "due")}
        return ExtractTerms(**facts | {"variables": tuple(facts["variables"].split(","))} | days)  # type: ignore[arg-type]
