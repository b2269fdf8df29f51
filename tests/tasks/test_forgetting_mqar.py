"""MQAR with updates: the rule read pair by pair, the law of the updates, edits."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy


def forgetting(**changes):
    return tasks.get("forgetting_mqar", **changes)


@st.composite
def possible(draw):
    pairs = draw(st.integers(1, 6))
    updates = draw(st.integers(1, pairs))
    least = 4 * pairs + 2 * updates
    return forgetting(
        num_pairs=pairs,
        num_updates=updates,
        vocab_size=draw(st.integers(2 * (pairs + updates) + 2, 40)),
        length=draw(st.integers(least, least + 20)),
        power=draw(st.sampled_from([0.01, 1.0])),
        filler=draw(st.sampled_from(["zero", "random", "ambiguous"])),
    )


def check(task, batch, row):
    """Rule, targets and facts of one example; its (pairs, updates)."""
    tokens, half = batch.inputs[row].tolist(), task.vocab_size // 2
    end = 2 * (task.num_pairs + task.num_updates)
    bindings = list(zip(tokens[0:end:2], tokens[1:end:2], strict=True))
    assert all(1 <= key < half <= value < task.vocab_size for key, value in bindings)
    pairs, updates = bindings[: task.num_pairs], bindings[task.num_pairs :]
    assert len(dict(pairs)) == len(pairs) and len(dict(updates)) == len(updates)
    assert set(dict(updates)) <= set(dict(pairs))
    assert all(dict(pairs)[key] != value for key, value in updates)
    assert len({value for _, value in bindings}) == len(bindings)
    scored = np.flatnonzero(batch.scored[row]).tolist()
    assert sorted(tokens[position] for position in scored) == sorted(dict(pairs))
    for position in scored:
        key = tokens[position]
        place = max(i for i, (other, _) in enumerate(bindings) if other == key)
        distance = position - (2 * place + 1)
        assert (position - end) % 2 == 0 and position >= end
        assert batch.targets[row, position] == bindings[place][1]
        assert {name: fact[row, position] for name, fact in batch.info.items()} == {
            "distance": distance,
            "circular_distance": min(distance, task.length - distance),
            "pair": place,
            "updated": int(key in dict(updates)),
        }
    rest = {token for i, token in enumerate(tokens) if i >= end and i not in scored}
    assert task.filler != "zero" or rest <= {0}
    assert task.filler != "random" or not rest & {0, *tokens[:end]}
    return pairs, updates


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
        for old, new in zip(before, now, strict=True):
            assert [key for key, _ in new] == [key for key, _ in old]
            assert all(a != b for (_, a), (_, b) in zip(old, new, strict=True))
        assert [sorted(part) for part in moved] == [sorted(part) for part in before]
        assert all(len(a) == 1 or a != b for a, b in zip(before, moved, strict=True))
        for edited in (evidence, distractor):
            assert (edited.inputs[row, end:] == batch.inputs[row, end:]).all()


def test_which_keys_are_updated():
    task, n = forgetting(num_pairs=4, num_updates=2, length=40), 30_000
    inputs = task.sample(generator("updated"), n).inputs
    place = (inputs[:, 8:12:2, None] == inputs[:, None, 0:8:2]).argmax(axis=2)
    counts = [(place == choice).all(axis=1).sum() for choice in permutations(range(4), 2)]
    assert sum(counts) == n and chisquare(counts).pvalue > 1e-4


def test_new_values_are_uniform_over_the_other_values():
    task = forgetting(vocab_size=8, num_pairs=2, num_updates=1, length=10)
    values = task.sample(generator("values"), 30_000).inputs[:, 1:6:2]
    choices = list(permutations(range(4, 8), 3))
    counts = [(values == choice).all(axis=1).sum() for choice in choices]
    assert sum(counts) == 30_000 and chisquare(counts).pvalue > 1e-4


def test_shortcuts():
    task = forgetting()
    batch = task.sample(generator("shortcuts"), 500)
    shortcuts = task.shortcuts(batch)
    found = {name: accuracy(p, batch) for name, p in shortcuts.items()}
    # Two of four keys have a new value; the last value of the context is one key's answer, and
    # the first one is, unless the key was updated.
    assert found["first value of the key"] == 1 / 2 and found["last value"] == 1 / 4
    assert abs(found["first value"] - 1 / 8) < 4 * np.sqrt(1 / 4 / 16 / 500)
    assert batch.info["updated"][batch.scored].mean() == 1 / 2
    for row in range(50):
        pairs, updates = check(task, batch, row)
        last = dict(pairs) | dict(updates)  # the keys in the order of their first pairs
        assert shortcuts["values in order"][row][batch.scored[row]].tolist() == [*last.values()]


def test_relabelled_examples_score_the_same():
    task, rng = forgetting(vocab_size=40), generator("relabelling")
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate([[0], 1 + rng.permutation(19), 20 + rng.permutation(20)])
    targets = np.where(batch.scored, label[np.where(batch.scored, batch.targets, 0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1
    for row in range(100):
        check(task, renamed, row)


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 6, "num_pairs": 1, "num_updates": 1, "length": 9},
        {"vocab_size": 9, "num_pairs": 1, "num_updates": 1, "length": 7, "filler": "random"},
        {"vocab_size": 6, "num_pairs": 2, "num_updates": 1, "length": 10},
    ],
)
def test_count_of_different_inputs(changes):
    task = forgetting(**changes)
    seen = np.unique(task.sample(generator("all"), 30_000).inputs, axis=0)
    assert len(seen) == task._num_inputs()
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert forgetting().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"num_updates": 4, "length": 20},
            "forgetting_mqar needs 4 x num_pairs + 2 x num_updates <= length: 4 x 4 + 2 x 4 > 20",
        ),
        ({"num_updates": 5}, "num_updates must be <= num_pairs: 5 > 4"),
        ({"vocab_size": 10}, "num_pairs + num_updates must be <= values: 4 + 2 > 5"),
        ({"vocab_size": 6, "num_pairs": 3}, "num_pairs must be <= min(keys, values): 3 > 2"),
        (
            {"vocab_size": 6, "num_pairs": 2, "num_updates": 1, "filler": "random"},
            "filler random needs a token that is neither key nor value: vocab_size - 1 > 5, got 5",
        ),
        ({"num_updates": 0}, "num_updates: should be greater than or equal to 1, got 0"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        forgetting(**changes)
    assert message in str(error.value)
