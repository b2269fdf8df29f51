"""Aggregates by hand, against numpy, and by the coverage that their bound on cells buys."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.foundation.seeding import generator
from reports.statistics import (
    iqm,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)

SAMPLE = st.lists(st.integers(0, 6), min_size=1, max_size=8)


@given(SAMPLE, SAMPLE)
def test_probability_of_improvement_counts_pairs(a, b):
    pairs = [(x > y) + (x == y) / 2 for x in a for y in b]
    assert probability_of_improvement(a, b) == pytest.approx(np.mean(pairs))
    assert probability_of_improvement(b, a) == pytest.approx(1 - np.mean(pairs))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 2, 3, 100], 2.5),
        ([3, 100, 1, 2], 2.5),
        ([1, 2, 3], 2),
        (range(100), 49.5),
        ([0, 0, 1, 1, 1, 1, 9, 9], 1),
    ],
)
def test_iqm_is_the_mean_of_the_middle_half(scores, expected):
    assert iqm(list(scores)) == expected


def test_performance_profile_is_the_share_above():
    scores = [0.2, 0.5, 0.5, 1.0]
    assert performance_profile(scores, [0.0, 0.2, 0.5, 0.9, 1.0]) == [1, 0.75, 0.25, 0.25, 0]


def test_a_bootstrap_resamples_within_tasks():
    """Tasks far apart whose runs agree: there is nothing to resample, and the interval is a point.

    Resampled across tasks it would be some .2 wide.
    """
    scores = {f"task {task}": [task / 10] * 4 for task in range(5)}
    found = stratified_bootstrap(scores, np.mean, generator("strata"))
    assert found == pytest.approx((0.2, 0.2, 0.2))


def test_a_bootstrap_of_a_mean_is_near_its_normal_law():
    """The bootstrap law of a mean has a known sd: sqrt(sum over tasks of n var) / cells."""
    rng = generator("law")
    scores = {f"task {task}": rng.normal(task, 1 + task, 30) for task in range(4)}
    found = stratified_bootstrap(scores, np.mean, rng, num=4000)
    cells = np.concatenate(list(scores.values()))
    sd = math.sqrt(sum(len(v) * np.var(v) for v in scores.values())) / len(cells)
    # A .025 quantile of 4,000 draws has a standard error of .04 sd; 4 of them.
    assert found.value == pytest.approx(cells.mean())
    assert found.low == pytest.approx(cells.mean() - 1.96 * sd, abs=0.17 * sd)
    assert found.high == pytest.approx(cells.mean() + 1.96 * sd, abs=0.17 * sd)


def test_level_and_generator_decide_the_interval():
    rng = generator("level")
    scores = {"a": rng.normal(0, 1, 15), "b": rng.normal(1, 1, 15)}
    wide, narrow, again = (
        stratified_bootstrap(scores, iqm, generator("same"), num=300, level=level)
        for level in (0.95, 0.5, 0.95)
    )
    assert wide == again
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


def test_few_cells_are_refused():
    with pytest.raises(ValueError, match="20"):
        stratified_bootstrap({"a": [0.1] * 10, "b": [0.2] * 9}, np.mean, generator("few"))
