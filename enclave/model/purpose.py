"""What registry rows are read for; every read names one, and reservations are applied for it (DESIGN 4)."""

from enum import StrEnum


class Purpose(StrEnum):
    """The closed set of purposes of a read."""

    OWN_RESULTS = "own_results"
    COMPARISON = "comparison"
    NATIONAL = "national"
    LINKAGE = "linkage"
    RESEARCH = "research"
    OWN_ROWS = "own_rows"
    ACCESS = "access"
