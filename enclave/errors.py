"""The three errors: this drop or row (Rejected), this request (Refused), the server (Halt).

Every error carries a code from `CODES`, so that its text holds no data: the text and the remedy are written here,
once, and `place` names only what we made ourselves (a setting's file and key, a form, a job), never a value.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """What a code means and what a person can do about it, in the operator's and the institutions' languages."""

    text: str
    remedy: str
    text_nb: str = ""
    remedy_nb: str = ""


class EnclaveError(Exception):
    """An outcome that a person can act on: `code`, `exit_code`, and a text that holds no data."""

    exit_code: int = 4

    def __init__(self, code: str, *, place: str = "") -> None:
        self.code = code
        self.place = place
        self.explanation = CODES[code]
        where = f" ({place})" if place else ""
        super().__init__(f"{code}{where}: {self.explanation.text} {self.explanation.remedy}")


class Rejected(EnclaveError):
    """This drop is not taken; it is recorded and answered, and the next is tried."""

    exit_code = 1


class Refused(EnclaveError):
    """This request is not carried out; nothing was changed."""

    exit_code = 3


class Halt(EnclaveError):
    """The server stops until a person has looked; nothing is changed on the way out."""

    exit_code = 4


CODES: dict[str, Explanation] = {}


def explain(code: str, text: str, remedy: str, *, nb: tuple[str, str] = ("", "")) -> None:
    """Enter a code into the one list of codes; a second explanation of the same code is a mistake of ours."""
    if code in CODES:
        raise ValueError(f"{code} is explained twice")
    CODES[code] = Explanation(text, remedy, *nb)
