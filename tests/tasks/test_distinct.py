"""Draws without replacement: both laws, ordered choice by ordered choice; other orders; one of
what is allowed."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from harness.foundation.seeding import generator
from tasks.distinct import distinct, one_of, race, reordered, rotated


def frequencies(drawn, choices):
    """How often each ordered choice was drawn, in the order of choices."""
    seen, counts = np.unique(drawn, axis=0, return_counts=True)
    found = dict(zip(map(tuple, seen.tolist()), counts.tolist(), strict=True))
    assert set(found) <= set(choices)
    return [found.get(choice, 0) for choice in choices]


@pytest.mark.parametrize("total, num", [(1, 1), (4, 1), (4, 4), (5, 3), (6, 3), (7, 2)])
def test_every_ordered_choice_is_equally_likely(total, num):
    choices = list(permutations(range(10, 10 + total), num))
    drawn = distinct(generator("choices", total, num), 10, 10 + total, 60_000, num)
    assert drawn.dtype == np.int64 and drawn.shape == (60_000, num)
    counts = frequencies(drawn, choices)
    assert len(counts) == 1 or chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("high, num", [(4096, 64), (2**40, 5), (300, 150)])
def test_no_number_twice(high, num):
    drawn = np.sort(distinct(generator("twice", num), 0, high, 3000, num), axis=1)
    assert (drawn[:, 1:] > drawn[:, :-1]).all() and drawn.min() >= 0 and drawn.max() < high
    error = high / np.sqrt(12 * drawn.size)
    assert abs(drawn.mean() - (high - 1) / 2) < 4 * error


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_a_race_draws_one_after_the_other(num):
    rates = np.array([0.5, 3.0, 1.0, 1.5])
    choices = list(permutations(range(4), num))
    likely = []
    for choice in choices:
        left, chance = rates.sum(), 1.0
        for index in choice:
            chance *= rates[index] / left
            left -= rates[index]
        likely.append(chance)
    assert sum(likely) == pytest.approx(1)
    counts = frequencies(race(generator("race", num), rates, 60_000, num), choices)
    assert chisquare(counts, 60_000 * np.array(likely)).pvalue > 1e-4


def test_a_race_of_many_has_the_same_law():
    rates = np.arange(1, 41) ** -0.99  # the first 2 of 40: not all are put in order
    law = rates / rates.sum()
    drawn = race(generator("many"), rates, 100_000, 2)
    assert chisquare(np.bincount(drawn[:, 0], minlength=40), 100_000 * law).pvalue > 1e-4
    second = [sum(law[i] * law[j] / (1 - law[i]) for i in range(40) if i != j) for j in range(40)]
    assert (
        chisquare(np.bincount(drawn[:, 1], minlength=40), 100_000 * np.array(second)).pvalue > 1e-4
    )


def test_a_race_has_room_for_any_number():
    drawn = race(generator("room"), np.ones(100_000), 30, 40)
    assert all(len(set(row)) == 40 for row in drawn.tolist())
    assert 65_536 < drawn.max() < 100_000
    assert abs(drawn.mean() - 50_000) < 4 * 100_000 / np.sqrt(12 * drawn.size)


def test_another_order_is_another():
    assert (reordered(generator("lone"), 20, 1) == 0).all()
    assert (reordered(generator("two"), 20, 2) == [1, 0]).all()
    orders = list(permutations(range(3)))
    counts = frequencies(reordered(generator("three"), 20_000, 3), orders)
    # The reverse, which comes last, also stands for the order that is no other.
    assert (
        counts[0] == 0
        and chisquare(counts[1:], 20_000 * np.array([1, 1, 1, 1, 2]) / 6).pvalue > 1e-4
    )


def test_every_rotation_but_none_is_equally_likely():
    rotations = [(1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)]
    counts = frequencies(rotated(generator("rotated"), 20_000, 4), rotations)
    assert chisquare(counts).pvalue > 1e-4


def test_one_of_the_allowed_columns():
    allowed = np.array([[True, False, True, True], [False] * 4])[np.arange(30_000) % 2]
    drawn = one_of(generator("one of"), allowed)
    assert (drawn[1::2] == 0).all()
    counts = np.bincount(drawn[::2], minlength=4)
    assert counts[1] == 0 and chisquare(counts[[0, 2, 3]]).pvalue > 1e-4
