"""Delayed copy: the rule read token by token, published shapes, edits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy

parameters = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(4, 12),
        "num_to_copy": st.integers(1, 12),
        "delay": st.integers(0, 30),
        "variable": st.booleans(),
    }
)


def copy(**changes):
    return tasks.get("delayed_copy", **changes)


def read(task, tokens):
    """One example, read token by token: (symbols, their positions, positions of the markers)."""
    symbols, places, markers = [], [], []
    for position, token in enumerate(tokens):
        if token == task.vocab_size - 1:
            markers.append(position)
        elif token != 0:
            symbols.append(token)
            places.append(position)
    return symbols, places, markers


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = copy(**chosen)
    batch = task.sample(generator(seed), 10)
    m, d = task.num_to_copy, task.delay
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        symbols, places, markers = read(task, batch.inputs[row].tolist())
        assert len(symbols) == m and markers == list(range(m + d, 2 * m + d))
        assert places[-1] < markers[0] and (task.variable or places == list(range(m)))
        assert np.flatnonzero(batch.scored[row]).tolist() == markers
        assert batch.targets[row, markers].tolist() == symbols
        for i, (place, marker) in enumerate(zip(places, markers, strict=True)):
            facts = {name: values[row, marker] for name, values in batch.info.items()}
            around = min(marker - place, task.input_length - (marker - place))
            assert facts == {
                "distance": marker - place,
                "circular_distance": around,
                "position": i,
            }


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = copy(**chosen)
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        symbols, places, markers = read(task, batch.inputs[row].tolist())
        other, same_places, same_markers = read(task, evidence.inputs[row].tolist())
        assert (same_places, same_markers) == (places, markers) and len(other) == len(symbols)
        same, moved, same_markers = read(task, distractor.inputs[row].tolist())
        assert (same, same_markers) == (symbols, markers)
        assert task.variable or moved == places
        distance = [distractor.info["distance"][row, marker] for marker in markers]
        assert distance == [m - place for m, place in zip(markers, moved, strict=True)]


def test_published_shape():
    # Ten tokens of eight symbols; the inputs of the paper are T + 20 long.
    task = copy()
    assert (task.num_symbols, task.chance, task.input_length) == (8, 1 / 8, 120)
    assert task.max_scored == 10 and not task.answers_in_inputs
    assert (task.sample(generator(0), 5).info["distance"][:, -10:] == 110).all()
    assert task.at_length(1000) == copy(delay=1000)


def test_symbols_and_positions_are_uniform():
    task, n = copy(vocab_size=5, num_to_copy=2, delay=2, variable=True), 12_000
    inputs = task.sample(generator("uniform"), n).inputs[:, :4]
    places = (inputs != 0) @ (1 << np.arange(4))
    seen = np.unique(places, return_counts=True)[1]
    assert len(seen) == 6 and chisquare(seen).pvalue > 1e-4
    symbols, seen = np.unique(inputs[inputs != 0], return_counts=True)
    assert symbols.tolist() == [1, 2, 3] and chisquare(seen).pvalue > 1e-4


def test_shortcuts_reach_what_they_should():
    task, n = copy(), 20_000
    batch = task.sample(generator("shortcuts"), n)
    # The last symbol answers its own marker and, by luck, each other one.
    expected = {"last symbol": (1 + 9 / 8) / 10, "most frequent symbol": most_frequent(10, 8) / 10}
    for name, predictions in task.shortcuts(batch).items():
        right = (predictions == batch.targets)[:, -10:].mean(axis=1)
        assert abs(right.mean() - expected[name]) < 4 * right.std() / np.sqrt(n)


def most_frequent(draws, symbols):
    """Mean count of the most frequent of some uniform symbols among some draws, exactly."""
    mean = 0.0
    for most in range(draws):  # P(all counts <= most), by polynomials of 1/k!
        ways = np.zeros(draws + 1)
        ways[0] = 1
        one = np.array([1 / np.prod(np.arange(1, k + 1)) for k in range(most + 1)])
        for _ in range(symbols):
            ways = np.convolve(ways, one)[: draws + 1]
        mean += 1 - ways[draws] * np.prod(np.arange(1.0, draws + 1)) / symbols**draws
    return mean


def test_shuffled_targets_score_at_chance():
    task, n = copy(), 5000
    batch = task.sample(generator("shuffled"), n)
    shuffled = batch._replace(targets=generator("order").permutation(batch.targets))
    error = np.sqrt(task.chance * (1 - task.chance) / (10 * n))
    assert abs(accuracy(task.oracle(batch), shuffled) - task.chance) < 4 * error


def test_relabelled_examples_score_the_same():
    task = copy(variable=True)
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate([[0], 1 + generator("labels").permutation(8), [9]])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1


@pytest.mark.parametrize("variable", [False, True])
def test_count_of_different_inputs(variable):
    task = copy(vocab_size=4, num_to_copy=3, delay=3, variable=variable)
    seen = np.unique(task.sample(generator("all"), 5000).inputs, axis=0)
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert copy(variable=variable).too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"vocab_size": 3}, "vocab_size: should be greater than or equal to 4, got 3"),
        ({"num_to_copy": 0}, "num_to_copy: should be greater than or equal to 1, got 0"),
        ({"delay": -1}, "delay: should be greater than or equal to 0, got -1"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        copy(**changes)
    assert message in str(error.value)
