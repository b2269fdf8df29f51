"""MQAR in embedding space: the rule read position by position, its laws, edits."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import accuracy
from tasks.base import squared_error
from tasks.continuous_mqar import _codes


def continuous(**changes):
    return tasks.get("continuous_mqar", **changes)


@st.composite
def possible(draw):
    pairs = draw(st.integers(2, 6))
    return continuous(
        num_pairs=pairs,
        num_codes=draw(st.integers(pairs, 20)),
        dims=draw(st.integers(4, 9)),
        length=draw(st.integers(2 * pairs, 2 * pairs + 15)),
        power=draw(st.sampled_from([0.01, 1.0])),
    )


def number_of(vector, codes):
    """Which of the codes this is."""
    (number,) = np.flatnonzero((codes == vector).all(axis=1))
    return int(number)


def check(task, batch, row):
    """Rule, targets and facts of one example; the numbers of its (keys, values)."""
    keys, values = _codes(task.num_codes, task.dims)
    context = batch.inputs[row, : task.num_pairs]
    pairs = [
        (number_of(vector[: task.dims], keys), number_of(vector[task.dims :], values))
        for vector in context
    ]
    asked = []
    for position in range(task.num_pairs, task.length):
        key, rest = np.split(batch.inputs[row, position], 2)
        assert not rest.any() and key.any() == batch.scored[row, position]
        if not key.any():
            continue
        place = [number for number, _ in pairs].index(number_of(key, keys))
        distance = position - place
        asked.append(place)
        assert (batch.targets[row, position] == values[pairs[place][1]]).all()
        assert {name: fact[row, position] for name, fact in batch.info.items()} == {
            "distance": distance,
            "circular_distance": min(distance, task.length - distance),
            "pair": place,
        }
    assert sorted(asked) == list(range(task.num_pairs))
    assert not batch.scored[row, : task.num_pairs].any()
    for numbers in zip(*pairs, strict=True):
        assert len(set(numbers)) == task.num_pairs
    return pairs


@settings(max_examples=30, deadline=None)
@given(possible(), st.integers(0, 2**32))
def test_every_example_obeys_the_rule(task, seed):
    batch = task.sample(generator(seed), 10)
    oracle = task.oracle(batch)
    assert (oracle == batch.targets)[batch.scored].all()
    for row in range(10):
        check(task, batch, row)


@settings(max_examples=30, deadline=None)
@given(possible(), st.integers(0, 2**32))
def test_edits(task, seed):
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    assert np.array_equal(distractor.targets, batch.targets, equal_nan=True)
    moved = np.linalg.norm(evidence.targets - batch.targets, axis=2)[batch.scored]
    assert (moved > 1.99 * task.tolerance).all()
    for row in range(10):
        before, now, other = (check(task, each, row) for each in (batch, evidence, distractor))
        assert [key for key, _ in now] == [key for key, _ in before]
        assert all(a != b for (_, a), (_, b) in zip(before, now, strict=True))
        assert sorted(other) == sorted(before) and other != before
        for edited in (evidence, distractor):
            rest = slice(task.num_pairs, None)
            assert (edited.inputs[row, rest] == batch.inputs[row, rest]).all()


@pytest.mark.parametrize("num_codes, dims", [(128, 32), (6, 2), (40, 3)])
def test_what_is_within_the_tolerance_is_nearest_to_the_right_code(num_codes, dims):
    task = continuous(num_codes=num_codes, dims=dims)
    keys, values = _codes(num_codes, dims)
    for codes in (keys, values):
        assert np.linalg.norm(codes, axis=1) == pytest.approx(1, abs=1e-6)
    assert 2 * task.tolerance == pytest.approx(pdist(values.astype(np.float64)).min(), rel=1e-5)
    assert 2 * task.tolerance < pdist(values.astype(np.float64)).min()
    rng = generator("near")
    off = rng.standard_normal((5000, dims))
    off *= task.tolerance / np.linalg.norm(off, axis=1, keepdims=True)
    right = rng.integers(num_codes, size=5000)
    assert (cdist(values[right] + off, values).argmin(axis=1) == right).all()
    # Nothing smaller than half the distance would do: between the closest two it is a tie.
    distance = cdist(values, values) + 9 * np.eye(num_codes)
    one, other = np.unravel_index(distance.argmin(), distance.shape)
    middle = (values[one] + values[other]) / 2
    assert np.linalg.norm(middle - values[one]) == pytest.approx(task.tolerance, rel=1e-4)


def test_codes_depend_on_the_parameters_alone():
    first, second = (
        continuous(num_codes=5, dims=3).sample(generator(seed), 400) for seed in ("a", "b")
    )
    seen = [np.unique(batch.inputs[:, :4, 3:].reshape(-1, 3), axis=0) for batch in (first, second)]
    assert len(seen[0]) == 5 and (seen[0] == seen[1]).all()
    other_length = continuous(num_codes=5, dims=3, length=60, power=1).sample(generator("c"), 400)
    assert (np.unique(other_length.inputs[:, :4, 3:].reshape(-1, 3), axis=0) == seen[0]).all()


@pytest.mark.parametrize("power", [0.01, 1.0])
def test_slots_are_drawn_one_after_the_other_by_their_law(power):
    task, n = continuous(num_codes=3, dims=2, num_pairs=2, length=6, power=power), 30_000
    batch = task.sample(generator("slots", str(power)), n)
    place = np.stack([(batch.info["pair"] == pair).argmax(axis=1) - 2 for pair in (0, 1)], axis=1)
    law = np.arange(1, 5) ** (power - 1)
    law /= law.sum()
    choices = list(permutations(range(4), 2))
    expected = [law[i] * law[j] / (1 - law[i]) for i, j in choices]
    counts = [(place == choice).all(axis=1).sum() for choice in choices]
    assert sum(counts) == n and chisquare(counts, n * np.array(expected)).pvalue > 1e-4


def test_queries_of_the_published_form_come_in_uniform_order():
    task, n = continuous(num_pairs=3, length=6, power=1.0), 12_000
    order = task.sample(generator("published form"), n).info["pair"][:, 3:]
    kinds, counts = np.unique(order, axis=0, return_counts=True)
    assert len(kinds) == 6 and chisquare(counts).pvalue > 1e-4


def test_keys_and_values_are_uniform_and_independent():
    task, n = continuous(num_codes=3, dims=2, num_pairs=2, length=4), 20_000
    inputs = task.sample(generator("law"), n).inputs
    keys, values = _codes(3, 2)
    key = cdist(inputs[:, 0, :2], keys).argmin(axis=1)
    value = cdist(inputs[:, 0, 2:], values).argmin(axis=1)
    assert chisquare(np.bincount(3 * key + value, minlength=9)).pvalue > 1e-4


def test_shortcuts():
    task = continuous()
    batch = task.sample(generator("shortcuts"), 2000)
    shortcuts = task.shortcuts(batch)
    in_order = shortcuts.pop("values in order")
    for row in range(50):
        assert (in_order[row][batch.scored[row]] == batch.inputs[row, :4, 32:]).all()
    found = {name: accuracy(p, batch, task.tolerance) for name, p in shortcuts.items()}
    errors = {name: squared_error(p, batch) for name, p in shortcuts.items()}
    assert found == {"mean value of the context": 0, "last value": 1 / 4, "zero": 0}
    # Codes are of length 1: an error of 1 / 32 from zero; 3 / 4 of it from the mean of four
    # nearly orthogonal ones; twice that much, where it is another's, from one of them.
    assert errors["zero"] == pytest.approx(1 / 32, rel=1e-5)
    assert errors["mean value of the context"] == pytest.approx(3 / 4 / 32, rel=0.02)
    assert errors["last value"] == pytest.approx(3 / 4 * 2 / 32, rel=0.02)


def test_the_best_constant_is_right_at_chance():
    task, n = continuous(num_codes=8, dims=4), 5000
    batch = task.sample(generator("constant"), n)
    constant = np.broadcast_to(_codes(8, 4)[1][3], batch.targets.shape)
    # Half the examples hold this value, once each: a share of the scored positions of 1 / 8.
    assert abs(accuracy(constant, batch, task.tolerance) - task.chance) < 4 * np.sqrt(
        1 / 4 / 16 / n
    )
    assert task.chance == 1 / 8


def test_drawing():
    task = continuous(length=9, num_pairs=2, num_codes=12)
    batch = task.sample(generator("drawing"), 30)
    keys, values = _codes(12, 32)
    for row in range(30):
        lines = task.drawing(batch, row)
        said = {int(line.split()[0]): line.split()[1:] for line in lines if line != "..."}
        assert set(said) == set(np.flatnonzero(batch.inputs[row].any(axis=1)).tolist())
        for position, words in said.items():
            key, value = np.split(batch.inputs[row, position], 2)
            number = number_of(value, values) if value.any() else "?"
            assert words == ["key", f"{number_of(key, keys)},", "value", str(number)]
        positions = [-1, *said, 9]
        gaps = sum(after > before + 1 for before, after in pairwise(positions))
        assert lines.count("...") == gaps


def test_count_of_different_inputs():
    task = continuous(num_codes=2, dims=3, num_pairs=2, length=5)
    seen = np.unique(task.sample(generator("all"), 5000).inputs.reshape(5000, -1), axis=0)
    assert f"only {len(seen)} different inputs" in task.too_small_to_hold_out
    assert len(seen) == 2 * 2 * 6 and continuous().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_pairs": 17}, "continuous_mqar needs 2 x num_pairs <= length: 2 x 17 > 32"),
        ({"num_codes": 3}, "num_pairs must be <= num_codes: 4 > 3"),
        ({"num_pairs": 1}, "num_pairs: should be greater than or equal to 2, got 1"),
        (
            {"num_codes": 2048, "dims": 2},
            "num_codes 2048 are too many for dims 2: two vectors are",
        ),
        ({"dims": 1}, "dims: should be greater than or equal to 2, got 1"),
        ({"dims": 10**8}, "dims: should be less than or equal to 4096, got 100000000"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        continuous(**changes)
    assert message in str(error.value)
