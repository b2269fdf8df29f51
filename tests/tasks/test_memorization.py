"""Memorization: the rule read token by token, the map that all examples share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, Stream

parameters = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(5, 40),
        "length": st.integers(1, 15).map(lambda pairs: 2 * pairs),
        "map_seed": st.integers(0, 5),
    }
)


def memorization(**changes):
    return tasks.get("memorization", **changes)


def map_of(batch):
    """The value of each key in the batch; every key must have one and the same everywhere."""
    out = {}
    for tokens, answers in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        for key, answer in zip(tokens[::2], answers[1::2], strict=True):
            assert out.setdefault(key, answer) == answer
    return out


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = memorization(**chosen)
    batch = task.sample(generator(seed), 10)
    assert batch.inputs.shape == (10, task.length)
    assert (task.oracle(batch) == batch.targets).all()
    assert (batch.inputs[:, 1::2] == task.vocab_size - 1).all()
    assert (batch.targets[:, ::2] == IGNORE).all()
    bound = map_of(batch)
    assert len(set(bound.values())) == len(bound)
    for key, value in bound.items():
        assert 0 <= key < (task.vocab_size - 1) // 2 <= value < task.vocab_size - 1
    for row in range(10):
        keys = batch.inputs[row, ::2].tolist()
        for place, key in enumerate(keys):
            facts = {name: values[row, 2 * place + 1] for name, values in batch.info.items()}
            assert facts == {"position": place, "occurrences": keys[:place].count(key)}


def test_published_shape():
    task = memorization()
    assert (task.num_keys, task.num_values, task.chance) == (127, 128, 1 / 127)
    batch = task.sample(generator("shape"), 2000)
    assert (batch.inputs[:, 1::2] == 255).all() and batch.scored.sum(axis=1).tolist() == [16] * 2000
    keys, seen = np.unique(batch.inputs[:, ::2], return_counts=True)
    assert keys.tolist() == list(range(127)) and chisquare(seen).pvalue > 1e-4
    bound = map_of(batch)
    assert len(bound) == 127 and min(bound.values()) >= 127 and max(bound.values()) <= 254
    assert task.forms == ("answers",) and task.edit(batch, generator("edit")) is None


def test_all_roles_and_seeds_share_the_map():
    streams = [
        Stream(memorization(), seed, role).take(0, 500)
        for seed in (0, "other")
        for role in ("train", "selection", "validation", "test")
    ]
    maps = [map_of(batch) for batch in streams]
    assert all(len(bound) == 127 and bound == maps[0] for bound in maps)
    assert len({batch.inputs.tobytes() for batch in streams}) == len(streams)
    longer = map_of(memorization(length=64).sample(generator("longer"), 500))
    assert longer == maps[0]


def test_another_seed_is_another_map():
    one, other = (
        map_of(memorization(map_seed=seed).sample(generator("maps"), 500))
        for seed in (12345, 12346)
    )
    assert one.keys() == other.keys()
    assert sum(one[key] == other[key] for key in one) < 10  # 1 by luck
    assert memorization() == memorization(map_seed=12345)


def test_the_map_is_uniform():
    # 3 keys and 3 or 4 values: 6 or 24 maps, each about equally often over seeds.
    for vocab_size, num_maps in ((7, 6), (8, 24)):
        maps = [
            tuple(memorization(vocab_size=vocab_size, map_seed=seed)._values().tolist())
            for seed in range(2000)
        ]
        seen = np.unique(maps, axis=0, return_counts=True)[1]
        assert len(seen) == num_maps and chisquare(seen).pvalue > 1e-4


@pytest.mark.parametrize("vocab_size", [512, 1024, 2048, 4096, 8192])
def test_published_changes(vocab_size):
    task = memorization(vocab_size=vocab_size)
    batch = task.sample(generator("changes"), 8)
    assert (task.oracle(batch) == batch.targets).all()
    assert (batch.inputs[:, 1::2] == vocab_size - 1).all()


def test_shortcuts():
    task, n = memorization(), 4000
    batch = task.sample(generator("shortcuts"), n)
    expected = {"one value": 1 / 127, "value of the first key": (1 + 15 / 127) / 16}
    for name, predictions in task.shortcuts(batch).items():
        right = (predictions == batch.targets)[:, 1::2].mean(axis=1)
        assert abs(right.mean() - expected[name]) < 4 * right.std() / np.sqrt(n)


def test_permuted_pairs_score_the_same():
    task = memorization()
    batch = task.sample(generator("permute"), 100)
    order = generator("order").permutation(16)
    inputs, targets = batch.inputs.copy(), batch.targets.copy()
    inputs[:, ::2], targets[:, 1::2] = inputs[:, ::2][:, order], targets[:, 1::2][:, order]
    moved = batch._replace(inputs=inputs, targets=targets)
    assert (task.oracle(moved) == moved.targets).all()


def test_count_of_different_inputs():
    task = memorization(vocab_size=8, length=8)
    seen = np.unique(task.sample(generator("all"), 3000).inputs, axis=0)
    assert len(seen) == 3**4
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert memorization().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"length": 33}, 'length must be even, since a "?" follows each key: 33'),
        ({"vocab_size": 4}, "vocab_size: should be greater than or equal to 5, got 4"),
        ({"map_seed": -1}, "map_seed: should be greater than or equal to 0, got -1"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        memorization(**changes)
    assert message in str(error.value)
