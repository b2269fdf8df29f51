"""Selective copying: the rule read token by token, published shapes, edits."""

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

parameters = st.tuples(st.integers(4, 12), st.integers(1, 10), st.integers(0, 30)).map(
    lambda drawn: {
        "vocab_size": drawn[0],
        "num_to_copy": drawn[1],
        "length": 2 * drawn[1] + 1 + drawn[2],
    }
)


def copying(**changes):
    return tasks.get("selective_copying", **changes)


def read(task, tokens):
    """One input, read token by token: (symbols, their positions, position of the copy token)."""
    symbols, places, end = [], [], None
    for position, token in enumerate(tokens):
        if token == task.vocab_size - 1:
            assert end is None
            end = position
        elif token != task.vocab_size - 2:
            assert end is None
            symbols.append(token)
            places.append(position)
    return symbols, places, end


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = copying(**chosen)
    batch = task.sample(generator(seed), 10)
    m, length = task.num_to_copy, task.length
    assert batch.inputs.shape == (10, length)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        symbols, places, end = read(task, batch.inputs[row].tolist())
        assert len(symbols) == m and end == length - m - 1 and places[-1] == end - 1
        answers = list(range(end + 1, length))
        assert np.flatnonzero(batch.scored[row]).tolist() == answers
        assert batch.targets[row, answers].tolist() == symbols
        for i, (place, answer) in enumerate(zip(places, answers, strict=True)):
            facts = {name: values[row, answer] for name, values in batch.info.items()}
            assert facts == {
                "distance": answer - place,
                "circular_distance": min(answer - place, length - (answer - place)),
                "position": i,
                "gap": place - (places[i - 1] if i else -1) - 1,
            }


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = copying(**chosen)
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        symbols, places, end = read(task, batch.inputs[row].tolist())
        other, same_places, same_end = read(task, evidence.inputs[row].tolist())
        assert (same_places, same_end) == (places, end)
        assert all(new != old for old, new in zip(symbols, other, strict=True))
        same, moved, same_end = read(task, distractor.inputs[row].tolist())
        assert (same, same_end, len(moved)) == (symbols, end, len(places))
        distance = distractor.info["distance"][row, end + 1 :].tolist()
        assert distance == [end + 1 + i - place for i, place in enumerate(moved)]


def test_published_shape():
    task = copying()
    assert (task.num_symbols, task.chance, task.num_blanks) == (14, 1 / 14, 223)
    inputs = task.sample(generator("shape"), 200).inputs
    assert inputs.shape == (200, 256) and (inputs[:, 239] == 15).all()
    assert (inputs[:, 240:] == 14).all() and (inputs[:, :239] < 15).all()
    assert task.token_names[14:] == [".", "=>"]
    assert task.at_length(512) == copying(length=512)


@pytest.mark.parametrize(
    "changes",
    [{"vocab_size": v} for v in (32, 64, 128)]
    + [{"length": length} for length in (512, 1024)]
    + [{"num_to_copy": m} for m in (32, 64, 96)],
)
def test_published_changes(changes):
    task = copying(**changes)
    batch = task.sample(generator("changes"), 8)
    assert (task.oracle(batch) == batch.targets).all()
    assert (batch.scored.sum(axis=1) == changes.get("num_to_copy", 16)).all()


def test_each_blank_stands_before_a_uniform_symbol():
    # Of 2 blanks before 3 symbols: 3 gaps of two, and 3 of one and one, twice as likely.
    task, n = copying(vocab_size=5, length=9, num_to_copy=3), 9000
    is_symbol = task.sample(generator("gaps"), n).inputs[:, :5] < 3
    kinds, seen = np.unique(is_symbol @ (1 << np.arange(5)), return_counts=True)
    expected = {0b11100: 1, 0b10011: 1, 0b11001: 1, 0b11010: 2, 0b10110: 2, 0b10101: 2}
    assert set(kinds.tolist()) == set(expected)
    assert chisquare(seen, [expected[kind] * n / 9 for kind in kinds.tolist()]).pvalue > 1e-4


def test_symbols_are_uniform():
    batch = copying().sample(generator("uniform"), 2000)
    symbols, seen = np.unique(batch.targets[batch.scored], return_counts=True)
    assert symbols.tolist() == list(range(14)) and chisquare(seen).pvalue > 1e-4


def test_shortcuts():
    task, n = copying(), 5000
    batch = task.sample(generator("shortcuts"), n)
    # The last symbol answers its own blank and, by luck, each other one. The other as measured.
    expected = {"last symbol": (1 + 15 / 14) / 16, "most frequent symbol": 0.203}
    for name, predictions in task.shortcuts(batch).items():
        right = (predictions == batch.targets)[:, -16:].mean(axis=1)
        assert abs(right.mean() - expected[name]) < 4 * right.std() / np.sqrt(n) + 0.001


def test_relabelled_examples_score_the_same():
    task = copying()
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate([generator("labels").permutation(14), [14, 15]])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1


def test_count_of_different_inputs():
    task = copying(vocab_size=4, length=11, num_to_copy=3)
    seen = np.unique(task.sample(generator("all"), 20_000).inputs, axis=0)
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert copying().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_to_copy": 128}, "length must be >= 2 x num_to_copy + 1: 256 < 2 x 128 + 1"),
        ({"vocab_size": 3}, "vocab_size: should be greater than or equal to 4, got 3"),
        ({"length": 2}, "length: should be greater than or equal to 3, got 2"),
        ({"num_to_copy": 0}, "num_to_copy: should be greater than or equal to 1, got 0"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        copying(**changes)
    assert message in str(error.value)
