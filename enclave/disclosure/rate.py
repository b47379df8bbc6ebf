"""A share of people that stands by itself, outside any table: how many of the registry a loan met."""

from enclave.disclosure.policy import Policy


def shown_percent(part: int, whole: int, policy: Policy) -> int | None:
    """The share in whole per cent; None where those in it, those outside it or all of them are too few to show."""
    if whole < policy.minimum_denominator:
        return None
    few = 0 < part < policy.minimum_count or 0 < whole - part < policy.minimum_count
    return None if few else round(100 * part / whole)
