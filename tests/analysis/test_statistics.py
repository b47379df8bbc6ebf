"""Means, shares and their intervals."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from enclave.analysis.statistics import Estimate, mean_interval, share_interval


@given(st.lists(st.integers(0, 10), min_size=2, max_size=60))
def test_a_mean_carries_the_t_interval_of_the_textbook(values: list[int]) -> None:
    """Mean ± t(0.975, n−1) · s/√n, as the standard library and scipy compute it."""
    estimate = mean_interval([float(value) for value in values])
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    assert estimate.value == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert estimate.low == pytest.approx(statistics.fmean(values) - half, abs=1e-9)
    assert estimate.high == pytest.approx(statistics.fmean(values) + half, abs=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.randoms())
def test_the_order_of_rows_changes_no_digit(values: list[float], random: "math.random.Random") -> None:  # type: ignore[name-defined]
    """Sums are exact, so that shuffled rows give the same bits."""
    shuffled = values[:]
    random.shuffle(shuffled)
    assert mean_interval(values) == mean_interval(shuffled)


def test_nothing_has_no_mean_and_one_value_no_interval() -> None:
    """What the data does not give is None, never 0 and never NaN."""
    assert mean_interval([]) == Estimate(None, None, None)
    assert mean_interval([4.0]) == Estimate(4.0, None, None)
    assert share_interval(0, 0) == Estimate(None, None, None)


@pytest.mark.parametrize(("count", "denominator", "low", "high"), [(4, 7, 0.2505, 0.8418), (2, 3, 0.2077, 0.9385)])
def test_a_share_carries_the_wilson_interval(count: int, denominator: int, low: float, high: float) -> None:
    """The published examples of the Wilson interval come out to four decimals."""
    estimate = share_interval(count, denominator)
    assert estimate.value == count / denominator
    assert (round(estimate.low or 0, 4), round(estimate.high or 0, 4)) == (low, high)


def test_the_published_share_of_kar_comes_out() -> None:
    """612 of 1073 is 57 per cent, between 54.1 and 60.0."""
    estimate = share_interval(612, 1073)
    assert [round(100 * (number or 0), 1) for number in (estimate.value, estimate.low, estimate.high)] == [
        57.0,
        54.1,
        60.0,
    ]
