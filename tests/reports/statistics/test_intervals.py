"""Intervals against scipy and closed forms, and by simulation of their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.foundation.seeding import generator
from reports.statistics import (
    difference_interval,
    mean_interval,
    median_steps,
    rate_interval,
    smallest_independent_p,
)

A, B = [0.91, 0.95, 0.99, 0.90], [0.61, 0.72, 0.40]


def test_mean_interval_is_scipys():
    found = mean_interval(A)
    low, high = stats.ttest_1samp(A, 0).confidence_interval(0.95)
    assert found == pytest.approx((np.mean(A), low, high))


def test_difference_interval_is_scipys_welch():
    found = difference_interval(A, B)
    low, high = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    assert found == pytest.approx((np.mean(A) - np.mean(B), low, high))


@pytest.mark.parametrize(("num_hits", "num"), [(0, 3), (5, 5), (2, 3), (7, 10)])
def test_rate_interval_is_scipys_wilson(num_hits, num):
    scipys = stats.binomtest(num_hits, num).proportion_ci(0.95, "wilson")
    expected = (num_hits / num, scipys.low, scipys.high)
    assert rate_interval(num_hits, num) == pytest.approx(expected, abs=1e-12)


def test_one_value_has_no_interval():
    assert mean_interval([0.5]) == (0.5, None, None)
    assert difference_interval([0.5], B)[1:] == (None, None)
    assert difference_interval(A, [0.5])[1:] == (None, None)


def test_equal_values_give_a_point():
    # 0.1 + 0.2 style sums must not give a spread out of rounding
    assert mean_interval([0.1] * 3) == (0.1, 0.1, 0.1)
    assert difference_interval([1.0] * 3, [0.5] * 4) == (0.5, 0.5, 0.5)


def test_one_constant_sample_leaves_the_others_variance():
    found = difference_interval([1.0] * 3, B)
    alone = mean_interval(B)
    assert found.high - found.low == pytest.approx(alone.high - alone.low)


def test_no_values_is_an_error():
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], None),
        ([None], None),
        ([400], 400),
        ([400, None, None], None),
        ([400, 900, None], 900),
        ([400, 900, None, None], 900),
        ([400, 900, 1000, None], 950),
        ([300, 500], 400),
    ],
)
def test_median_steps_counts_unsolved_as_late(steps, expected):
    assert median_steps(steps) == expected


def test_smallest_independent_p():
    assert [smallest_independent_p(n, n) for n in (3, 4, 5)] == [0.1, 2 / 70, 2 / 252]
    exact = stats.permutation_test(
        ([1.0, 2.0, 3.0], [7.0, 8.0, 9.5]), lambda a, b: np.mean(a) - np.mean(b)
    )
    assert exact.pvalue == pytest.approx(0.1)


@pytest.mark.parametrize("num", [3, 5, 10])
def test_intervals_cover_as_often_as_they_say(num):
    """Normal data of unequal spread. Student is exact; Welch is a little conservative at n = 3."""
    rng, trials = generator("coverage", num), 3000
    error = 4 * math.sqrt(0.05 * 0.95 / trials)
    mean_hits = difference_hits = 0
    for _ in range(trials):
        a, b = rng.normal(1, 1, num), rng.normal(0, 2, num)
        mean_hits += _covers(mean_interval(a), 1.0)
        difference_hits += _covers(difference_interval(a, b), 1.0)
    assert abs(mean_hits / trials - 0.95) < error
    assert 0.95 - error < difference_hits / trials < 0.985


def _covers(interval, truth):
    return interval.low <= truth <= interval.high
