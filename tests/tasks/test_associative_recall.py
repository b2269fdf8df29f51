"""Associative recall: the rule against a plain twin, published baselines, edits."""

from __future__ import annotations

from itertools import product

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
        "vocab_size": st.integers(6, 30),
        "length": st.integers(4, 40),
        "distinct_keys": st.booleans(),
        "num_queries": st.integers(1, 4),
        "filler": st.integers(0, 3),
        "in_weights_bias": st.sampled_from([0.0, 0.5, 1.0]),
        "noise_tokens": st.integers(0, 3),
        "key_length": st.sampled_from([1, 1, 2, 3]),
    }
)


def recall(**changes):
    return tasks.get("associative_recall", **changes)


def possible(chosen):
    """The task, with what cannot be met made possible."""
    chosen = dict(chosen)
    cell = chosen["key_length"] + 1 + chosen["filler"]
    chosen["length"] = max(chosen["length"], cell)
    keys = ((chosen["vocab_size"] - 2) // 2) ** chosen["key_length"]
    pairs = chosen["length"] // cell
    chosen["distinct_keys"] = chosen["distinct_keys"] and pairs <= keys
    chosen["num_queries"] = min(chosen["num_queries"], keys, pairs)
    chosen["noise_tokens"] = chosen["noise_tokens"] if chosen["filler"] else 0
    return recall(**chosen)


def read(task, tokens):
    """One example, read token by token: (pairs in order, queries with their answers or None).
    A key is a tuple of tokens."""
    prefix, size = task.vocab_size - 1, task.key_length
    end = tokens.index(prefix)
    body = [token for token in tokens[:end] if 0 < token < prefix]
    assert all(0 <= token < prefix or task.noise_tokens for token in tokens[:end])
    pairs = []
    while body:
        pairs.append((tuple(body[:size]), body[size]))
        body = body[size + 1 :]
    queries, rest = [], tokens[end:]
    while rest:
        assert rest[0] == prefix
        answer = rest[size + 1] if len(rest) > size + 1 else None
        queries.append((tuple(rest[1 : size + 1]), answer))
        rest = rest[size + 2 :]
    return pairs, queries


def is_pair(task, key, value):
    """Whether the key consists of key tokens, and the value is one."""
    return all(1 <= token <= task.num_key_tokens for token in key) and (
        task.num_key_tokens < value < task.vocab_size - 1
    )


COMPOUND = {"vocab_size": 9, "length": 21, "key_length": 2}  # nine keys of two tokens


def plain(task, rng):
    """The published rule, one example at a time: (pairs, queried key)."""
    keys = list(product(range(1, 1 + task.num_key_tokens), repeat=task.key_length))
    values = range(1 + task.num_key_tokens, task.vocab_size - 1)
    bound = {key: int(rng.choice(values)) for key in keys}
    body = [keys[rng.integers(len(keys))] for _ in range(task.num_pairs)]
    asked = keys[rng.integers(len(keys))]
    while asked not in body:
        present = sorted(set(body))
        asked = present[rng.integers(len(present))]
    return [(key, bound[key]) for key in body], asked


@settings(max_examples=40, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 12)
    assert batch.inputs.shape == (12, task.input_length)
    assert (task.oracle(batch) == batch.targets)[batch.scored].all()
    for row in range(12):
        tokens = batch.inputs[row].tolist()
        pairs, queries = read(task, tokens)
        keys = [key for key, _ in pairs]
        assert len(pairs) == task.num_pairs and len(queries) == task.num_queries
        assert all(is_pair(task, key, value) for key, value in pairs)
        bound = dict(pairs)
        assert all(bound[key] == value for key, value in pairs)
        if task.distinct_keys:
            assert len(bound) == len(pairs)
        asked = [key for key, _ in queries]
        assert all(key in bound for key in asked)
        first_round = asked[: len(bound)]
        assert len(set(first_round)) == len(first_round)
        assert asked == [first_round[i % len(first_round)] for i in range(len(asked))]
        assert all(answer in (bound[key], None) for key, answer in queries)
        positions = np.flatnonzero(batch.scored[row]).tolist()
        assert len(positions) == task.num_queries
        for position, key in zip(positions, asked, strict=True):
            size = task.key_length
            assert tuple(tokens[position + 1 - size : position + 1]) == key
            assert batch.targets[row, position] == bound[key]
            evidence = 1 + max(
                i for i in range(position) if tuple(tokens[max(0, i + 1 - size) : i + 1]) == key
            )
            assert tokens[evidence] == bound[key]
            distance = batch.info["distance"][row, position]
            assert distance == position - evidence
            around = batch.info["circular_distance"][row, position]
            assert around == min(distance, len(tokens) - distance)
            assert batch.info["occurrences"][row, position] == keys.count(key)
            assert batch.info["pairs"][row, position] == len(bound)
        filled = tokens[: task.length]
        gaps = [token for token in filled if token == 0 or token >= task.vocab_size]
        assert len(gaps) == task.length - len(pairs) * (task.key_length + 1)
        assert all((token == 0) == (task.noise_tokens == 0) for token in gaps)


@settings(max_examples=40, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 12)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    scored = batch.scored
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets)[scored].all()
        assert (edited.scored == scored).all()
    assert (evidence.targets != batch.targets)[scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(12):
        before, queries = read(task, batch.inputs[row].tolist())
        asked = {key for key, _ in queries}
        others = {key for key, _ in before} - asked
        changed = {}
        for name, edited in (("evidence", evidence), ("distractor", distractor)):
            after, same_queries = read(task, edited.inputs[row].tolist())
            assert [key for key, _ in after] == [key for key, _ in before]
            assert [key for key, _ in same_queries] == [key for key, _ in queries]
            bound = dict(after)
            assert all(bound[key] == value for key, value in after)  # still the task's rule
            assert all(answer in (bound[key], None) for key, answer in same_queries)
            changed[name] = {key for key, value in before if bound[key] != value}
        assert changed["evidence"] == asked
        assert changed["distractor"] <= others and len(changed["distractor"]) == bool(others)
        noise = batch.inputs[row] >= task.vocab_size
        kept, moved = evidence.inputs[row][noise], distractor.inputs[row][noise]
        assert (kept == batch.inputs[row][noise]).all()
        assert ((moved != batch.inputs[row][noise]) == (task.noise_tokens > 1)).all()
        if task.in_weights_bias:
            known = task.shortcuts(batch)["global map"][row]
            for edited in (batch, evidence, distractor):
                agrees = edited.info["agrees_with_weights"][row]
                expected = np.where(scored[row], known == edited.targets[row], -1)
                assert (agrees == expected).all()


@pytest.mark.parametrize("changes", [{"vocab_size": 10, "length": 20}, COMPOUND])
def test_same_law_as_the_plain_twin(changes):
    task, n = recall(**changes), 3000
    fast, rng = task.sample(generator("fast"), 10 * n), generator("plain")
    counts, firsts, hits, asked_keys, values = [], [], [], [], []
    for _ in range(n):
        pairs, asked = plain(task, rng)
        keys = [key for key, _ in pairs]
        counts.append(keys.count(asked))
        firsts.append(keys.index(asked))
        hits.append(pairs[-1][1] == dict(pairs)[asked])
        asked_keys.append(asked == (1,) * task.key_length)
        values.append(len({value for _, value in pairs}))
    size, cell = task.key_length, task.key_length + 1
    query = fast.inputs[:, None, -size:]
    cells = fast.inputs[:, : task.length].reshape(10 * n, -1, cell)
    equal = (cells[..., :size] == query).all(axis=-1)
    same = [
        (counts, equal.sum(axis=1)),
        (firsts, equal.argmax(axis=1)),
        (hits, task.shortcuts(fast)["last value"][:, -1] == fast.targets[:, -1]),
        (asked_keys, (query == 1).all(axis=(1, 2))),
        (values, [len(set(row)) for row in cells[..., -1].tolist()]),
    ]
    for slow, quick in same:
        error = np.sqrt(np.var(slow) / n + np.var(quick) / len(quick))
        assert abs(np.mean(slow) - np.mean(quick)) < 4 * error


# vocab_size, length, then as measured on 2,000 examples of the published code: accuracy of the
# two shortcuts, mean occurrences of the queried key, mean distance to the key.
PUBLISHED = [
    (10, 20, 0.487, 0.441, 2.68, 7.7),
    (20, 40, 0.282, 0.219, 2.45, 15.0),
    (20, 128, 0.284, 0.204, 7.08, 19.2),
    (30, 512, 0.209, 0.124, 18.2, 28.0),
    (40, 128, 0.148, 0.104, 3.47, 35.1),
]


@pytest.mark.parametrize("vocab_size, length, frequent, last, occurrences, distance", PUBLISHED)
def test_published_baselines(vocab_size, length, frequent, last, occurrences, distance):
    task, n = recall(vocab_size=vocab_size, length=length), 4000
    batch = task.sample(generator("published"), n)
    shortcuts = task.shortcuts(batch)
    for name, published in (("most frequent value", frequent), ("last value", last)):
        error = np.sqrt(published * (1 - published) * (1 / 2000 + 1 / n))
        assert abs(accuracy(shortcuts[name], batch) - published) < 4 * error
    for name, published in (("occurrences", occurrences), ("distance", distance - 1)):
        values = batch.info[name][batch.scored]
        error = values.std() * np.sqrt(1 / 2000 + 1 / n)
        assert abs(values.mean() - published) < 4 * error + 0.05  # published to one digit


def test_shuffled_targets_score_at_chance():
    task, n = recall(), 20_000
    batch = task.sample(generator("shuffled"), n)
    shuffled = batch._replace(targets=generator("order").permutation(batch.targets))
    error = np.sqrt(task.chance * (1 - task.chance) / n)
    assert task.chance == 1 / 9
    assert abs(accuracy(task.oracle(batch), shuffled) - task.chance) < 4 * error


def test_in_weights_is_the_share_of_the_global_map():
    task, n = recall(in_weights_bias=0.6), 20_000
    batch = task.sample(generator("weights"), n)
    expected = 0.6 + 0.4 / 9
    error = np.sqrt(expected * (1 - expected) / n)
    assert abs(accuracy(task.shortcuts(batch)["global map"], batch) - expected) < 4 * error
    agrees = batch.info["agrees_with_weights"][batch.scored]
    assert agrees.mean() == accuracy(task.shortcuts(batch)["global map"], batch)
    assert (
        set(agrees) == {0, 1} and "agrees_with_weights" not in recall().sample(generator(0), 1).info
    )
    assert "global map" not in recall().shortcuts(batch)


@pytest.mark.parametrize("changes", [{}, {"key_length": 2, "length": 30}])
def test_the_global_map_is_one_map_of_keys(changes):
    task = recall(in_weights_bias=1, vocab_size=8, **changes)
    value_of = {}
    for row in task.sample(generator("one map"), 200).inputs.tolist():
        for key, value in read(task, row)[0]:
            assert value_of.setdefault(key, value) == value
    assert len(value_of) == task.num_keys


def test_only_the_whole_key_tells():
    task, n = recall(key_length=2, length=60), 10_000
    batch = task.sample(generator("whole key"), n)
    # As measured on 100,000 examples.
    expected = {
        "most frequent value": 0.232,
        "last value": 0.162,
        "value behind the key's last token": 0.516,
    }
    for name, predictions in task.shortcuts(batch).items():
        share = expected[name]
        error = np.sqrt(share * (1 - share) * (1 / n + 1 / 100_000))
        assert abs(accuracy(predictions, batch) - share) < 4 * error + 0.0005


def test_noise_is_uniform_and_stands_in_the_filler():
    task = recall(length=40, filler=2, noise_tokens=5, num_queries=2)
    inputs = task.sample(generator("noise"), 4000).inputs
    body = inputs[:, :40].reshape(4000, 10, 4)
    assert ((body[..., :2] >= 20) & (body[..., :2] < 25)).all() and (body[..., 2:] < 20).all()
    counts = np.bincount(body[..., :2].ravel() - 20, minlength=5)
    assert chisquare(counts).pvalue > 1e-4
    assert (inputs[:, 40:] < 20).all() and task.token_names[19:] == [
        "=>",
        *"n0 n1 n2 n3 n4".split(),
    ]


def test_distinct_keys_stretch_the_distance_with_the_length():
    means = []
    for length in (16, 32, 64):
        task = recall(vocab_size=66, length=length, distinct_keys=True)
        batch = task.sample(generator("distance"), 4000)
        distance = batch.info["distance"][batch.scored]
        # The queried pair is uniform, so value to query is uniform over 2, 4, .., length.
        assert set(distance) == set(range(2, length + 1, 2))
        means.append(distance.mean())
        error = distance.std() / np.sqrt(4000)
        assert abs(means[-1] - (length + 2) / 2) < 4 * error
    assert means == sorted(means)


def test_relabelled_and_permuted_examples_score_the_same():
    task = recall(num_queries=3)
    batch = task.sample(generator("relabel"), 200)
    rng = generator("relabelling")
    label = np.concatenate([[0], 1 + rng.permutation(9), 10 + rng.permutation(9), [19]])
    answers = label[np.where(batch.scored, batch.targets, 0)]
    renamed = batch._replace(
        inputs=label[batch.inputs], targets=np.where(batch.scored, answers, IGNORE)
    )
    assert accuracy(task.oracle(renamed), renamed) == 1
    pairs = batch.inputs[:, :40].reshape(200, 20, 2)
    inputs = batch.inputs.copy()
    inputs[:, :40] = rng.permutation(pairs, axis=1).reshape(200, 40)
    assert accuracy(task.oracle(batch._replace(inputs=inputs)), batch) == 1
    order = rng.permutation(200)
    assert (task.oracle(batch[order]) == task.oracle(batch)[order]).all()


def test_odd_length_is_filled_up_in_front():
    batch = recall(length=7).sample(generator(0), 50)
    assert (batch.inputs[:, 0] == 0).all() and (batch.inputs[:, 1:] != 0).all()


def test_filler_stands_before_each_pair():
    inputs = recall(length=12, filler=2).sample(generator(0), 50).inputs
    assert (inputs[:, [0, 1, 4, 5, 8, 9]] == 0).all()
    assert (inputs[:, [2, 3, 6, 7, 10, 11]] != 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 6, "length": 6},
        {"vocab_size": 7, "length": 4},
        {"vocab_size": 6, "length": 4, "key_length": 2, "filler": 1, "noise_tokens": 3},
        {"vocab_size": 6, "length": 6, "filler": 2, "noise_tokens": 2},
    ],
)
@pytest.mark.parametrize("distinct_keys", [False, True])
def test_count_of_different_inputs(changes, distinct_keys):
    if distinct_keys:
        changes = changes | {"length": 4}
    task = recall(**changes, distinct_keys=distinct_keys)
    seen = np.unique(task.sample(generator("all"), 20_000).inputs, axis=0)
    assert len(seen) == task._num_inputs()
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert recall().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"distinct_keys": True}, "distinct_keys needs pairs <= keys: 20 > 9"),
        ({"num_queries": 10}, r"num_queries must be <= min(keys, pairs): 10 > min(9, 20)"),
        ({"length": 3, "filler": 2}, "length must hold a pair: 3 < key_length 1 + 1 + filler 2"),
        ({"length": 3, "key_length": 3}, "hold a pair: 3 < key_length 3 + 1 + filler 0"),
        ({"noise_tokens": 4}, "noise_tokens stand in the filler, which must be >= 1: 0 < 1"),
        ({"key_length": 7}, "key tokens ^ key_length must be <= 1,048,576: 9^7"),
        ({"vocab_size": 6, "key_length": 2, "num_queries": 5}, "5 > min(4, 13)"),
        ({"vocab_size": 5}, "vocab_size: should be greater than or equal to 6, got 5"),
        ({"vocabsize": 5}, "did you mean 'vocab_size'?"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        recall(**changes)
    assert message in str(error.value)
