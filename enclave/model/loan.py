"""A loan: borrowed individual data, with a purpose, an end and a key of its own."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class LoanAgreement:
    """What was agreed with a lender. `variables` are the only columns that enter; `purpose` is a coded purpose."""

    loan_id: str
    registry: str
    lender: str
    purpose: str
    case_number: str
    variables: tuple[str, ...]
    due: date


@dataclass(frozen=True)
class Linkage:
    """How well a loan's rows met the registry's people: counts only, in total and by institution."""

    loan_id: str
    loan_rows: int
    loan_persons: int
    registry_persons: int
    linked_persons: int
    invalid_ids: int
    unknown_ids: int
    duplicate_rows: int
    by_institution: tuple[tuple[str, int, int], ...]
    """(institution, registry persons, linked persons)"""


@dataclass(frozen=True)
class Destruction:
    """What destroying a loan's key did and found; the text of the certificate is made from it."""

    loan_id: str
    key_fingerprint: str
    files: tuple[tuple[str, str], ...]
    """(place, SHA-256 of the ciphertext) of every copy that we held"""
    key_absent: bool
    files_absent: bool
    decryption_fails: bool
    airlock_copies_left: int
    """copies at the airlock, ciphertext to the destroyed key, whose removal is not confirmed"""
    overdue_days: int
