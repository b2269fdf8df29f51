"""Solve rates against scipy, closed forms, published intervals and every table there is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.statistics import (
    boschloo_p,
    rate_difference_interval,
    rate_interval,
    smallest_boschloo_p,
)


@pytest.mark.parametrize(("num_hits", "num"), [(0, 3), (5, 5), (2, 3), (7, 10)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_rate_interval_is_scipys_wilson(num_hits, num, level):
    scipys = stats.binomtest(num_hits, num).proportion_ci(level, "wilson")
    expected = (num_hits / num, scipys.low, scipys.high)
    assert rate_interval(num_hits, num, level) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_rate_difference_interval_is_newcombes(counts, low, high):
    """Newcombe 1998, table II, method 10."""
    found = rate_difference_interval(*counts)
    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])
    assert found[1:] == pytest.approx((low, high), abs=6e-5)
    mirrored = rate_difference_interval(*counts[2:], *counts[:2])
    assert mirrored == pytest.approx((-found.value, -found.high, -found.low))


def plain_boschloo(solved_a, num_a, solved_b, num_b):
    """The definition, over a fine grid of the rate: Fisher's one-sided p orders the tables."""
    rate = np.linspace(0, 1, 4001)
    tables = [(i, j) for i in range(num_a + 1) for j in range(num_b + 1)]
    found = []
    for side in ("less", "greater"):
        fisher = {
            (i, j): stats.fisher_exact([[i, j], [num_a - i, num_b - j]], alternative=side).pvalue
            for i, j in tables
        }
        most = fisher[solved_a, solved_b] * (1 + 1e-9)
        chance = sum(
            stats.binom.pmf(i, num_a, rate) * stats.binom.pmf(j, num_b, rate)
            for i, j in tables
            if fisher[i, j] <= most
        )
        found.append(chance.max())
    return min(1.0, 2 * min(found))


@pytest.mark.parametrize(
    "counts", [(5, 5, 1, 5), (1, 5, 5, 5), (3, 3, 0, 3), (4, 5, 2, 4), (8, 8, 3, 8), (2, 3, 5, 6)]
)
def test_boschloo_p_is_the_definitions(counts):
    assert boschloo_p(*counts) == pytest.approx(plain_boschloo(*counts), rel=1e-4)


def test_the_arms_are_the_binomials():
    """Of 5/5 against 1/5: {4:0, 5:0, 5:1} at a rate of 1/2, doubled. Transposed it is .0137."""
    assert boschloo_p(5, 5, 1, 5) == pytest.approx(2 * (5 + 1 + 5) / 2**10)
    assert stats.boschloo_exact([[5, 0], [1, 4]]).pvalue == pytest.approx(0.0137, abs=5e-5)


@pytest.mark.parametrize("counts", [(0, 5, 0, 5), (5, 5, 5, 5), (0, 3, 0, 7), (2, 4, 2, 4)])
def test_equal_rates_are_no_evidence(counts):
    assert boschloo_p(*counts) == 1


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (5, 5), (8, 8), (3, 5), (10, 4)])
def test_smallest_boschloo_p(sizes):
    """All against none has chance r^n (1 - r)^m, most at r = n / (n + m); twice that."""
    a, b = sizes
    smallest = smallest_boschloo_p(a, b)
    assert smallest == pytest.approx(2 * a**a * b**b / (a + b) ** (a + b), rel=1e-6)
    every = [boschloo_p(i, a, j, b) for i in range(a + 1) for j in range(b + 1)]
    assert min(every) == pytest.approx(smallest)


@pytest.mark.parametrize("num", [3, 5, 8])
def test_boschloo_errs_at_most_alpha(num):
    """Exactly, by the chance of every table at every rate, not by simulation."""
    rate = np.linspace(0, 1, 1001)
    p = {(i, j): boschloo_p(i, num, j, num) for i in range(num + 1) for j in range(num + 1)}
    error = sum(
        stats.binom.pmf(i, num, rate) * stats.binom.pmf(j, num, rate)
        for (i, j), value in p.items()
        if value <= 0.05
    )
    assert min(abs(value - 0.05) for value in p.values()) > 1e-4, "no tie decides"
    assert 0.01 < error.max() <= 0.05
