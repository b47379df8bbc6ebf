"""What a synthetic person answers at each time point of a course.

Work ability rises on average, sick leave and sick pay fall, disability pension rises slowly from very few.
"""

from dataclasses import dataclass
from random import Random

BENEFITS = ("sick_pay", "aap", "disability_pension")
CODES = (*BENEFITS, "social_assistance", "unemployment", "none")
PERCENTS = (0, 20, 40, 50, 60, 100)
WEIGHTS = {
    -1: (18, 2, 7, 16, 7, 50),  # at arrival
    0: (28, 6, 10, 18, 8, 30),  # at discharge
    6: (46, 8, 10, 12, 6, 18),
    12: (58, 8, 8, 9, 4, 13),
}
"""How often each degree of sick leave is drawn, by months after discharge."""
AS_BEFORE = 0.3
"""How often the degree of sick leave is the one of the time point before."""


@dataclass(frozen=True)
class Answers:
    """What is asked at every time point; without a position there is no employment."""

    work_ability: int | None
    health: int
    sick_leave_percent: int
    position_percent: int | None
    participation: int
    adapted: bool
    benefits: frozenset[str]


def first_answers(chance: Random) -> Answers:
    """The answers at arrival."""
    percent = _percent(-1, chance)
    position = chance.choice((50, 60, 80, 100, 100, 100)) if chance.random() < 0.82 else None
    ability = within(chance.gauss(3.4, 1.8), 0, 10)
    return Answers(
        work_ability=ability,
        health=within(chance.gauss(2.4, 0.9), 1, 5),
        sick_leave_percent=percent,
        position_percent=position,
        participation=_participation(percent, position, chance),
        adapted=position is not None and chance.random() < 0.45,
        benefits=_benefits(percent, 0, chance),
    )


def later_answers(before: Answers, months: int, chance: Random) -> Answers:
    """The answers some months after discharge (0 at discharge), given those of the time point before."""
    percent = before.sick_leave_percent if chance.random() < AS_BEFORE else _percent(months, chance)
    position = before.position_percent if before.position_percent or chance.random() < 0.8 else 50
    rise = {0: 0.8, 6: 0.7, 12: 0.9}[months]
    ability = within((before.work_ability or 0) + chance.gauss(rise, 1.6), 0, 10)
    return Answers(
        work_ability=ability if chance.random() < 0.96 else None,
        health=within(before.health + chance.gauss(0.3, 0.7), 1, 5),
        sick_leave_percent=percent,
        position_percent=position,
        participation=_participation(percent, position, chance),
        adapted=position is not None and chance.random() < 0.5,
        benefits=_benefits(percent, months, chance),
    )


def within(value: float, least: int, most: int) -> int:
    """The nearest whole number in a range."""
    return min(most, max(least, round(value)))


def _percent(months: int, chance: Random) -> int:
    return chance.choices(PERCENTS, WEIGHTS[months])[0]


def _participation(percent: int, position: int | None, chance: Random) -> int:
    """The share of full time that is worked: none without a position, and never more than sick leave leaves."""
    if position is None:
        return 0
    return within(chance.gauss(0.9, 0.1) * position * (100 - percent) / 100, 0, 100 - percent)


def _benefits(percent: int, months: int, chance: Random) -> frozenset[str]:
    shares = (
        ("aap", 0.2),
        ("disability_pension", 0.03 + 0.004 * months),
        ("social_assistance", 0.05),
        ("unemployment", 0.05),
    )
    drawn = {name for name, share in shares if chance.random() < share}
    if percent and "aap" not in drawn:
        drawn.add("sick_pay")
    return frozenset(drawn or {"none"})
