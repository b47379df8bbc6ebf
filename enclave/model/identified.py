"""Records that still name people. Only `intake`, `identity`, `linkage` and `release.own_records` may import this."""

from dataclasses import dataclass

import polars as pl

ROW = "_row"
PERSON_ID = "_person_id"
REFERENCE = "_reference"


@dataclass(frozen=True, repr=False)
class IdentifiedRecords:
    """The rows of one form in one drop that passed the row checks.

    `frame` has `_row` (Int64, the line in the sender's file), `_person_id` (String, the national number as written;
    absent in a form about the institution), `_reference` (String, the sender's own number of the course) and one typed
    column for each column of the form's definition, in the definition's order, sorted by `_row`.
    """

    drop_uuid: str
    sender: str
    form: str
    frame: pl.DataFrame


@dataclass(frozen=True, repr=False)
class LoanRows:
    """A borrowed file, decrypted: `_person_id` (String) and the loan's allowed variables. Memory only."""

    loan_id: str
    frame: pl.DataFrame
    dropped_columns: int
