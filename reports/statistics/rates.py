"""Shares of runs that solved their task: intervals and an exact test."""

from __future__ import annotations

import math
from functools import lru_cache

from reports.statistics.intervals import LEVEL, Estimate


def rate_interval(num_hits: int, num: int, level: float = LEVEL) -> Estimate:
    """A proportion and its Wilson score interval, which is sensible at 0 of n and n of n too."""
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + level / 2)) ** 2
    rate = num_hits / num
    middle = (rate + z2 / (2 * num)) / (1 + z2 / num)
    half = math.sqrt(z2 * (rate * (1 - rate) / num + z2 / (4 * num**2))) / (1 + z2 / num)
    return Estimate(rate, max(0.0, middle - half), min(1.0, middle + half))


def rate_difference_interval(
    hits_a: int, num_a: int, hits_b: int, num_b: int, level: float = LEVEL
) -> Estimate:
    """Rate of a less rate of b, and Newcombe's interval, made of Wilson's (Newcombe 1998, 10)."""
    a, b = rate_interval(hits_a, num_a, level), rate_interval(hits_b, num_b, level)
    value = a.value - b.value
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - below, value + above)


@lru_cache(maxsize=4096)
def boschloo_p(hits_a: int, num_a: int, hits_b: int, num_b: int) -> float:
    """Two-sided p that both rates are equal, by Boschloo's exact test: .0215 for 5/5 against 1/5.

    The runs of a and of b are what is fixed, so scipy's table has a column for each.
    """
    if (hits_a, hits_b) in ((0, 0), (num_a, num_b)):
        return 1.0
    from scipy.stats import boschloo_exact

    table = [[hits_a, hits_b], [num_a - hits_a, num_b - hits_b]]
    return min(1.0, float(boschloo_exact(table).pvalue))


def smallest_boschloo_p(num_a: int, num_b: int) -> float:
    """Least p that the test can give: all of one, none of the other."""
    return min(boschloo_p(num_a, num_a, 0, num_b), boschloo_p(0, num_a, num_b, num_b))
