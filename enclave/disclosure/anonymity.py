"""Whether people of an extract can be told apart by what others may know of them (k-anonymity, Sweeney 2002).

A person is as all of their courses look together in the quasi-identifiers: fewer than `least` people who look alike are
left out whole. What they share besides – all with one answer to a sensitive question – is not judged: an extract is
lent to a named project under an agreement and is no publication.
"""

from dataclasses import dataclass

import polars as pl

from enclave.model.pseudonymous import PSEUDONYM

MOST_LEFT_OUT = 0.05
"""Above this share of people left out, dates are made coarser rather than more people left out."""
STEPS = ("month", "quarter", "year")
"""From fine to coarse."""


@dataclass(frozen=True, repr=False)
class Anonymous:
    """The courses that may be lent; how coarse their dates are, and how many people were left out of how many."""

    courses: pl.DataFrame
    step: str
    people: int
    left_out: int
    smallest_class: int


def anonymous(courses: pl.DataFrame, quasi: list[str], dates: list[str], *, least: int) -> Anonymous:
    """The courses of everyone who looks like at least `least` people, dates as coarse as that needs.

    `courses` has `_pseudonym`, the `quasi` columns and among them `dates`, which are replaced by texts (`2024-03`,
    `2024-K1`, `2024`).
    """
    for step in STEPS:
        coarse = courses.with_columns(_coarse(name, step).alias(name) for name in dates)
        kept = _alike(coarse, quasi, least)
        people, left = coarse[PSEUDONYM].n_unique(), kept[PSEUDONYM].n_unique()
        if people - left <= MOST_LEFT_OUT * people or not dates:
            break
    classes = _classes(kept, quasi)["_alike"]
    smallest = classes.min()
    return Anonymous(kept, step, people, people - left, smallest if isinstance(smallest, int) else 0)


def _coarse(name: str, step: str) -> pl.Expr:
    day = pl.col(name)
    match step:
        case "month":
            return day.dt.strftime("%Y-%m")
        case "quarter":
            return pl.when(day.is_not_null()).then(pl.format("{}-K{}", day.dt.year(), day.dt.quarter()))
        case _:
            return day.dt.strftime("%Y")


def _alike(courses: pl.DataFrame, quasi: list[str], least: int) -> pl.DataFrame:
    enough = _classes(courses, quasi).filter(pl.col("_alike") >= least)
    return courses.join(enough.select(PSEUDONYM), on=PSEUDONYM, how="semi", maintain_order="left")


def _classes(courses: pl.DataFrame, quasi: list[str]) -> pl.DataFrame:
    """`_pseudonym` and how many people look so, `_alike`: all courses of each, whatever their order."""
    if not quasi:
        people = courses.select(PSEUDONYM).unique(maintain_order=True)
        return people.with_columns(_alike=pl.lit(people.height, dtype=pl.Int64))
    # A missing answer is a look too; a text that no answer can be stands for it, so that it is compared.
    look = pl.concat_str([pl.col(name).cast(pl.String).fill_null("\x00") for name in quasi], separator="\x1f")
    looks = courses.select(PSEUDONYM, _look=look).group_by(PSEUDONYM).agg(pl.col("_look").sort())
    joined = looks.with_columns(pl.col("_look").list.join("\x1e"))
    return joined.with_columns(_alike=pl.len().over("_look").cast(pl.Int64)).sort(PSEUDONYM)
