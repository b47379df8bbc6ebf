"""Drafts as the release job makes them."""

from functools import cache

from enclave.model.draft import Draft, DraftFile, Kind
from tests.analysis.example import SHA
from tests.report.example import files
from tests.report.national import national


@cache
def result_draft() -> Draft:
    """Alfa's results of 2024."""
    return Draft(
        kind=Kind.RELEASABLE_TABLE,
        registry="kar",
        recipient="alfa",
        state=7,
        definition=SHA,
        files=tuple(DraftFile(name, content) for name, content in files().items()),
        tables=(("work_ability", "2024-01-01/2024-12-31"), ("benefits_by_month", "2024-01-01/2024-12-31")),
    )


def site() -> tuple[DraftFile, ...]:
    """The national pages of 2023."""
    return tuple(DraftFile(name, content) for name, content in national().items())


def receipt_draft(text: bytes = b"Mottatt.\r\n", data: bytes = b'{"status": "admitted"}') -> Draft:
    """A receipt to alfa."""
    return Draft(
        kind=Kind.RECEIPT,
        registry="kar",
        recipient="alfa",
        state=7,
        definition=SHA,
        files=(DraftFile("kvittering.json", data), DraftFile("kvittering.txt", text)),
    )
