"""What a linkage report says, computed from who was linked and who was not: counts, rates and differences by group.

Linked and unlinked people are compared by standardised differences, which do not grow with the number of people: above
0.1 in absolute value the linked are no longer like the registry (Austin 2009; GUILD, Gilbert et al. 2018).
"""

import math
from collections.abc import Sequence

import polars as pl

from enclave.model.loan import Characteristic, Stratum
from enclave.model.pseudonymous import PSEUDONYM, SENDER

AGE_BANDS = ((18, "under 18"), (30, "18-29"), (40, "30-39"), (50, "40-49"), (60, "50-59"), (67, "60-66"))
OLDEST = "67 and over"
UNKNOWN = "unknown"
AGE = "age"
IN_ORDER = tuple(Characteristic)


def characterise(people: pl.DataFrame, known: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """One row for each person: `_pseudonym`, `year`, `sex`, `age_band`, `id_kind` (texts) and `age` (null: not known).

    `people` has `_pseudonym`; `known` what the person's number tells (`pseudonym`, `kind`, `birth_date`, `sex`);
    `first` the day on which the person's first course began (`_pseudonym`, `day`), by which age and year are taken.
    """
    day, born = pl.col("day"), pl.col("birth_date")
    to_come = _day_of_year(day) < _day_of_year(born)
    age = (day.dt.year() - born.dt.year() - to_come.cast(pl.Int32)).cast(pl.Float64)
    return (
        people.select(PSEUDONYM)
        .unique(maintain_order=True)
        .join(known.rename({"pseudonym": PSEUDONYM}), on=PSEUDONYM, how="left", maintain_order="left")
        .join(first, on=PSEUDONYM, how="left", maintain_order="left")
        .with_columns(age.alias(AGE))
        .select(
            PSEUDONYM,
            day.dt.year().cast(pl.String).fill_null(UNKNOWN).alias(Characteristic.YEAR),
            pl.col("sex").fill_null(UNKNOWN).alias(Characteristic.SEX),
            _band(pl.col(AGE)).alias(Characteristic.AGE_BAND),
            pl.col("kind").fill_null(UNKNOWN).alias(Characteristic.ID_KIND),
            AGE,
        )
    )


def _day_of_year(day: pl.Expr) -> pl.Expr:
    return day.dt.month().cast(pl.Int32) * 100 + day.dt.day()


def _band(age: pl.Expr) -> pl.Expr:
    band = pl.lit(OLDEST)
    for below, name in reversed(AGE_BANDS):
        band = pl.when(age < below).then(pl.lit(name)).otherwise(band)
    return pl.when(age.is_null()).then(pl.lit(UNKNOWN)).otherwise(band)


def strata(people: pl.DataFrame, characteristics: pl.DataFrame, linked: Sequence[bytes]) -> tuple[Stratum, ...]:
    """Every group of every characteristic, in order; a person at two institutions is in both of their groups.

    `people` has `_pseudonym` and `_sender` and may repeat; `characteristics` is as `characterise` answers.
    """
    everyone = characteristics.select(PSEUDONYM).with_columns(linked=pl.col(PSEUDONYM).is_in(linked))
    ours = int(everyone["linked"].sum())
    others = everyone.height - ours
    institutions = people.select(PSEUDONYM, group=SENDER).unique()
    found = []
    for characteristic in IN_ORDER:
        groups = (
            institutions
            if characteristic is Characteristic.INSTITUTION
            else characteristics.select(PSEUDONYM, group=characteristic.value)
        )
        counted = (
            groups.join(everyone, on=PSEUDONYM, how="inner")
            .group_by("group")
            .agg(persons=pl.len(), linked=pl.col("linked").sum())
            .sort("group")
        )
        found += [
            Stratum(characteristic, group, persons, met, _of_shares(met, ours, persons - met, others))
            for group, persons, met in counted.iter_rows()
        ]
    return tuple(found)


def mean_age_difference(characteristics: pl.DataFrame, linked: Sequence[bytes]) -> float | None:
    """The standardised difference of mean age, linked minus unlinked; None where it is not defined."""
    known = characteristics.filter(pl.col(AGE).is_not_null())
    met = pl.col(PSEUDONYM).is_in(linked)
    one, other = known.filter(met)[AGE], known.filter(~met)[AGE]
    if min(one.len(), other.len()) < 2:
        return None
    spread = math.sqrt((float(one.var() or 0) + float(other.var() or 0)) / 2)  # type: ignore[arg-type]
    return (float(one.mean()) - float(other.mean())) / spread if spread else None  # type: ignore[arg-type]


def _of_shares(met: int, linked: int, unmet: int, unlinked: int) -> float | None:
    if not linked or not unlinked:
        return None
    one, other = met / linked, unmet / unlinked
    spread = math.sqrt((one * (1 - one) + other * (1 - other)) / 2)
    if not spread:
        return 0.0 if one == other else None
    return (one - other) / spread


def first_days(courses: pl.DataFrame) -> pl.DataFrame:
    """`_pseudonym`, `day`: when each person's first course began; `courses` has a row for each, with `day`."""
    return courses.group_by(PSEUDONYM, maintain_order=True).agg(pl.col("day").min())
