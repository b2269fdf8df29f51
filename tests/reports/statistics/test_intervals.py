"""Intervals and contrasts against scipy, closed forms and published numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.statistics import (
    Contrast,
    Estimate,
    contrast,
    difference_interval,
    mean_interval,
    one_sample_contrast,
    paired_contrast,
    tost,
)

A, B, C = [0.91, 0.95, 0.99, 0.90], [0.61, 0.72, 0.40], [0.31, 0.52, 0.47, 0.40, 0.44]

# Steps of 1/64 so that shifts and sums are exact: the properties then hold but for one rounding.
SAMPLE = st.lists(st.integers(-640, 640).map(lambda k: k / 64), min_size=2, max_size=6)
GROUPS = st.lists(SAMPLE, min_size=1, max_size=4)


def test_mean_interval_is_scipys():
    low, high = stats.ttest_1samp(A, 0).confidence_interval(0.95)
    assert mean_interval(A) == pytest.approx((np.mean(A), low, high))


@pytest.mark.parametrize(("a", "b"), [(A, B), (B, A), (B, C), (A, [0.0] * 3)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_a_contrast_of_two_is_scipys_welch(a, b, level):
    scipys = stats.ttest_ind(a, b, equal_var=False)
    found = contrast([a], [b])
    low, high = scipys.confidence_interval(level)
    assert difference_interval(a, b, level) == found.interval(level)
    assert found.interval(level) == pytest.approx((np.mean(a) - np.mean(b), low, high))
    assert found.freedom == pytest.approx(scipys.df)
    assert found.p() == pytest.approx(scipys.pvalue)
    above = stats.ttest_ind(a, b, equal_var=False, alternative="greater")
    assert found.p_above(0) == pytest.approx(above.pvalue)


@pytest.mark.parametrize("null", [-0.1, 0.0, 0.3])
def test_a_null_is_a_shift_of_one_sample(null):
    scipys = stats.ttest_ind(np.subtract(A, null), B, equal_var=False)
    assert contrast([A], [B]).p(null) == pytest.approx(scipys.pvalue)
    one = stats.ttest_1samp(A, null)
    assert one_sample_contrast([A], null).p() == pytest.approx(one.pvalue)
    assert one_sample_contrast([A], 0.0).p(null) == pytest.approx(one.pvalue)


def test_a_paired_contrast_of_one_stratum_is_scipys_paired_t():
    found = paired_contrast([np.subtract(A, [*B, 0.5])])
    assert found.p() == pytest.approx(stats.ttest_rel(A, [*B, 0.5]).pvalue)


def test_groups_count_alike_with_welch_satterthwaites_freedom():
    """By hand: the means' mean; sum c_i s_i^2 / n_i and its freedom, c = 1/4, 1/4, 1."""
    found = contrast([A, B], [C])
    squares = [np.var(A, ddof=1) / 4 / 4, np.var(B, ddof=1) / 3 / 4, np.var(C, ddof=1) / 5]
    assert found.value == pytest.approx((np.mean(A) + np.mean(B)) / 2 - np.mean(C))
    assert found.error == pytest.approx(math.sqrt(sum(squares)))
    freedom = sum(squares) ** 2 / sum(s**2 / f for s, f in zip(squares, (3, 2, 4), strict=True))
    assert found.freedom == pytest.approx(freedom)


@given(GROUPS, GROUPS, st.integers(-100, 100))
def test_a_contrast_moves_as_its_data_do(a, b, shift):
    found = contrast(a, b)
    shifted = contrast([[v + shift for v in group] for group in a], b)
    assert shifted.value == pytest.approx(found.value + shift, abs=1e-9)
    assert shifted[1:] == pytest.approx(found[1:])
    swapped = contrast(b, a)
    assert swapped.value == -found.value
    assert swapped[1:] == pytest.approx(found[1:])
    assert swapped.p() == pytest.approx(found.p())
    reordered = contrast(a[::-1], [group[::-1] for group in b])
    assert reordered == pytest.approx(found, abs=1e-9)


@given(GROUPS, GROUPS, st.floats(-5, 5))
def test_p_and_interval_agree(a, b, null):
    """null lies within the interval at 1 - alpha exactly where p > alpha; sides add up to 1."""
    found = contrast(a, b)
    below = Contrast(-found.value, found.error, found.freedom).p_above(-null)
    if found.error == 0:
        assert found.p(null) == float(found.value == null)
        return
    assert found.p_above(null) + below == pytest.approx(1)
    inside = found.interval(0.9)
    p = found.p(null)
    if abs(p - 0.1) > 1e-6:
        assert (inside.low <= null <= inside.high) == (p > 0.1)


@pytest.mark.parametrize(
    "found",
    [
        contrast([[0.5]], [B]),
        contrast([A], [[0.5]]),
        contrast([A, [0.5]], [B]),
        one_sample_contrast([[1.0]], 0.0),
        paired_contrast([[0.1, 0.3], [0.2]]),
    ],
)
def test_one_value_has_a_difference_and_no_more(found):
    assert math.isnan(found.error)
    assert found.interval() == Estimate(found.value)
    assert (found.p(), found.p(99.0), found.p_above(-99.0), tost(found, 99.0)) == (1, 1, 1, 1)


def test_equal_values_give_a_point():
    # 0.1 + 0.2 style sums must not give a spread out of rounding
    assert mean_interval([0.1] * 3) == (0.1, 0.1, 0.1)
    assert difference_interval([1.0] * 3, [0.5] * 4) == (0.5, 0.5, 0.5)
    found = contrast([[1.0] * 3], [[0.5] * 4])
    assert found == (0.5, 0.0, math.inf)
    assert [found.p(null) for null in (0.0, 0.5, 1.0)] == [0, 1, 0]
    assert [found.p_above(null) for null in (0.0, 0.5, 1.0)] == [0, 1, 1]


def test_equal_arms_without_spread_differ_by_nothing():
    """In any order of the groups: a rounding of 1e-17 would have no error, and so p = 0."""
    for group in itertools.permutations([0.1, 0.2, 0.3, 0.7, 1.1], 3):
        a = [[value] * 3 for value in group]
        for b in itertools.permutations(a):
            assert contrast(a, b).p() == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0.1 + 0.2] * 3, [0.3] * 3),
        ([0.3, 0.1 + 0.2, 0.3], [0.3] * 3),
        ([1 - 0.9] * 5, [0.1] * 5),
        ([sum([0.1] * 10)] * 4, [1.0] * 4),
        ([1e6 * (0.1 + 0.2)] * 3, [1e6 * 0.3] * 3),
    ],
)
def test_what_differs_by_rounding_does_not_differ(a, b):
    """Without spread any difference has p = 0: rounding must not be one, nor be a spread."""
    assert a != b
    for found in (contrast([a], [b]), contrast([b], [a]), one_sample_contrast([a], b[0])):
        assert (found.value, found.error, found.p()) == (0, 0, 1)
    apart = contrast([[value * (1 + 1e-9) for value in a]], [b])
    assert (apart.p(), apart.p_above(0)) == (0, 0), "a real difference is one"


def test_one_constant_sample_leaves_the_others_variance():
    found = difference_interval([1.0] * 3, B)
    alone = mean_interval(B)
    assert found.high - found.low == pytest.approx(alone.high - alone.low)


def test_an_interval_is_cut_to_what_can_be():
    assert Estimate(0.9, 0.7, 1.1).clipped(0, 1) == (0.9, 0.7, 1)
    assert Estimate(0.1, -0.1, 0.3).clipped(0, 1) == (0.1, 0, 0.3)
    assert Estimate(0.9).clipped(0, 1) == (0.9, None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([]), "no values"),
        (lambda: contrast([A], [[]]), "no values"),
        (lambda: contrast([A], []), "no groups"),
        (lambda: paired_contrast([]), "no groups"),
    ],
)
def test_nothing_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(SAMPLE, SAMPLE, st.floats(0.01, 20))
def test_tost_holds_where_the_interval_of_twice_alpha_lies_within(a, b, margin):
    found = contrast([a], [b])
    if found.error == 0:
        return
    p, inside = tost(found, margin), found.interval(0.9)
    if abs(p - 0.05) > 1e-6:
        assert (-margin < inside.low and inside.high < margin) == (p < 0.05)


def test_tost_is_two_of_scipys_one_sided_tests():
    low = stats.ttest_ind(np.add(B, 0.4), C, equal_var=False, alternative="greater").pvalue
    high = stats.ttest_ind(np.subtract(B, 0.4), C, equal_var=False, alternative="less").pvalue
    assert tost(contrast([B], [C]), 0.4) == pytest.approx(max(low, high))
