"""What is left of a figure for someone who takes its own people out, and whether that is large enough to be known."""

from dataclasses import dataclass

from enclave.disclosure.policy import Policy
from enclave.model.table import ByInstitution, Figure, Statistic

SHARES = frozenset({Statistic.SHARE, Statistic.TRANSITION, Statistic.STANDARDISED_DIFFERENCE, Statistic.KAPPA})
"""what is judged by its numerator too, as it tells the number of people in it"""


@dataclass(frozen=True)
class Remainder:
    """What is left of a figure for one viewer: people, those in the numerator and in each part, and institutions."""

    people: int
    positives: int
    institutions: int
    parts: tuple[int, ...] = ()

    def passes(self, statistic: Statistic, policy: Policy) -> bool:
        """Whether the remainder is large enough to be known."""
        if self.people < policy.minimum_denominator or self.institutions < policy.minimum_institutions:
            return False
        if any(people < policy.minimum_count for people in self.parts):
            return False
        if statistic not in SHARES:
            return True
        return self.positives >= policy.minimum_count and self.people - self.positives >= policy.minimum_count


def remainder(figure: Figure, viewer: str) -> Remainder:
    """The figure less the people of `viewer`, an institution's id (or "" for someone who holds nobody)."""
    left = {institution: people for institution, people in figure.contributors if people and institution != viewer}
    return Remainder(
        people=sum(left.values()),
        positives=people_left(figure.positives, viewer),
        institutions=len(left),
        parts=tuple(people_left(part, viewer) for part in figure.parts),
    )


def people_left(people: ByInstitution, viewer: str) -> int:
    """How many of some people are not the viewer's."""
    return sum(number for institution, number in people if institution != viewer)


def change_passes(figure: Figure, viewer: str, policy: Policy) -> bool:
    """Whether the change of a share may be known.

    Its value and interval give those who gained and those who lost exactly. Taken from the shares of both time points,
    it also gives how many more were in the category among those who answered later only than among those who answered
    first only. Each of the two must be nobody, or large enough to be known, or as open as before.
    """
    if figure.pairs is None:
        raise ValueError("the change of a share does not tell who changed")
    pairs = figure.pairs
    if min(people_left(part, viewer) for part in (pairs.gained, pairs.lost, pairs.same)) < policy.minimum_count:
        return False
    first = people_left(pairs.first_in, viewer), people_left(pairs.first_out, viewer)
    later = people_left(pairs.later_in, viewer), people_left(pairs.later_out, viewer)
    return all(
        sum(once) == 0 or min(once) >= policy.minimum_count or _stays_open(once, other)
        for once, other in ((first, later), (later, first))
    )


def _stays_open(once: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether (in, out) of one group can still be anything, when only the difference to the other's `in` is known."""
    more = once[0] - other[0]
    return more <= 0 and sum(once) - more <= sum(other)
