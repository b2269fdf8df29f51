"""MQAR with keys of two halves: the rule read triple by triple, its laws, edits."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy


def compositional(**changes):
    return tasks.get("compositional_mqar", **changes)


@st.composite
def possible(draw):
    g = draw(st.integers(2, 3))
    return compositional(
        num_halves=g,
        vocab_size=draw(st.integers(3 * g * g, 50)),
        length=draw(st.integers(6 * g * g, 6 * g * g + 20)),
        power=draw(st.sampled_from([0.01, 1.0])),
        filler=draw(st.sampled_from(["zero", "random", "ambiguous"])),
    )


def check(task, batch, row):
    """Rule, targets and facts of one example; its triples."""
    tokens, third, g = batch.inputs[row].tolist(), task.vocab_size // 3, task.num_halves
    end = 3 * g * g
    triples = [tuple(tokens[i : i + 3]) for i in range(0, end, 3)]
    firsts, seconds, values = (set(part) for part in zip(*triples, strict=True))
    assert all(1 <= token < third for token in firsts)
    assert all(third <= token < 2 * third for token in seconds)
    assert all(2 * third <= token < task.vocab_size for token in values)
    assert len(firsts) == len(seconds) == g and len(values) == g * g
    keys = [(first, second) for first, second, _ in triples]
    assert set(keys) == set(product(firsts, seconds))
    scored = np.flatnonzero(batch.scored[row]).tolist()
    assert {tuple(tokens[position - 1 : position + 1]) for position in scored} == set(keys)
    assert len(scored) == len(keys)
    asked = set()
    for position in scored:
        assert (position - 1 - end) % 3 == 0 and end < position < task.length
        place = keys.index(tuple(tokens[position - 1 : position + 1]))
        distance = position - (3 * place + 2)
        assert batch.targets[row, position] == triples[place][2]
        assert {name: fact[row, position] for name, fact in batch.info.items()} == {
            "distance": distance,
            "circular_distance": min(distance, task.length - distance),
            "pair": place,
        }
        asked |= {position - 1, position}
    rest = {token for i, token in enumerate(tokens) if i >= end and i not in asked}
    assert task.filler != "zero" or rest <= {0}
    assert task.filler != "random" or not rest & {0, *tokens[:end]}
    return triples


@settings(max_examples=30, deadline=None)
@given(possible(), st.integers(0, 2**32))
def test_every_example_obeys_the_rule(task, seed):
    batch = task.sample(generator(seed), 10)
    assert (task.oracle(batch) == batch.targets)[batch.scored].all()
    for row in range(10):
        check(task, batch, row)


@settings(max_examples=30, deadline=None)
@given(possible(), st.integers(0, 2**32))
def test_edits(task, seed):
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    end = task.context_tokens
    for row in range(10):
        before, now, moved = (check(task, each, row) for each in (batch, evidence, distractor))
        assert [triple[:2] for triple in now] == [triple[:2] for triple in before]
        assert all(a[2] != b[2] for a, b in zip(before, now, strict=True))
        assert sorted(moved) == sorted(before) and moved != before
        for edited in (evidence, distractor):
            assert (edited.inputs[row, end:] == batch.inputs[row, end:]).all()


def test_triples_stand_in_uniform_order():
    task, n = compositional(num_halves=2, vocab_size=12, length=24), 48_000
    inputs = task.sample(generator("order"), n).inputs
    first, second = inputs[:, 0:12:3], inputs[:, 1:12:3]
    # Each triple's number, counting halves from the smaller to the larger.
    number = 2 * (first > first.min(axis=1, keepdims=True)) + (
        second > second.min(axis=1, keepdims=True)
    )
    counts = [(number == order).all(axis=1).sum() for order in permutations(range(4))]
    assert sum(counts) == n and chisquare(counts).pvalue > 1e-4


def test_halves_and_values_are_uniform():
    task, n = compositional(num_halves=2, vocab_size=15, length=24), 30_000
    inputs = task.sample(generator("tokens"), n).inputs
    cells = inputs[:, :12].reshape(n, 4, 3)
    for part, tokens in enumerate((range(1, 5), range(5, 10), range(10, 15))):
        counts = np.bincount(cells[:, 0, part], minlength=15)
        assert set(np.flatnonzero(counts)) == set(tokens)
        assert chisquare(counts[list(tokens)]).pvalue > 1e-4
    # Which of the five values a triple has tells nothing of its halves.
    table = np.zeros((2, 5))
    high = cells[:, 0, 0] > cells[:, :, 0].min(axis=1)
    np.add.at(table, (high.astype(int), cells[:, 0, 2] - 10), 1)
    assert chisquare(table.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("g, length", [(2, 64), (3, 96), (4, 120)])
def test_neither_half_tells(g, length):
    task = compositional(num_halves=g, length=length)
    batch = task.sample(generator("half"), 300)
    shortcuts = task.shortcuts(batch)
    found = {name: accuracy(p, batch) for name, p in shortcuts.items()}
    # Of the g pairs with the same half one is the last in the context.
    assert found["first half alone"] == found["second half alone"] == pytest.approx(1 / g)
    assert found["last value"] == pytest.approx(1 / g**2)
    assert task.chance == 1 / (8192 - 2 * 2730)
    for row in range(20):
        values = [triple[2] for triple in check(task, batch, row)]
        assert shortcuts["values in order"][row][batch.scored[row]].tolist() == values


def test_relabelled_and_permuted_examples_score_the_same():
    task, rng = compositional(vocab_size=45), generator("relabelling")
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate(
        [[0], 1 + rng.permutation(14), *(15 * i + rng.permutation(15) for i in (1, 2))]
    )
    targets = np.where(batch.scored, label[np.where(batch.scored, batch.targets, 0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1
    for row in range(100):
        check(task, renamed, row)
    inputs = batch.inputs.copy()
    inputs[:, :27] = rng.permutation(inputs[:, :27].reshape(100, 9, 3), axis=1).reshape(100, 27)
    assert accuracy(task.oracle(batch._replace(inputs=inputs)), batch) == 1


def test_count_of_different_inputs():
    # Two ways to choose first halves are one: 1 x 3 x 4! orders x 4! values x 4! slots.
    task = compositional(num_halves=2, vocab_size=10, length=24)
    assert task.num_values == 4 and task._num_inputs() == 1 * 3 * 24 * 24 * 24
    assert "41,472 different inputs" in task.too_small_to_hold_out
    assert compositional().too_small_to_hold_out == ""
    contexts = np.unique(task.sample(generator("all"), 60_000).inputs[:, :12], axis=0)
    assert len(contexts) == 3 * 24 * 24


def test_names_of_tokens():
    task = compositional(num_halves=2, vocab_size=10, length=24)
    assert task.token_names == [".", "a0", "a1", "b0", "b1", "b2", "v0", "v1", "v2", "v3"]


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"num_halves": 5},
            "compositional_mqar needs 6 x num_halves^2 <= length: 6 x 5^2 > 96",
        ),
        ({"vocab_size": 11}, "num_halves must be <= vocab_size / 3 - 1: 3 > 2"),
        ({"vocab_size": 24}, "num_halves^2 must be <= values: 9 > 8"),
        ({"vocab_size": 2**25}, "vocab_size: should be less than or equal to 16777216"),
        ({"num_halves": 1}, "num_halves: should be greater than or equal to 2, got 1"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        compositional(**changes)
    assert message in str(error.value)
