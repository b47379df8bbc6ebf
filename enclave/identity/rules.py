"""Norwegian national numbers, judged a whole column at a time; and the rules on them that a sender is told about.

A number is DDMMYY + three individual digits + two control digits. Kinds differ by what is added to day or month:

| kind        | day | month | control | birth date, sex | issued to                                         |
|-------------|-----|-------|---------|-----------------|---------------------------------------------------|
| `fnr`       |     |       | today's | in the number   | residents                                         |
| `dnr`       | +40 |       | today's | in the number   | others known to the population register           |
| `hnr`       |     | +40   | today's | in the number   | patients without a number, by a hospital          |
| `fhnr`      | first digit 8 or 9 | today's | none   | patients without a number, by the common service  |
| `pid2032`   | 0/+40 |     | 2032's  | none to rely on | anyone, from 2032-01-01                           |
| `syn_nav`   | 0/+40 | +40 | either  | in the number   | nobody: synthetic                                 |
| `syn_65`    | 0/+40 | +65 | either  | in the number   | nobody: synthetic                                 |
| `syn_tenor` | 0/+40 | +80 | either  | in the number   | nobody: synthetic                                 |

An H-number and a synthetic +40 number look the same: month +40 (with an ordinary day) is read as `syn_nav` in a test
folder and as `hnr` in production. An FH-number tells nothing of its origin and counts as real. The rule of 2032 takes
remainders 0 to 3 in the first control digit and drops sex and century from the individual digits; of what is issued
then, the quarter with remainder 0 cannot be told from an `fnr`.
"""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from enclave.model.fault import Fault
from enclave.registry.definition import Form

Digits = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Flags = NDArray[np.bool_]
Days = NDArray[np.datetime64]

FIRST_ISSUED_2032 = date(2032, 1, 1)


class Mode(StrEnum):
    """Whether a working folder holds real people or synthetic ones; never both."""

    PRODUCTION = "production"
    TEST = "test"


class IdKind(StrEnum):
    """The kinds of Norwegian number; see the table above."""

    FNR = "fnr"
    DNR = "dnr"
    HNR = "hnr"
    FHNR = "fhnr"
    PID2032 = "pid2032"
    SYN_NAV = "syn_nav"
    SYN_65 = "syn_65"
    SYN_TENOR = "syn_tenor"


SYNTHETIC = frozenset({IdKind.SYN_NAV, IdKind.SYN_65, IdKind.SYN_TENOR})
_NUMBER = {kind: index for index, kind in enumerate(IdKind)}
_SEXES = ("female", "male")
_RULE_NAMES = ("id_synthetic_in_production", "id_real_in_test", "id_malformed", "id_control_digits")
_RULE_NUMBER = {name: index for index, name in enumerate(_RULE_NAMES)}
_NO_RULE = len(_RULE_NAMES)

# What is added to the month, and what that makes of the number. Order does not matter: the ranges are apart.
_MONTHS = ((40, IdKind.SYN_NAV), (65, IdKind.SYN_65), (80, IdKind.SYN_TENOR))

# Each control digit makes the weighted sum of the digits up to and with itself divisible by 11.
_FIRST_WEIGHTS = np.array([3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0], dtype=np.int32)
_SECOND_WEIGHTS = np.array([5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1], dtype=np.int32)
_LARGEST_REMAINDER_2032 = 3


def classify(ids: pl.Series, mode: Mode, today: date) -> pl.DataFrame:
    """One row for each id, in order: `kind`, `birth_date`, `sex` (female, male), `valid`, `rule` (the fault, or null).

    `kind`, `birth_date` and `sex` are null where the number does not tell. A missing id is malformed.
    """
    well_formed = ids.str.contains(r"^[0-9]{11}$").fill_null(False)
    judged = _judge_well_formed(ids.filter(well_formed), mode, today)
    lost_zero = ids.str.contains(r"^[0-9]{10}$").fill_null(False)
    everyone = pl.DataFrame({"well_formed": well_formed, "lost_zero": lost_zero}).with_row_index("place")
    places = everyone.filter(pl.col("well_formed")).select("place")
    unreadable = pl.when("lost_zero").then(pl.lit("id_lost_zero")).otherwise(pl.lit("id_malformed"))
    return (
        everyone.join(pl.concat([places, judged], how="horizontal"), on="place", how="left", maintain_order="left")
        .with_columns(rule=pl.when("well_formed").then("rule").otherwise(unreadable))
        .select("kind", "birth_date", "sex", pl.col("rule").is_null().alias("valid"), "rule")
    )


def _judge_well_formed(ids: pl.Series, mode: Mode, today: date) -> pl.DataFrame:
    digits = np.frombuffer(ids.str.join("").item().encode("ascii"), dtype=np.uint8).reshape(-1, 11) - ord("0")
    holds_today, holds_in_2032 = _control(digits)
    kind, day, month = _read(digits, mode)
    date_exists, birth_date = _birth_date(digits, day, month)
    synthetic = np.isin(kind, [_NUMBER[each] for each in SYNTHETIC])
    dateless = kind == _NUMBER[IdKind.FHNR]
    may_be_new = ~dateless & (kind != _NUMBER[IdKind.HNR])
    new = may_be_new & holds_in_2032 & (~holds_today | (~date_exists & (today >= FIRST_ISSUED_2032)))
    date_exists |= dateless | (new & _day_exists(digits, day, month))
    kind[new & ~synthetic] = _NUMBER[IdKind.PID2032]
    too_early = new & ~synthetic & (mode is Mode.PRODUCTION) & (today < FIRST_ISSUED_2032)

    rule = np.full(len(ids), _NO_RULE, dtype=np.uint32)
    if mode is Mode.PRODUCTION:
        rule[synthetic] = _RULE_NUMBER["id_synthetic_in_production"]
    else:
        rule[~synthetic] = _RULE_NUMBER["id_real_in_test"]
    rule[~date_exists] = _RULE_NUMBER["id_malformed"]
    rule[~(holds_today | new) | too_early] = _RULE_NUMBER["id_control_digits"]

    told = date_exists & ~dateless & ~new
    return pl.DataFrame(
        {
            "kind": _named(kind, list(IdKind), date_exists),
            "birth_date": pl.Series(np.where(told, birth_date, np.datetime64("NaT")), dtype=pl.Date),
            "sex": _named(digits[:, 8] % 2, _SEXES, told),
            "rule": _named(rule, _RULE_NAMES, rule != _NO_RULE),
        }
    )


def _named(numbers: NDArray[np.generic], names: Sequence[str], where: Flags) -> pl.Series:
    """The names behind numbers, as text; null elsewhere."""
    masked = np.where(where, numbers, len(names)).astype(np.uint32)
    return pl.Series([*names, None], dtype=pl.String).gather(masked)


def _control(digits: Digits) -> tuple[Flags, Flags]:
    """Whether the control digits hold by today's rule, and by the rule of 2032 (which takes today's too)."""
    wide = digits.astype(np.int32)
    first, second = (wide @ _FIRST_WEIGHTS) % 11, (wide @ _SECOND_WEIGHTS) % 11
    return (first == 0) & (second == 0), (first <= _LARGEST_REMAINDER_2032) & (second == 0)


def _read(digits: Digits, mode: Mode) -> tuple[Numbers, Numbers, Numbers]:
    """The kind by day and month, and both without what was added to them."""
    day, month = _pair(digits, 0), _pair(digits, 2)
    foreign = day > 40
    kind = np.where(foreign, _NUMBER[IdKind.DNR], _NUMBER[IdKind.FNR]).astype(np.int32)
    for added, synthetic in _MONTHS:
        these = (month > added) & (month <= added + 12)
        kind[these] = _NUMBER[synthetic]
        month[these] -= added
    if mode is Mode.PRODUCTION:
        # No hospital adds 40 to both day and month: that is synthetic everywhere.
        kind[(kind == _NUMBER[IdKind.SYN_NAV]) & ~foreign] = _NUMBER[IdKind.HNR]
    kind[digits[:, 0] >= 8] = _NUMBER[IdKind.FHNR]
    return kind, day - 40 * foreign, month


def _pair(digits: Digits, first: int) -> Numbers:
    return digits[:, first].astype(np.int32) * 10 + digits[:, first + 1]


def _birth_date(digits: Digits, day: Numbers, month: Numbers) -> tuple[Flags, Days]:
    """Whether the date exists, its century read from the individual digits, and the date (meaningless elsewhere)."""
    year = _pair(digits, 4)
    individual = _pair(digits, 6) * 10 + digits[:, 8]
    century = np.zeros_like(year)
    for first_year, these in (
        (1900, individual < 500),
        (1800, (individual >= 500) & (individual < 750) & (year >= 54)),
        (2000, (individual >= 500) & (year < 40)),
        (1900, (individual >= 900) & (year >= 40)),
    ):
        century[these] = first_year
    exists, days = _calendar(day, month, century + year)
    return np.logical_and(exists, century > 0), days


def _day_exists(digits: Digits, day: Numbers, month: Numbers) -> Flags:
    """Whether day and month fit some year ending so: a new number has no century, and 2000 was a leap year."""
    return _calendar(day, month, np.where(_pair(digits, 4) % 4 == 0, 2000, 2001).astype(np.int32))[0]


def _calendar(day: Numbers, month: Numbers, year: Numbers) -> tuple[Flags, Days]:
    """Whether the date exists, and the date."""
    possible = (month >= 1) & (month <= 12) & (day >= 1)
    month_start = ((year - 1970) * 12 + np.where(possible, month, 1) - 1).astype("datetime64[M]")
    days: Days = month_start.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    exists: Flags = np.logical_and(possible, days.astype("datetime64[M]") == month_start)
    return exists, days


def age_faults(form: Form, dated: pl.DataFrame) -> pl.DataFrame:
    """`_row`, `rule` of each row whose person's age the form does not allow or that cannot be known.

    `dated` has `_row`, `birth_date` and `on` (the form's date), one row for each row with a valid id. A person born on
    29 February grows a year older on 1 March in a common year.
    """
    birthday_to_come = _day_of_year("on") < _day_of_year("birth_date")
    age = pl.col("on").dt.year() - pl.col("birth_date").dt.year() - birthday_to_come.cast(pl.Int32)
    unborn = pl.col("birth_date") > pl.col("on")
    born_later = pl.when(unborn).then(pl.lit("id_born_later"))
    rule: pl.Expr = born_later
    if form.minimum_age is not None:
        rule = (
            born_later.when(pl.col("birth_date").is_null())
            .then(pl.lit("id_unusable"))
            .when(pl.col("on").is_null())
            .then(pl.lit("age_unknown"))
            .when(age < form.minimum_age)
            .then(pl.lit("underage"))
        )
    return dated.select("_row", rule=rule).filter(pl.col("rule").is_not_null())


def _day_of_year(column: str) -> pl.Expr:
    return pl.col(column).dt.month().cast(pl.Int32) * 100 + pl.col(column).dt.day()


def faults_of(form: Form, found: pl.DataFrame) -> tuple[Fault, ...]:
    """The faults of a form from `_row`, `rule`; each names the column with the national number."""
    variable = form.person_id or ""
    return tuple(Fault(form.id, row, variable, rule) for row, rule in found.select("_row", "rule").iter_rows())
