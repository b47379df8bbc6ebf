"""The statistics of the linkage report, computed again here by other means."""

import math
from datetime import date
from random import Random
from statistics import fmean, variance

import polars as pl
import pytest

from enclave.disclosure.policy import Policy
from enclave.disclosure.rate import shown_percent
from enclave.linkage.quality import characterise, first_days, mean_age_difference, strata
from enclave.model.loan import Characteristic


def pseudonym(number: int) -> bytes:
    """The n-th person's."""
    return number.to_bytes(16, "big")


CHANCE = Random(3)
PEOPLE = [
    {
        "who": pseudonym(number),
        "born": date(1930 + CHANCE.randrange(75), 1 + CHANCE.randrange(12), 1 + CHANCE.randrange(28)),
        "sex": CHANCE.choice(["female", "male", None]),
        "kind": CHANCE.choice(["fnr", "dnr"]),
        "days": [date(2020 + CHANCE.randrange(4), 1 + CHANCE.randrange(12), 5) for _ in range(1 + CHANCE.randrange(2))],
        "at": CHANCE.sample(["alfa", "beta", "gamma"], 1 + CHANCE.randrange(2)),
        "linked": CHANCE.random() < 0.7,
    }
    for number in range(300)
]
LINKED = [one["who"] for one in PEOPLE if one["linked"]]
HELD = pl.DataFrame(
    [(one["who"], sender) for one in PEOPLE for sender in one["at"]],
    schema={"_pseudonym": pl.Binary, "_sender": pl.String}, orient="row",
)  # fmt: skip
KNOWN = pl.DataFrame(
    [(one["who"], one["kind"], one["born"], one["sex"]) for one in PEOPLE],
    schema={"pseudonym": pl.Binary, "kind": pl.String, "birth_date": pl.Date, "sex": pl.String}, orient="row",
)  # fmt: skip
COURSES = pl.DataFrame(
    [(one["who"], day) for one in PEOPLE for day in one["days"]],
    schema={"_pseudonym": pl.Binary, "day": pl.Date}, orient="row",
)  # fmt: skip
CHARACTERISTICS = characterise(HELD, KNOWN, first_days(COURSES))


def age(one: dict) -> int:
    """Whole years, on the first day, counted birthday by birthday."""
    first, years = min(one["days"]), 0
    while one["born"].replace(year=one["born"].year + years + 1) <= first:
        years += 1
    return years


def band(years: int) -> str:
    """The name of an age's band, written out."""
    edges = [(0, 17, "under 18"), (18, 29, "18-29"), (30, 39, "30-39"), (40, 49, "40-49"), (50, 59, "50-59"),
             (60, 66, "60-66"), (67, 200, "67 and over")]  # fmt: skip
    return next(name for low, high, name in edges if low <= years <= high)


GROUPS = {
    Characteristic.INSTITUTION: lambda one: set(one["at"]),
    Characteristic.YEAR: lambda one: {str(min(one["days"]).year)},
    Characteristic.SEX: lambda one: {one["sex"] or "unknown"},
    Characteristic.AGE_BAND: lambda one: {band(age(one))},
    Characteristic.ID_KIND: lambda one: {one["kind"]},
}


@pytest.mark.parametrize("characteristic", Characteristic)
def test_rates_and_differences_are_those_computed_person_by_person(characteristic: Characteristic) -> None:
    """Each group's people, linked people, and standardised difference of shares between linked and unlinked."""
    of = GROUPS[characteristic]
    found = {one.group: one for one in strata(HELD, CHARACTERISTICS, LINKED) if one.characteristic is characteristic}
    assert set(found) == set().union(*map(of, PEOPLE))
    for group, one in found.items():
        inside = [group in of(person) for person in PEOPLE]
        assert one.persons == sum(inside)
        assert one.linked == sum(held and person["linked"] for held, person in zip(inside, PEOPLE, strict=True))
        p, q = (
            fmean(held for held, person in zip(inside, PEOPLE, strict=True) if person["linked"] is linked)
            for linked in (True, False)
        )
        assert one.difference == pytest.approx((p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2))


def test_the_mean_age_difference_is_the_pooled_one() -> None:
    """The difference of means over the root of the mean variance."""
    one, other = ([age(person) for person in PEOPLE if person["linked"] is linked] for linked in (True, False))
    expected = (fmean(one) - fmean(other)) / math.sqrt((variance(one) + variance(other)) / 2)
    assert mean_age_difference(CHARACTERISTICS, LINKED) == pytest.approx(expected)


def test_where_everybody_or_nobody_is_linked_there_is_no_difference() -> None:
    """Nothing is compared with nothing; the counts stand."""
    for linked in ([], [one["who"] for one in PEOPLE]):
        assert {one.difference for one in strata(HELD, CHARACTERISTICS, linked)} == {None}
        assert mean_age_difference(CHARACTERISTICS, linked) is None
    assert sum(one.linked for one in strata(HELD, CHARACTERISTICS, [])) == 0


def test_somebody_of_whom_nothing_is_known_is_in_every_table() -> None:
    """A number that tells nothing, or a person without a course: a group of its own, not left out."""
    nobody = pl.DataFrame({"_pseudonym": [b"n" * 16], "_sender": ["alfa"]})
    found = strata(nobody, characterise(nobody, KNOWN.clear(), first_days(COURSES.clear())), [b"n" * 16])
    assert [(one.characteristic.value, one.group) for one in found] == [
        ("institution", "alfa"), ("year", "unknown"), ("sex", "unknown"), ("age_band", "unknown"),
        ("id_kind", "unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("everyone", "linked", "shown"),
    [(40, 30, 75), (40, 4, None), (40, 36, None), (9, 5, None), (10, 5, 50), (40, 40, 100), (40, 0, 0), (0, 0, None)],
)
def test_a_rate_leaves_only_of_enough_people(everyone: int, linked: int, shown: int | None) -> None:
    """Few linked, few unlinked, or few people at all: then the rate beside the results is withheld."""
    assert shown_percent(linked, everyone, Policy()) == shown
