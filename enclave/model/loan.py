"""A loan: borrowed individual data, with a purpose, an end and a key of its own."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


@dataclass(frozen=True)
class LoanAgreement:
    """What was agreed with a lender. `variables` are the only columns that enter; `purpose` is a coded purpose.

    `legal_basis` and `population` are as the agreement states them: what allows it, and whom it is about.
    """

    loan_id: str
    registry: str
    lender: str
    purpose: str
    case_number: str
    variables: tuple[str, ...]
    due: date
    legal_basis: str = ""
    population: str = ""


@dataclass(frozen=True)
class ProbabilisticQuality:
    """How far the probabilistic pass can be believed, measured on the people of this very run.

    `sample` people whose id is known were linked again with their id hidden: `found_right` and `found_wrong` of them.
    Of as many `strangers`, who had their own person hidden too, `strangers_alike` look so like somebody else that they
    would be linked with them, unless somebody has a better claim.
    `precision`, `recall` and `blocking_recall` carry a Wilson interval (95 %): (value, low, high), None for none.
    `expected_false` is how many of the accepted links are false, with the counts between which that is by 95 %, as
    these people tell (None without any); `expected_false_by_model` is the sum of what the model itself doubts.
    """

    model_version: str
    model_sha256: str
    accept_above: float
    review_above: float
    records: int
    candidate_pairs: int
    accepted: int
    waiting_for_review: int
    expected_false: tuple[float, float, float] | None
    expected_false_by_model: float
    sample: int
    found_right: int
    found_wrong: int
    strangers: int
    strangers_alike: int
    precision: tuple[float, float, float] | None
    recall: tuple[float, float, float] | None
    blocking_recall: tuple[float, float, float] | None


class Characteristic(StrEnum):
    """What the linkage report looks at people by."""

    INSTITUTION = "institution"
    YEAR = "year"
    SEX = "sex"
    AGE_BAND = "age_band"
    ID_KIND = "id_kind"


@dataclass(frozen=True)
class Stratum:
    """How many of the registry's people of one group were linked.

    `difference` compares those linked with those not linked: the standardised difference of the group's share among
    them, None where it is not defined (nobody on one side, or everybody of both alike in or out).
    """

    characteristic: Characteristic
    group: str
    persons: int
    linked: int
    difference: float | None


@dataclass(frozen=True)
class Linkage:
    """How well a loan's rows met the registry's people: counts only, in total and by group.

    `passes` counts the linked people by the pass that found them first. `mean_age_difference` is the standardised
    difference of the mean age of those linked and those not. `probabilistic` is there where that pass was declared.
    """

    loan_id: str
    loan_rows: int
    loan_persons: int
    registry_persons: int
    linked_persons: int
    invalid_ids: int
    unknown_ids: int
    conflicting_ids: int
    rows_without_id: int
    duplicate_rows: int
    dropped_columns: int
    passes: tuple[tuple[str, int], ...]
    strata: tuple[Stratum, ...]
    mean_age_difference: float | None
    probabilistic: ProbabilisticQuality | None = None


class Level(StrEnum):
    """Whether something made of a loan tells of single people, or only of many together."""

    AGGREGATE = "aggregate"
    ROW = "row"


@dataclass(frozen=True)
class Derived:
    """Where something came from: made of which loan and file of it, by which definition, as of which state.

    `content_sha256` is over what was kept, `loan_file_sha256` over the lender's file as it came.
    """

    loan_id: str
    table: str
    period: str
    level: Level
    state: int
    definition: str
    content_sha256: str
    loan_file_sha256: str


@dataclass(frozen=True)
class Residue:
    """What a look through every managed folder found of a loan; `left_in` names the folder of each file that holds it.

    A file name may be anybody's, so none is told.
    """

    folders: tuple[str, ...]
    files: int
    left_in: tuple[str, ...]


@dataclass(frozen=True)
class BackupsRead:
    """What the manifests of backups say of a loan: how many were read, how many are kept no more, and which name it."""

    read: int
    missing: int
    naming: tuple[str, ...]


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
    residue: Residue
    backups: BackupsRead
    airlock_copies_left: int
    """copies at the airlock, ciphertext to the destroyed key, whose removal is not confirmed"""
    overdue_days: int
    came_back: bool
    """whether a restored copy of the server had brought the loan back, without its key"""
