"""Power against an integral; what needs how many seeds; the figures that are quoted."""

from __future__ import annotations

import math

import pytest
from scipy import integrate, stats

from reports.statistics import detectable_effect, needed_seeds, power_of, smallest_independent_p


@pytest.mark.parametrize("sizes", [(1, 2), (2, 2), (3, 5), (5, 5), (16, 16), (100, 80)])
@pytest.mark.parametrize("effect", [-2.0, 0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_power_is_the_integral_over_what_the_spread_may_come_out_as(sizes, effect, alpha):
    """Given the spread the difference of means is normal; its square is a chi2 of the freedom."""
    num_a, num_b = sizes
    shift, freedom = effect / (0.7 * math.sqrt(1 / num_a + 1 / num_b)), num_a + num_b - 2
    critical, spread = stats.t.isf(alpha / 2, freedom), stats.chi(freedom)

    def found(s):
        bound = critical * s / math.sqrt(freedom)
        return spread.pdf(s) * (stats.norm.sf(bound - shift) + stats.norm.cdf(-bound - shift))

    expected, _ = integrate.quad(found, 0, spread.isf(1e-14), epsabs=1e-9, limit=200)
    assert power_of(effect, num_a, num_b, 0.7, alpha) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("ratio", "num", "sd_log", "expected"),
    [
        (2, 5, 0.45, 0.54),
        (2, 8, 0.45, 0.80),
        (2, 10, 0.45, 0.89),
        (1.5, 10, 0.45, 0.47),
        (1.5, 5, 0.2, 0.77),
        (1.5, 5, 0.3, 0.44),
        (1.5, 16, 0.3, 0.96),
    ],
)
def test_power_is_near_the_simulated_figures_that_are_quoted(ratio, num, sd_log, expected):
    """Of Welch's test on log steps, a little less powerful than the t test that is computed."""
    found = power_of(math.log(ratio), num, num, sd_log)
    assert expected - 0.01 < found < expected + 0.05


@pytest.mark.parametrize("effect", [1.0, 10.0, 1e3, 1e6])
@pytest.mark.parametrize("num", [2, 5, 51, 1000])
def test_power_far_out_in_the_tails_is_a_number(effect, num):
    assert power_of(effect, num, num, 0.1) == pytest.approx(1, abs=0.15)
    assert power_of(1e-6, num, num, effect) == pytest.approx(0.05)


@pytest.mark.parametrize("sizes", [(2, 2), (5, 5), (5, 8), (16, 16)])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_a_detectable_effect_has_the_power(sizes, power):
    effect = detectable_effect(*sizes, 0.3, alpha=0.02, power=power)
    assert power_of(effect, *sizes, 0.3, 0.02) == pytest.approx(power)
    assert detectable_effect(*sizes, 3.0, alpha=0.02, power=power) == pytest.approx(10 * effect)


def test_without_spread_every_effect_is_found_and_without_a_test_none():
    assert (power_of(0.1, 3, 3, 0.0), detectable_effect(3, 3, 0.0)) == (1, 0)
    for sizes in ((1, 1), (0, 5)):
        assert (power_of(9.0, *sizes, 0.1), power_of(9.0, *sizes, 0.0)) == (0, 0)
        assert detectable_effect(*sizes, 0.1) == math.inf


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
def test_needed_seeds_are_the_fewest_with_power(effect, alpha):
    num = needed_seeds(effect, 0.4, alpha=alpha)
    assert power_of(effect, num, num, 0.4, alpha) >= 0.8
    few = num - 1
    assert power_of(effect, few, few, 0.4, alpha) < 0.8 or smallest_independent_p(few, few) > alpha


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.2, 3), (0.05, 4), (0.01, 5), (0.0025, 6), (5e-5, 9), (1e-6, None)]
)
def test_seeds_are_needed_for_p_to_reach_alpha_at_all(alpha, expected):
    """Of an effect that no test could miss. From 11 seeds on p is drawn, and at least 1e-4."""
    assert needed_seeds(1e3, 1.0, alpha=alpha) == expected


def test_more_than_most_is_none():
    assert needed_seeds(0.0, 1.0) is None
    num = needed_seeds(0.3, 1.0)
    assert needed_seeds(0.3, 1.0, most=num) == num
    assert needed_seeds(0.3, 1.0, most=num - 1) is None
