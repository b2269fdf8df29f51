"""MQAR: the rule read token by token, the laws of slots, keys and filler, edits."""

from __future__ import annotations

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, Batch, accuracy
from tasks.mqar import TABLE

FILLERS = st.sampled_from(["zero", "random", "ambiguous"])


def mqar(**changes):
    return tasks.get("mqar", **changes)


@st.composite
def possible(draw):
    pairs = draw(st.integers(1, 6))
    return mqar(
        num_pairs=pairs,
        vocab_size=draw(st.integers(2 * pairs + 3, 40)),
        length=draw(st.integers(4 * pairs, 4 * pairs + 20)),
        power=draw(st.sampled_from([0.01, 1.0, 3.0])),
        filler=draw(FILLERS),
    )


def read(task, tokens, scored):
    """One example, read token by token: (pairs in order, {position: key} of the queries)."""
    half, end = task.vocab_size // 2, 2 * task.num_pairs
    context, rest = tokens[:end], dict(enumerate(tokens))
    pairs = list(zip(context[::2], context[1::2], strict=True))
    assert all(1 <= key < half <= value < task.vocab_size for key, value in pairs)
    assert len(set(context)) == end  # no key twice, no value twice
    queries = {position: rest[position] for position in scored}
    assert sorted(queries.values()) == sorted(key for key, _ in pairs)
    for position in queries:
        slot, offset = divmod(position - end, 2)
        assert offset == 0 and 0 <= slot < (task.length - end) // 2
    others = [token for position, token in rest.items() if position not in queries][end:]
    if task.filler == "zero":
        assert set(others) <= {0}
    elif task.filler == "random":
        assert not set(others) & {0, *context}
    return pairs, queries


def check(task, batch, row):
    """Targets and facts of one example, from its inputs; what `read` returns."""
    tokens = batch.inputs[row].tolist()
    scored = np.flatnonzero(batch.scored[row]).tolist()
    pairs, queries = read(task, tokens, scored)
    keys = [key for key, _ in pairs]
    for position, key in queries.items():
        assert batch.targets[row, position] == dict(pairs)[key]
        place = keys.index(key)
        distance = position - (2 * place + 1)
        assert {name: fact[row, position] for name, fact in batch.info.items()} == {
            "distance": distance,
            "circular_distance": min(distance, task.length - distance),
            "pair": place,
        }
    return pairs, queries


@settings(max_examples=30, deadline=None)
@given(possible(), st.integers(0, 2**32))
def test_every_example_obeys_the_rule(task, seed):
    batch = task.sample(generator(seed), 10)
    assert batch.inputs.shape == (10, task.length)
    assert (batch.scored.sum(axis=1) == task.num_pairs).all()
    assert (task.oracle(batch) == batch.targets)[batch.scored].all()
    for row in range(10):
        check(task, batch, row)


@settings(max_examples=30, deadline=None)
@given(possible(), st.integers(0, 2**32))
def test_edits(task, seed):
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    assert (distractor.targets == batch.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    end = 2 * task.num_pairs
    for row in range(10):
        pairs, queries = check(task, batch, row)
        rebound, same_queries = check(task, evidence, row)
        assert [key for key, _ in rebound] == [key for key, _ in pairs]
        assert all(now != old for (_, old), (_, now) in zip(pairs, rebound, strict=True))
        reordered, still_queries = check(task, distractor, row)
        assert sorted(reordered) == sorted(pairs)
        assert reordered != pairs or task.num_pairs == 1
        assert queries == same_queries == still_queries
        for edited in (evidence, distractor):
            changed = edited.inputs[row, end:] != batch.inputs[row, end:]
            freed = batch.inputs[row, end:] == edited.inputs[row, 1]  # a lone pair's new value
            assert not (changed & ~freed).any()


def test_another_value_of_a_lone_pair_does_not_stand_in_the_filler():
    task = mqar(num_pairs=1, vocab_size=7, length=20, filler="random")
    batch = task.sample(generator("lone"), 500)
    evidence = task.edit(batch, generator("lone edit")).evidence
    for row in range(500):
        (pair,), _ = check(task, batch, row)
        (other,), _ = check(task, evidence, row)
        assert pair[0] == other[0] and pair[1] != other[1]


def test_the_published_setting():
    task = mqar()
    assert (task.vocab_size, task.length, task.num_pairs, task.power) == (8192, 64, 4, 0.01)
    assert (task.num_keys, task.num_values, task.num_slots) == (4095, 4096, 28)
    batch = task.sample(generator("published"), 2000)
    assert (batch.inputs[:, 0:8:2] < 4096).all() and (batch.inputs[:, 1:8:2] >= 4096).all()
    assert ((batch.inputs != 0).sum(axis=1) == 12).all()
    assert task.chance == 1 / 4096 and task.too_small_to_hold_out == ""
    assert task.token_names[4094:4098] == ["k4093", "k4094", "v0", "v1"]


@pytest.mark.parametrize("power", [0.01, 0.5, 1.0, 3.0])
def test_slots_are_drawn_one_after_the_other_by_their_law(power):
    task, n = mqar(vocab_size=20, num_pairs=2, length=13, power=power), 40_000
    inputs = task.sample(generator("slots", str(power)), n).inputs
    query = inputs[:, None, 4:]  # four slots of two, and one token over
    place = (inputs[:, 0:4:2, None] == query).argmax(axis=2)
    assert (place % 2 == 0).all()
    law = np.arange(1, 5) ** (power - 1)
    law /= law.sum()
    choices = list(permutations(range(4), 2))
    expected = [law[i] * law[j] / (1 - law[i]) for i, j in choices]
    counts = [((place // 2) == choice).all(axis=1).sum() for choice in choices]
    assert chisquare(counts, n * np.array(expected)).pvalue > 1e-4


def test_the_first_query_at_the_published_size():
    task, n = mqar(), 40_000
    batch = task.sample(generator("first slot"), n)
    first = (batch.info["pair"] == 0).argmax(axis=1)
    law = np.arange(1, 29) ** -0.99
    counts = np.bincount((first - 8) // 2, minlength=28)
    assert chisquare(counts, n * law / law.sum()).pvalue > 1e-4


def test_shortcuts():
    task = mqar()
    batch = task.sample(generator("shortcuts"), 2000)
    shortcuts = task.shortcuts(batch)
    # Every value of the context is the answer once.
    assert accuracy(shortcuts["first value"], batch) == 1 / 4
    assert accuracy(shortcuts["last value"], batch) == 1 / 4
    for row in range(50):
        values = batch.inputs[row, 1:8:2]
        assert (shortcuts["values in order"][row][batch.scored[row]] == values).all()


@pytest.mark.parametrize("power", [0.01, 1.0, 3.0])
def test_how_often_keys_are_asked_in_order(power):
    task, n = mqar(vocab_size=20, num_pairs=2, length=12, power=power), 20_000
    batch = task.sample(generator("in order", str(power)), n)
    law = np.arange(1, 5) ** (power - 1)
    law /= law.sum()
    expected = sum(law[i] * law[j] / (1 - law[i]) for i in range(4) for j in range(i + 1, 4))
    error = np.sqrt(expected * (1 - expected) / n)  # both queries are right, or none
    assert abs(accuracy(task.shortcuts(batch)["values in order"], batch) - expected) < 4 * error


@pytest.mark.parametrize("columns, low, num", [([0, 2], 1, 4), ([1, 3], 5, 5)])
def test_every_ordered_choice_of_keys_and_of_values_is_equally_likely(columns, low, num):
    task = mqar(vocab_size=10, num_pairs=2, length=8)
    drawn = task.sample(generator("choices"), 40_000).inputs[:, columns]
    counts = [
        (drawn == choice).all(axis=1).sum() for choice in permutations(range(low, low + num), 2)
    ]
    assert sum(counts) == 40_000 and chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("num_pairs", [2, 20])  # the unused tokens are found in two ways
def test_random_filler_is_uniform_over_the_unused_tokens(num_pairs):
    task = mqar(vocab_size=2 * num_pairs + 5, num_pairs=num_pairs, length=120, filler="random")
    batch = task.sample(generator("unused"), 2000)
    context = np.sort(batch.inputs[:, : 2 * num_pairs], axis=1)
    unused = np.array([sorted({*range(1, task.vocab_size)} - {*row}) for row in context.tolist()])
    rest = batch.inputs[:, 2 * num_pairs :]
    filler = rest[~batch.scored[:, 2 * num_pairs :]].reshape(2000, -1)
    rank = (filler[:, :, None] == unused[:, None]).argmax(axis=2)
    assert (np.take_along_axis(unused, rank, axis=1) == filler).all()
    counts = np.bincount(rank.ravel())
    assert len(counts) == 4 and chisquare(counts).pvalue > 1e-4
    assert chisquare(np.bincount(rank[:, 0])).pvalue > 1e-4


def test_ambiguous_filler_is_uniform_over_all_tokens():
    task = mqar(vocab_size=12, filler="ambiguous")
    batch = task.sample(generator("ambiguous"), 1000)
    filler = batch.inputs[:, 8:][~batch.scored[:, 8:]]
    assert chisquare(np.bincount(filler, minlength=12)).pvalue > 1e-4


def test_relabelled_and_permuted_examples_score_the_same():
    task, rng = mqar(vocab_size=40, length=40), generator("relabelling")
    batch = task.sample(generator("relabel"), 200)
    label = np.concatenate([[0], 1 + rng.permutation(19), 20 + rng.permutation(20)])
    answers = label[np.where(batch.scored, batch.targets, 0)]
    targets = np.where(batch.scored, answers, IGNORE)
    renamed = Batch(label[batch.inputs], targets, batch.info)
    assert accuracy(task.oracle(renamed), renamed) == 1
    for row in range(200):
        check(task, renamed, row)
    inputs = batch.inputs.copy()
    inputs[:, :8] = rng.permutation(inputs[:, :8].reshape(200, 4, 2), axis=1).reshape(200, 8)
    assert accuracy(task.oracle(batch._replace(inputs=inputs)), batch) == 1
    order = rng.permutation(200)
    assert (task.oracle(batch[order]) == task.oracle(batch)[order]).all()


def test_memory_does_not_grow_with_the_vocabulary():
    peaks = []
    for vocab_size in (8192, 2**24):
        for filler in ("zero", "random", "ambiguous"):
            task = mqar(vocab_size=vocab_size, filler=filler)
            tracemalloc.start()
            task.sample(generator("memory"), 256)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert max(peaks) < 2 * min(peaks) + TABLE and max(peaks) < 256 * 64 * 8 * 24


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 8, "num_pairs": 1, "length": 8},
        {"vocab_size": 6, "num_pairs": 2, "length": 8},
        {"vocab_size": 7, "num_pairs": 1, "length": 6, "filler": "random", "power": 1},
        {"vocab_size": 5, "num_pairs": 1, "length": 4, "filler": "ambiguous"},
    ],
)
def test_count_of_different_inputs(changes):
    task = mqar(**changes)
    seen = np.unique(task.sample(generator("all"), 30_000).inputs, axis=0)
    assert len(seen) == task._num_inputs()
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_pairs": 20}, "mqar needs 4 x num_pairs <= length: 4 x 20 > 64"),
        ({"vocab_size": 9}, "num_pairs must be <= min(keys, values): 4 > 3"),
        ({"power": 0}, "power: should be greater than 0, got 0"),
        ({"filler": "none"}, "filler: should be 'zero', 'random' or 'ambiguous', got 'none'"),
        ({"num_pair": 4}, "did you mean 'num_pairs'?"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        mqar(**changes)
    assert message in str(error.value)
