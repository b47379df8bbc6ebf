"""Records that name nobody: what the registry may hold."""

from dataclasses import dataclass

import polars as pl

ROW = "_row"
PSEUDONYM = "_pseudonym"
EPISODE = "_episode"
SENDER = "_sender"
DROP = "_drop"
DROP_NUMBER = "_drop_number"
NEVER_HERE = {"_person_id", "_reference"}


@dataclass(frozen=True, repr=False)
class PseudonymousRecords:
    """The rows of one form in one drop after `identity`.

    `frame` has `_row` (Int64), `_pseudonym` (Binary, 16 random bytes; absent in a form about the institution),
    `_episode` (Binary, 16 random bytes standing for the sender's own number) and the definition's typed columns.
    """

    drop_uuid: str
    sender: str
    form: str
    frame: pl.DataFrame

    def __post_init__(self) -> None:
        if NEVER_HERE & set(self.frame.columns):
            raise TypeError("pseudonymous records with an identity column")
