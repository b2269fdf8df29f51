"""Compression: the rule read token by token, published shape, shortcuts."""

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

parameters = st.fixed_dictionaries({"vocab_size": st.integers(3, 20), "length": st.integers(2, 40)})


def compression(**changes):
    return tasks.get("compression", **changes)


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = compression(**chosen)
    batch = task.sample(generator(seed), 10)
    assert batch.inputs.shape == (10, task.length)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        tokens = batch.inputs[row].tolist()
        assert tokens[-1] == task.vocab_size - 1 and max(tokens[:-1]) < task.vocab_size - 1
        assert batch.targets[row].tolist() == tokens
        for position, token in enumerate(tokens):
            distance = task.length - 1 - position
            assert {name: values[row, position] for name, values in batch.info.items()} == {
                "distance": distance,
                "circular_distance": min(distance, task.length - distance),
                "position": position,
                "occurrences": tokens[:position].count(token),
            }


def test_published_shape():
    task = compression()
    assert (task.num_symbols, task.input_length, task.max_scored) == (15, 32, 32)
    assert task.bottleneck and task.forms == ("answers",) and not task.answers_in_inputs
    batch = task.sample(generator("shape"), 3000)
    assert batch.scored.all()  # the compression token too
    symbols, seen = np.unique(batch.inputs[:, :-1], return_counts=True)
    assert symbols.tolist() == list(range(15)) and chisquare(seen).pvalue > 1e-4
    assert task.edit(batch, generator("edit")) is None


@pytest.mark.parametrize(
    "changes",
    [{"vocab_size": v} for v in (32, 64, 128)] + [{"length": length} for length in (64, 128, 256)],
)
def test_published_changes(changes):
    task = compression(**changes)
    batch = task.sample(generator("changes"), 8)
    assert batch.inputs.shape == (8, changes.get("length", 32))
    assert (batch.inputs[:, -1] == task.vocab_size - 1).all()


def test_shortcuts():
    task, n = compression(), 5000
    batch = task.sample(generator("shortcuts"), n)
    # Both know the last token; the last symbol is itself and, by luck, each other one; the
    # other as measured.
    expected = {"last symbol": (2 + 30 / 15) / 32, "most frequent symbol": 0.183}
    for name, predictions in task.shortcuts(batch).items():
        right = (predictions == batch.targets).mean(axis=1)
        assert abs(right.mean() - expected[name]) < 4 * right.std() / np.sqrt(n) + 0.001


def test_relabelled_and_moved_examples_score_the_same():
    task = compression()
    batch, rng = task.sample(generator("relabel"), 100), generator("labels")
    label = np.concatenate([rng.permutation(15), [15]])
    moved = np.concatenate([rng.permutation(31), [31]])
    inputs = label[batch.inputs][:, moved]
    renamed = batch._replace(inputs=inputs, targets=inputs)
    assert accuracy(task.oracle(renamed), renamed) == 1
    assert accuracy(task.oracle(renamed), batch) < 0.2


def test_count_of_different_inputs():
    task = compression(vocab_size=4, length=6)
    seen = np.unique(task.sample(generator("all"), 5000).inputs, axis=0)
    assert len(seen) == 3**5
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert compression().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"vocab_size": 2}, "vocab_size: should be greater than or equal to 3, got 2"),
        ({"length": 1}, "length: should be greater than or equal to 2, got 1"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        compression(**changes)
    assert message in str(error.value)
