"""Means and shares with their 95 % intervals. Sums are exact (`fsum`), so that no order of rows changes a digit.

Each interval loads its library (half a second and more) when it is asked for: most runs of a job ask for none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95
NORMAL_QUANTILE = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; each is None where the data does not give it."""

    value: float | None
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float]) -> Estimate:
    """The mean with its t interval: no mean of nothing, no interval of fewer than two values."""
    from scipy.special import stdtrit  # noqa: PLC0415

    n = len(values)
    if n == 0:
        return Estimate(None, None, None)
    mean = fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None)
    standard_error = sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    half = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * standard_error
    return Estimate(mean, mean - half, mean + half)


def share_interval(count: int, denominator: int) -> Estimate:
    """The share `count / denominator` (0–1) with its Wilson interval; nothing where the denominator is 0."""
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415

    if denominator == 0:
        return Estimate(None, None, None)
    low, high = proportion_confint(count, denominator, alpha=1 - CONFIDENCE, method="wilson")
    return Estimate(count / denominator, float(low), float(high))


def paired_change_interval(gained: int, lost: int, pairs: int) -> Estimate:
    """The change of a share (−1 to 1) among `pairs` of which some gained and some lost it; nothing of no pairs.

    The interval is that of Bonett and Price (2012): Wald's, with one pair added to those who gained and to those who
    lost. It keeps its level for few pairs, and is not of no width where nobody changed.
    """
    if pairs == 0:
        return Estimate(None, None, None)
    more, less = (gained + 1) / (pairs + 2), (lost + 1) / (pairs + 2)
    half = NORMAL_QUANTILE * sqrt((more + less - (more - less) ** 2) / (pairs + 2))
    return Estimate((gained - lost) / pairs, max(-1.0, more - less - half), min(1.0, more - less + half))


def standardised_difference(first: float | None, second: float | None) -> float | None:
    """How far two shares (0-1) lie apart, in their pooled standard deviations; nothing where neither varies.

    Austin (2009). Below 0.1 in size is commonly taken for alike.
    """
    if first is None or second is None:
        return None
    variance = (first * (1 - first) + second * (1 - second)) / 2
    return (first - second) / sqrt(variance) if variance else None


def kappa_interval(both: int, first_only: int, second_only: int, neither: int) -> Estimate:
    """Cohen's kappa of two yes-or-no answers with its large-sample interval; nothing where either never varies."""
    from statsmodels.stats.inter_rater import cohens_kappa  # noqa: PLC0415

    if 0 in (both + first_only, both + second_only, second_only + neither, first_only + neither):
        return Estimate(None, None, None)
    found = cohens_kappa([[both, first_only], [second_only, neither]])
    return Estimate(float(found.kappa), max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp)))


def alpha_interval(answers: Sequence[Sequence[float]]) -> Estimate:
    """Cronbach's alpha of complete answers (one row for each course, one number for each item), with Feldt's interval.

    Nothing of fewer than two rows or items, or where the sum of the items never varies.
    """
    from scipy.special import fdtri  # noqa: PLC0415

    rows, items = len(answers), len(answers[0]) if answers else 0
    if rows < 2 or items < 2:
        return Estimate(None, None, None)
    whole = _variance([fsum(row) for row in answers])
    if whole == 0:
        return Estimate(None, None, None)
    parts = fsum(_variance([row[item] for row in answers]) for item in range(items))
    alpha = items / (items - 1) * (1 - parts / whole)
    degrees = rows - 1, (rows - 1) * (items - 1)
    low, high = (1 - (1 - alpha) * float(fdtri(*degrees, 0.5 + side * CONFIDENCE / 2)) for side in (1, -1))
    return Estimate(alpha, low, high)


def _variance(values: Sequence[float]) -> float:
    mean = fsum(values) / len(values)
    return fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
