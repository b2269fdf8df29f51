"""Exact tests against scipy's and a plain enumeration; drawn ones against the exact ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from harness.foundation.seeding import generator
from reports.statistics import (
    independent_p,
    paired_p,
    smallest_independent_p,
    smallest_paired_p,
    smallest_stratified_p,
    stratified_p,
)
from reports.statistics.permutation import DRAWN

SAMPLE = st.lists(st.integers(-20, 20).map(lambda k: k / 10), min_size=1, max_size=4)
STRATA = st.lists(st.tuples(SAMPLE, SAMPLE), min_size=1, max_size=2)
NO_DRAWS = None  # what an exact test needs of a Generator


def distance(a, b, axis=-1):
    return abs(np.mean(a, axis=axis) - np.mean(b, axis=axis))


def scipys_independent(a, b):
    return stats.permutation_test(
        (a, b), distance, n_resamples=math.inf, alternative="greater", vectorized=True
    ).pvalue


def plain_stratified(strata):
    """Every labelling of every stratum in whole numbers (tenths), where ties are ties."""
    each = []
    for a, b in strata:
        pooled = [round(10 * value) for value in (*a, *b)]
        num_a, num_b = len(a), len(b)
        each.append(
            [
                # times num_a num_b: mean(a) - mean(b) without a division
                (num_b * sum(pooled[i] for i in chosen))
                - num_a * (sum(pooled) - sum(pooled[i] for i in chosen))
                for chosen in itertools.combinations(range(num_a + num_b), num_a)
            ]
        )
    scale = math.lcm(*(len(a) * len(b) for a, b in strata))
    weights = [scale // (len(a) * len(b)) for a, b in strata]
    found = [
        abs(sum(weight * value for weight, value in zip(weights, labelling, strict=True)))
        for labelling in itertools.product(*each)
    ]
    return sum(value >= found[0] for value in found) / len(found)


@pytest.mark.parametrize("num_a", [2, 3, 5])
@pytest.mark.parametrize("num_b", [2, 4, 5, 6])
def test_independent_p_is_scipys(num_a, num_b):
    rng = generator("independent", num_a, num_b)
    for _ in range(5):
        a, b = rng.normal(0.5, 1, num_a), rng.normal(0, 2, num_b)
        assert independent_p(a, b, NO_DRAWS) == pytest.approx(scipys_independent(a, b))


@pytest.mark.parametrize("num", [2, 5, 8])
def test_paired_p_is_scipys(num):
    differences = generator("paired", num).normal(0.3, 1, num)
    scipys = stats.permutation_test(
        (differences,),
        lambda x, axis=-1: abs(x.mean(axis)),
        permutation_type="samples",
        n_resamples=math.inf,
        alternative="greater",
        vectorized=True,
    )
    assert paired_p(differences, NO_DRAWS) == pytest.approx(scipys.pvalue)


@given(STRATA)
@example([([0.1, 0.2, 0.3], [0.6, 0.0, 0.0])])  # sums that are equal but for rounding
@example([([0.1, 0.7], [0.2, 0.6]), ([0.3], [0.3])])
def test_stratified_p_counts_ties_as_whole_numbers_do(strata):
    assert stratified_p(strata, NO_DRAWS) == pytest.approx(plain_stratified(strata), rel=1e-12)


@given(SAMPLE)
def test_paired_p_counts_ties_as_whole_numbers_do(differences):
    whole = [round(10 * value) for value in differences]
    signed = [
        abs(sum(sign * value for sign, value in zip(signs, whole, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(whole))
    ]
    expected = sum(value >= signed[0] for value in signed) / len(signed)
    assert paired_p(differences, NO_DRAWS) == expected
    assert paired_p([-value for value in differences], NO_DRAWS) == expected


@given(STRATA, st.integers(-1000, 1000).map(lambda k: k / 7), st.randoms())
def test_p_knows_no_order_shift_scale_or_side(strata, shift, random):
    expected = stratified_p(strata, NO_DRAWS)
    moved = [([v + shift for v in a], [v + shift for v in b]) for a, b in strata]
    assert stratified_p(moved, NO_DRAWS) == expected
    scaled = [([1e-7 * v for v in a], [1e-7 * v for v in b]) for a, b in strata]
    assert stratified_p(scaled, NO_DRAWS) == expected
    assert stratified_p([(b, a) for a, b in strata], NO_DRAWS) == expected
    shuffled = [(random.sample(a, len(a)), random.sample(b, len(b))) for a, b in strata[::-1]]
    assert stratified_p(shuffled, NO_DRAWS) == expected


@pytest.mark.parametrize("num", [3, 10, 16])
def test_where_nothing_varies_p_is_one(num):
    rng = generator("constant")
    assert independent_p([0.1] * num, [0.1] * num, rng) == 1
    assert stratified_p([([0.1] * num, [0.1] * num), ([0.3] * num, [0.3] * num)], rng) == 1
    assert paired_p([0.0] * (2 * num), rng) == 1


SEPARATE = np.arange(40.0) ** 1.5  # no two sums tie


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(3, 3)], 0.1),
        ([(4, 4)], 2 / 70),
        ([(5, 5)], 2 / 252),
        ([(10, 10)], 2 / 184_756),
        ([(2, 3)], 1 / 10),
        ([(1, 1)], 1.0),
        ([(1, 5)], 1 / 6),
        ([(3, 3), (3, 3)], 2 / 20**2),
        ([(3, 3), (2, 3)], 1 / 200),
        ([(5, 5), (5, 5), (5, 5)], 1 / 10_000),
        ([(11, 11)], 1 / 10_000),
    ],
)
def test_smallest_p_is_attained(sizes, expected):
    """By arms that are all the way apart."""
    strata = [(SEPARATE[:a], SEPARATE[-b:]) for a, b in sizes]
    rng = generator("smallest")
    assert smallest_stratified_p(sizes) == pytest.approx(expected)
    assert stratified_p(strata, rng) == pytest.approx(expected)
    if len(sizes) == 1:
        assert smallest_independent_p(*sizes[0]) == smallest_stratified_p(sizes)


@pytest.mark.parametrize(
    ("num", "expected"),
    [(1, 1.0), (5, 0.0625), (6, 1 / 32), (8, 1 / 128), (17, 2**-16), (18, 1e-4)],
)
def test_smallest_paired_p_is_attained(num, expected):
    assert smallest_paired_p(num) == expected
    assert paired_p(SEPARATE[1 : num + 1], generator("smallest")) == pytest.approx(expected)


def test_no_test_no_p():
    assert smallest_independent_p(0, 5) == 1
    assert smallest_stratified_p([(0, 5), (5, 5)]) == 1
    assert smallest_paired_p(0) == 1


def exact_by_convolution(strata):
    """The law of the difference in whole numbers: labellings by (how many of a, sum of a)."""
    law = {0: 1}
    for a, b in strata:
        assert len(a) == len(b)
        counts = {(0, 0): 1}
        for value in (*a, *b):
            for (num, total), ways in list(counts.items()):
                key = (num + 1, total + value)
                counts[key] = counts.get(key, 0) + ways
        half = sum((*a, *b))
        each = {2 * t - half: ways for (num, t), ways in counts.items() if num == len(a)}
        combined = {}
        for before, ways in law.items():
            for more, times in each.items():
                combined[before + more] = combined.get(before + more, 0) + ways * times
        law = combined
    observed = abs(sum(sum(a) - sum(b) for a, b in strata))
    return sum(w for value, w in law.items() if abs(value) >= observed) / sum(law.values())


@pytest.mark.parametrize("strata_of", [[12], [5, 5, 5], [16]])
def test_drawn_p_is_near_the_exact_one(strata_of):
    """Within 4 standard errors of a share of 9,999 draws."""
    rng = generator("drawn", *strata_of)
    strata = [(rng.integers(0, 30, n).tolist(), rng.integers(5, 35, n).tolist()) for n in strata_of]
    exact = exact_by_convolution(strata)
    error = math.sqrt(exact * (1 - exact) / DRAWN)
    assert 0.001 < exact < 0.6, "else this shows little"
    assert abs(stratified_p(strata, rng) - exact) < 4 * error + 1 / DRAWN


def test_drawn_paired_p_is_near_the_exact_one():
    rng = generator("drawn pairs")
    differences = rng.integers(-20, 30, 20).tolist()
    law = {0: 1}
    for value in differences:
        new = {}
        for total, ways in law.items():
            for sign in (1, -1):
                new[total + sign * value] = new.get(total + sign * value, 0) + ways
        law = new
    exact = sum(w for t, w in law.items() if abs(t) >= abs(sum(differences))) / 2**20
    assert abs(paired_p(differences, rng) - exact) < 4 * math.sqrt(exact / DRAWN) + 1 / DRAWN


def test_draws_come_from_the_generator_alone():
    a, b = SEPARATE[:12] % 7, SEPARATE[12:24] % 7
    found = [independent_p(a, b, generator("same")) for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: independent_p([1.0, math.nan], [2.0, 3.0], rng), "must be finite"),
        (lambda rng: independent_p([1.0], [2.0, math.inf], rng), "must be finite"),
        (lambda rng: paired_p([math.nan], rng), "must be finite"),
        (lambda rng: paired_p([], rng), "no values"),
        (lambda rng: stratified_p([([1.0], [2.0]), ([1.0], [])], rng), "no values"),
    ],
)
def test_what_is_not_there_has_no_p(call, message):
    with pytest.raises(ValueError, match=message):
        call(generator("none"))
