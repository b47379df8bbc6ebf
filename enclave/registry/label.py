"""Names and labels, which everything that a definition declares has."""

from typing import Annotated

from pydantic import StringConstraints

from enclave.model.drop import Closed

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]


class Label(Closed):
    """A text in the languages of the registry's readers."""

    nb: str
    en: str
    sv: str = ""
