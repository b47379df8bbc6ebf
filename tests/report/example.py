"""Releasable tables for pages and workbooks: one of change for an institution, one of a loan for everyone."""

import random

from enclave.analysis.borrowed import loan_share_table
from enclave.analysis.change import change_tables
from enclave.disclosure.policy import policy_for
from enclave.disclosure.suppress import suppress
from enclave.model.draft import DraftFile
from enclave.model.table import ReleasableTable, ResultTable
from enclave.report.results import result_files
from tests.analysis.example import CHANGE, DEFINITION, PERIOD, SHA, SHARE, Course, MemoryReader, linked

INSTITUTIONS = ("alfa", "beta", "gamma", "delta")
CODE = "0.1.0"


def made_up(seed: int = 1) -> tuple[ResultTable, ResultTable, ResultTable]:
    """The tables of alfa, of everyone and of the loan, before disclosure control."""
    chance = random.Random(seed)
    courses = [
        Course(
            chance.choice(INSTITUTIONS),
            number,
            number,
            first=chance.choice([2, 3, 4, 5, 5, 6, 7]),
            later=chance.choice([3, 5, 6, 6, 7, 8, 9, 10]),
            followed_up=chance.random() < 0.75,
        )
        for number in range(160)
    ]
    rows = [
        (
            number,
            f"{2024 + (3 + month) // 12}-{(3 + month) % 12 + 1:02d}",
            chance.random() < 0.5 - month * 0.03,
            chance.random() < 0.2,
            chance.random() < 0.03,
        )
        for number in range(160)
        for month in range(1, 13)
    ]
    reader = MemoryReader(courses)
    own, everyone = change_tables(
        reader, DEFINITION, CHANGE, period=PERIOD, institutions=("alfa",), state=7, definition_sha256=SHA
    )
    borrowed = loan_share_table(
        reader, DEFINITION, SHARE, linked(list(rows)), period=PERIOD, state=7, definition_sha256=SHA
    )
    return own, everyone, borrowed


def releasable(seed: int = 1) -> tuple[ReleasableTable, ReleasableTable, ReleasableTable]:
    """The same tables after disclosure control."""
    own, everyone, borrowed = made_up(seed)
    policy = policy_for(DEFINITION)
    return (
        suppress(own, "institution", policy),
        suppress(everyone, "public", policy),
        suppress(borrowed, "institution", policy),
    )


def files(seed: int = 1) -> dict[str, bytes]:
    """The files of alfa's package."""
    own, _, borrowed = releasable(seed)
    made: tuple[DraftFile, ...] = result_files(
        (own, borrowed), DEFINITION, recipient_name="Alfa rehabiliteringssenter", code_version=CODE
    )
    return {file.name: file.content for file in made}
