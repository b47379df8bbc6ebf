"""How many links are false, told without knowing which: by whom people of known number would be taken for.

A link is false where somebody else looks like a row, nobody has claimed this other person, and the row's own person
looks less like it or is not among us. Both are tried on people whose number is known: some with the number hidden, and
others, the strangers, with their own person hidden too. How many rows are strangers follows from how many were linked.

Supposed is that rows without a number are like rows with one, and that whoever is left over in the registry is like the
registry. A model's own doubt supposes instead that columns agree independently of each other, which families do not.
"""

from dataclasses import dataclass

import polars as pl

Interval = tuple[float, float, float]
EVENT = 0.5  # what a kind of error that was not seen may still weigh: half an event (Jeffreys' prior)
UNLIKE = 0.25
"""How far, as a share and one standard error, the rows may be unlike the trial: worse written, or families of rows that
compete for one person. On made-up people the trial expected up to 0.5 too many, with three times the errors 0.9."""


@dataclass(frozen=True)
class Run:
    """What was linked: `accepted` of `records` rows, with the `free` of `everybody`: those whom no number had found."""

    records: int
    accepted: int
    free: int
    everybody: int


@dataclass(frozen=True, repr=False)
class Trial:
    """What was found of people whose number is known: `right` of `sample`, and people who look like the `strangers`.

    `rather` and `instead` have `theirs`, `ours`, `weight` of pairs that may be links and are wrong: those that a person
    of the sample is more like than itself, and those of strangers. `compared` pairs of the sample met at all.
    """

    sample: int
    right: int
    wrong: int
    compared: int
    rather: pl.DataFrame
    strangers: int
    instead: pl.DataFrame


def expected_false(run: Run, trial: Trial) -> Interval | None:
    """How many of the accepted links are false, and between which counts they are by 95 %; None without a trial."""
    if not trial.sample or not trial.strangers or not run.everybody:
        return None
    unclaimed = max(0, run.free - run.accepted) / run.everybody
    present, present_squared = _taken_for_another(trial.rather, unclaimed)
    absent, absent_squared = _taken_for_another(trial.instead, unclaimed)
    if_present, if_absent = present / trial.sample, absent / trial.strangers
    there = _share_there(run, trial.right / trial.sample + if_present, if_absent)
    value = run.records * (there * if_present + (1 - there) * if_absent)

    weight_present, weight_absent = run.records * there / trial.sample, run.records * (1 - there) / trial.strangers
    unseen = EVENT * unclaimed
    mean = value + unseen * (weight_present + weight_absent)
    variance = (
        weight_present**2 * (present_squared + unseen * unclaimed)
        + weight_absent**2 * (absent_squared + unseen * unclaimed)
        + (run.records * (if_absent - if_present)) ** 2 * _doubt_of_share(there, trial, run)
        + (UNLIKE * value) ** 2
    )
    low, high = _between(mean, variance)
    return (round(min(value, run.accepted), 1), min(low, run.accepted), min(high, run.accepted))


def _taken_for_another(wrong: pl.DataFrame, unclaimed: float) -> tuple[float, float]:
    """Over rows, the chance to be linked with somebody else: its sum, and the sum of its squares.

    A row is, if of those most like it whom nobody has claimed there is exactly one: of two, neither is a link.
    """
    alike, up_to = pl.col("alike").cast(pl.Float64), pl.col("alike").cum_sum().over("theirs").cast(pl.Float64)
    chance = (
        wrong.group_by("theirs", "weight")
        .agg(alike=pl.len())
        .sort(["theirs", "weight"], descending=[False, True])
        .with_columns(chance=alike * unclaimed * (1 - unclaimed) ** (up_to - 1))
        .group_by("theirs", maintain_order=True)
        .agg(pl.col("chance").sum())["chance"]
        .to_numpy()
    )
    return float(chance.sum()), float((chance**2).sum())


def _share_there(run: Run, if_present: float, if_absent: float) -> float:
    """The share of rows whose own person is among us: such a share that as many are linked as were."""
    if if_present <= if_absent:
        return 0.0
    linked = run.accepted / max(1, run.records)
    return min(1.0, max(0.0, (linked - if_absent) / (if_present - if_absent)))


def _doubt_of_share(there: float, trial: Trial, run: Run) -> float:
    """The variance of that share: how many are found is known from the trial only, and varies among the rows too."""
    found = (trial.right + EVENT) / (trial.sample + 2 * EVENT)
    return (1 - found) / found * (there**2 / trial.sample + there / max(1, run.records))


def _between(mean: float, variance: float) -> tuple[int, int]:
    """Between which counts 95 % are: of a Poisson count about a mean that is known with this variance only."""
    if mean <= 0:
        return 0, 0
    from scipy.stats import nbinom  # noqa: PLC0415 – heavy, and most runs of `link` have nothing to link so

    shape = mean**2 / max(variance, mean * 1e-9)
    low, high = (nbinom.ppf(end, shape, shape / (shape + mean)) for end in (0.025, 0.975))
    return int(low), int(high)
