"""What may outlive a loan, and what is written down of it."""

from dataclasses import replace

import polars as pl
import pytest

from enclave.errors import Halt
from enclave.linkage.lineage import level_of, lineage
from enclave.model.loan import Level
from enclave.model.table import ReleasableTable, ResultTable

TABLE = ReleasableTable("benefits", "2024-01-01/2024-12-31", "", True, 7, "d" * 64, "public", ())


def test_a_finished_table_is_written_down_with_its_origin() -> None:
    """Table, period, state, definition, and the digests of what is kept and of the file that it came from."""
    (found,) = lineage([(TABLE, "c" * 64)], "nav-2026", "f" * 64)
    assert (found.loan_id, found.table, found.period, found.level) == (
        "nav-2026", "benefits", "2024-01-01/2024-12-31", Level.AGGREGATE,
    )  # fmt: skip
    assert (found.state, found.definition, found.content_sha256, found.loan_file_sha256) == (
        7, "d" * 64, "c" * 64, "f" * 64,
    )  # fmt: skip


@pytest.mark.parametrize(
    "made",
    [
        ResultTable("benefits", "2024", "", True, 7, "d" * 64, ()),
        replace(TABLE, borrowed=False),
        replace(TABLE, recipient="alfa"),
        pl.DataFrame({"_pseudonym": [b"p" * 16], "aap": [True]}),
    ],
    ids=["with contributors", "that hides its origin", "for one institution", "rows"],
)
def test_whatever_else_was_made_of_a_loan_does_not_survive(made: object) -> None:
    """Rows, tables that still know who contributed, or that do not say that they are borrowed: nothing is kept."""
    assert level_of(made) is Level.ROW


def test_what_tells_of_single_people_halts_before_it_is_kept() -> None:
    """The whole of what was made is refused, not only the part."""
    with pytest.raises(Halt, match="H_LOAN_ROW_LEVEL"):
        lineage([(TABLE, "c" * 64), (replace(TABLE, recipient="alfa"), "b" * 64)], "nav-2026", "f" * 64)
