"""The simulated lender NAV: monthly benefits of the registry's people and of others, and a column nobody agreed to."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

from enclave import durable
from enclave.cli import client
from enclave.crypto import age
from enclave.crypto.secret import Secret
from enclave.demo.forms import Row, csv_bytes
from enclave.demo.institutions import REGISTRY, Correspondent
from enclave.demo.people import SEED, YEARS, Course, new_number

LENDER = "nav"
LOAN = "nav-2026"
STRANGERS = 25
"""People in the lender's file whom the registry does not know."""
NOT_KNOWN_TO_LENDER = 0.03
MONTHS = tuple(f"{year}-{month:02}" for year in (*YEARS, YEARS[-1] + 1) for month in range(1, 13))
NOT_AGREED = "saksbehandler"
"""A column of the lender's file that is in no agreement; it is dropped at the door."""
CASEWORKER = "Enhet 0451 Kystbyen"


def benefits(courses: Sequence[Course], seed: int = SEED) -> list[Row]:
    """One row for each person and month: sick pay falls after discharge, disability pension rises from very few."""
    chance = Random(seed + 1)
    rows: list[Row] = []
    people = {one.person_id: one for one in courses if len(one.person_id) == 11}
    for person_id, course in people.items():
        draws = [chance.random() for _ in range(4)]
        if draws.pop() >= NOT_KNOWN_TO_LENDER:
            rows += [_row(person_id, month, _months_after(course.end, month), draws) for month in MONTHS]
    for _ in range(STRANGERS):
        stranger = new_number(date(1955, 3, 1 + chance.randrange(28)), "female", chance)
        draws = [chance.random() for _ in range(3)]
        rows += [_row(stranger, month, 6, draws) for month in MONTHS]
    return rows


def _months_after(end: date, month: str) -> int:
    return (int(month[:4]) - end.year) * 12 + int(month[5:]) - end.month


def _row(person_id: str, month: str, after: int, draws: Sequence[float]) -> Row:
    since = max(after, 0)
    shares = (0.58 * 0.9**since, 0.26 * 0.98**since, 0.002 + 0.008 * since)
    names = ("sick_pay", "aap", "disability_pension")
    received = {name: "1" if draw < share else "0" for name, draw, share in zip(names, draws, shares, strict=True)}
    return {"person_id": person_id, "month": month, **received, NOT_AGREED: CASEWORKER}


def asked_about(lender: Correspondent, opens_with: Secret) -> set[str]:
    """The numbers in the order that the lender fetched, opened with the lender's own key."""
    sealed = (lender.folder / "opened" / "orders-1" / "bestilling.age").read_bytes()
    _, *lines = age.open(sealed, opens_with).decode("utf-8-sig").splitlines()
    return {line.strip('"') for line in lines}


def answer(known: Sequence[Row], asked: set[str]) -> list[Row]:
    """The rows of those who were asked about and, by mistake, of `STRANGERS` whom nobody asked about."""
    last = len(known) - STRANGERS * len(MONTHS)
    return [row for at, row in enumerate(known) if at >= last or row["person_id"] in asked]


def seal_to_loan(lender: Correspondent, rows: Sequence[Row], recipient: str) -> Path:
    """Write the file in clear, for whoever checks the demo, and seal it to the loan's public key."""
    clear = lender.folder / "clear"
    durable.make_folder(clear)
    durable.write(clear / "benefits.csv", csv_bytes(rows))
    submission = client.Submission(REGISTRY, LENDER, LOAN, datetime.now(UTC), 1)
    return client.seal(clear, lender.folder / "sealed", submission, sign_key=lender.private_key, recipient=recipient)
