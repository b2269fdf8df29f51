"""The adding problem: the rule read position by position, closed forms of the baselines, edits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import accuracy
from tasks.base import squared_error


def adding(**changes):
    return tasks.get("adding_problem", **changes)


def read(example):
    """One example, read position by position: (numbers, positions of the markers)."""
    numbers, marked = [], []
    for position, (number, mark) in enumerate(example.tolist()):
        assert 0 <= number <= 1 and mark in (0, 1)
        numbers.append(number)
        if mark:
            marked.append(position)
    return numbers, marked


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32))
def test_every_example_obeys_the_rule(length, seed):
    task = adding(length=length)
    batch = task.sample(generator(seed), 10)
    oracle = task.oracle(batch)
    assert np.array_equal(oracle, batch.targets, equal_nan=True)
    assert batch.scored.sum() == 10 and batch.scored[:, -1].all()
    for row in range(10):
        numbers, (first, second) = read(batch.inputs[row])
        assert first < length // 2 <= second
        assert batch.targets[row, -1, 0] == np.float32(numbers[first] + numbers[second])
        facts = {name: values[row, -1] for name, values in batch.info.items()}
        distance = length - 1 - first
        assert facts == {
            "distance": distance,
            "circular_distance": min(distance, length - distance),
            "gap": second - first,
        }


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32))
def test_edits(length, seed):
    task = adding(length=length)
    batch = task.sample(generator(seed), 10)
    edit = task.edit(batch, generator(seed, "edit"))
    assert np.array_equal(edit.distractor.targets, batch.targets, equal_nan=True)
    moved = np.abs(edit.evidence.targets - batch.targets)[:, -1, 0]
    assert (moved > 2 * task.tolerance).all()
    for row in range(10):
        numbers, marked = read(batch.inputs[row])
        for name, edited in edit._asdict().items():
            after, same_marks = read(edited.inputs[row])
            assert same_marks == marked
            total = np.float32(sum(after[position] for position in marked))
            assert edited.targets[row, -1, 0] == total
            changed = {p for p in range(length) if abs(after[p] - numbers[p]) > 2 * task.tolerance}
            assert all(after[p] == numbers[p] for p in set(range(length)) - changed)
            if name == "evidence":
                assert len(changed) == 1 and changed <= set(marked)
            else:
                assert changed == set(range(length)) - set(marked)


def test_either_marked_number_is_edited_equally_often():
    task, n = adding(length=10), 4000
    batch = task.sample(generator("either"), n)
    evidence = task.edit(batch, generator("edit")).evidence
    where = (evidence.inputs[..., 0] != batch.inputs[..., 0]).argmax(axis=1)
    assert abs((where < 5).mean() - 0.5) < 4 * 0.5 / np.sqrt(n)


def test_edited_numbers_are_spread_over_the_range():
    task, n = adding(length=10), 4000
    batch = task.sample(generator("range"), n)
    edit = task.edit(batch, generator("edit"))
    changed = edit.distractor.inputs[..., 0] != batch.inputs[..., 0]
    tenths = np.minimum(10 * edit.distractor.inputs[..., 0][changed], 9).astype(int)
    assert len(tenths) == 8 * n and chisquare(np.bincount(tenths)).pvalue > 1e-4


def test_markers_and_numbers_are_uniform():
    task, n = adding(length=7), 12_000
    inputs = task.sample(generator("uniform"), n).inputs
    counts = inputs[..., 1].sum(axis=0)
    assert chisquare(counts[:3]).pvalue > 1e-4 and counts[:3].sum() == n
    assert chisquare(counts[3:]).pvalue > 1e-4 and counts[3:].sum() == n
    tenths = (10 * inputs[..., 0].ravel()).astype(int)
    assert chisquare(np.bincount(tenths)).pvalue > 1e-4


def test_baselines_have_their_closed_forms():
    task, n = adding(length=20), 40_000
    batch = task.sample(generator("baselines"), n)
    guesses = task.shortcuts(batch)
    # The squared error of the constant 1 is the variance of the sum, as published: 1/6.
    errors = {
        "constant 1": 1 / 6,
        "mean of all numbers": (1 - 2 / 20) / 6,
        "second number": 1 / 12,
    }
    assert guesses.keys() == errors.keys()
    for name, expected in errors.items():
        error = (guesses[name] - batch.targets)[:, -1, 0].astype(float) ** 2
        assert squared_error(guesses[name], batch) == pytest.approx(error.mean())
        assert abs(error.mean() - expected) < 4 * error.std() / np.sqrt(n)
    # Within 0.04 of the peak of a triangle on [0, 2], and of the middle of [0, 1].
    assert task.chance == pytest.approx(0.0784)
    for name, expected in (("constant 1", task.chance), ("second number", 0.08)):
        got = accuracy(guesses[name], batch, task.tolerance)
        assert abs(got - expected) < 4 * np.sqrt(expected * (1 - expected) / n)


def test_no_constant_beats_chance():
    task, n = adding(length=4), 20_000
    targets = task.sample(generator("constant"), n).targets[:, -1]
    shares = [(np.abs(targets - c) <= task.tolerance).mean() for c in np.linspace(0, 2, 81)]
    assert max(shares) < task.chance + 4 * np.sqrt(task.chance / n)


def test_order_within_a_half_does_not_matter():
    task = adding(length=30)
    batch = task.sample(generator("permute"), 50)
    order = np.concatenate([generator(1).permutation(15), 15 + generator(2).permutation(15)])
    permuted = batch._replace(inputs=batch.inputs[:, order])
    assert accuracy(task.oracle(permuted), batch, task.tolerance) == 1


def test_drawing_shows_the_marked_numbers():
    task = adding(length=40)
    batch = task.sample(generator("drawing"), 20)
    for index in range(20):
        lines = task.drawing(batch, index)
        marked = [line.split() for line in lines if line.endswith("marked")]
        numbers, positions = read(batch.inputs[index])
        assert [int(line[0]) for line in marked] == positions
        assert [line[1] for line in marked] == [f"{numbers[p]:.2f}" for p in positions]
        assert ("..." in lines[1:-1]) == (positions[1] - positions[0] > 3)
    short = adding(length=2)
    assert len(short.drawing(short.sample(generator(0), 1), 0)) == 2


def test_defaults_and_refusals():
    assert adding().input_length == 1000 and adding().at_length(50) == adding(length=50)
    with pytest.raises(HarnessError, match="length: should be greater than or equal to 2, got 1"):
        adding(length=1)
