"""MAD's in-context recall, plain and noisy: the rule read pair by pair, the law, edits.

The law of the noise stands in test_noisy_recall.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy

plain = st.fixed_dictionaries(
    {"vocab_size": st.integers(4, 20), "length": st.integers(2, 20).map(lambda pairs: 2 * pairs)}
)
noisy = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(9, 20),
        "length": st.integers(2, 20).map(lambda pairs: 2 * pairs),
        "noise_vocab_size": st.integers(2, 5),
        "noise_fraction": st.sampled_from([0.0, 0.2, 0.9]),
    }
)
either = st.one_of(
    plain.map(lambda chosen: tasks.get("in_context_recall", **chosen)),
    noisy.map(lambda chosen: tasks.get("noisy_recall", **chosen)),
)


def recall(**changes):
    return tasks.get("in_context_recall", **changes)


def num_noise(task):
    return getattr(task, "noise_vocab_size", 0)


def read(task, tokens):
    """One input, read pair by pair: (pairs in order, the probe's key). A pair of noise stays."""
    content = task.vocab_size - num_noise(task)
    pairs = list(zip(tokens[:-1:2], tokens[1::2], strict=True))
    for first, second in pairs:
        if first < content:
            assert first < content // 2 <= second < content
        else:
            assert second >= content
    assert tokens[-1] < content // 2
    return pairs, tokens[-1]


def values_of(task, pairs):
    """The value of each key; every key must have one and the same everywhere."""
    bound = {key: value for key, value in pairs if key < task.vocab_size - num_noise(task)}
    assert all(bound.get(key, value) == value for key, value in pairs)
    return bound


@settings(max_examples=40, deadline=None)
@given(either, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(task, seed):
    batch = task.sample(generator(seed), 10)
    length, content = task.length, task.vocab_size - num_noise(task)
    assert batch.inputs.shape == (10, length - 1)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        tokens = batch.inputs[row].tolist()
        pairs, probe = read(task, tokens)
        bound = values_of(task, pairs)
        assert probe in bound and len(pairs) == length // 2 - 1
        keys = [key for key, _ in pairs] + [probe]
        for place, key in enumerate(keys):
            position = 2 * place
            before = [i for i in range(place) if keys[i] == key]
            facts = {name: values[row, position] for name, values in batch.info.items()}
            if key >= content or not before:
                assert batch.targets[row, position] == IGNORE and set(facts.values()) == {-1}
                continue
            assert batch.targets[row, position] == bound[key]
            distance = position - (2 * before[-1] + 1)
            expected = {
                "distance": distance,
                "circular_distance": min(distance, length - 1 - distance),
                "occurrences": len(before),
                "pairs": len({other for other in keys[:place] if other < content}),
                "position": position,
            }
            if num_noise(task):
                between = tokens[2 * before[-1] + 2 : position]
                expected["noise"] = sum(token >= content for token in between)
            assert facts == expected
        assert (batch.targets[row, 1::2] == IGNORE).all()
        if num_noise(task) and task.noise_fraction == 0:
            assert max(tokens) < content


@settings(max_examples=40, deadline=None)
@given(either, st.integers(0, 2**32))
def test_edits(task, seed):
    batch = task.sample(generator(seed), 10)
    content = task.vocab_size - num_noise(task)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
        assert (edited.scored == batch.scored).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        pairs, probe = read(task, batch.inputs[row].tolist())
        other, same_probe = read(task, evidence.inputs[row].tolist())
        before, after = values_of(task, pairs), values_of(task, other)
        assert same_probe == probe and after.keys() == before.keys()
        assert all(after[key] != value for key, value in before.items())
        assert all(now == old for old, now in zip(pairs, other, strict=True) if old[0] >= content)
        old, new = batch.inputs[row], distractor.inputs[row]
        if num_noise(task):  # all noise is another, and nothing else is
            assert ((old != new) == (old >= content)).all()
            read(task, new.tolist())
        else:  # all keys are others, one to one, and no value is
            assert ((old != new) == (old < task.num_keys)).all()
            renamed = set(zip(old[::2].tolist(), new[::2].tolist(), strict=True))
            assert len(renamed) == len(dict(renamed)) == len({key for _, key in renamed})
            values_of(task, read(task, new.tolist())[0])


def test_published_shape():
    task = recall()
    assert (task.num_keys, task.num_values, task.input_length) == (8, 8, 127)
    assert task.token_names[:8] == [f"k{i}" for i in range(8)] and task.token_names[8] == "v0"
    scored = task.sample(generator("scored"), 4000).scored.sum(axis=1)
    # All 64 keys but the first of each that comes: 8 (1 - (7/8)^63) on average.
    expected = 64 - 8 * (1 - (7 / 8) ** 63)
    assert abs(expected - 56) < 0.01
    assert scored.max() <= task.max_scored
    assert abs(scored.mean() - expected) < 4 * scored.std() / np.sqrt(4000) + 1e-9


def slow(task, rng):
    """The rule, one pair after another: (keys before the probe, their values, probe)."""
    bound, keys = {}, []
    for _ in range(task.length // 2 - 1):
        key = int(rng.integers(task.num_keys))
        if key not in bound:
            bound[key] = int(rng.integers(task.num_keys, task.vocab_size))
        keys.append(key)
    probe = int(rng.choice(sorted(set(keys))))
    return keys, [bound[key] for key in keys], probe


def test_same_law_as_the_plain_twin():
    task, n = recall(vocab_size=12, length=16), 3000
    fast, rng = task.sample(generator("fast"), 10 * n), generator("plain")
    slow_facts = {"distinct": [], "probe": [], "probe count": [], "last value": [], "values": []}
    for _ in range(n):
        keys, values, probe = slow(task, rng)
        slow_facts["distinct"].append(len(set(keys)))
        slow_facts["probe"].append(probe)
        slow_facts["probe count"].append(keys.count(probe))
        slow_facts["last value"].append(values[-1])
        slow_facts["values"].append(len(set(values)))
    keys, values, probe = fast.inputs[:, :-1:2], fast.inputs[:, 1::2], fast.inputs[:, -1]
    quick = {
        "distinct": [len(set(row)) for row in keys.tolist()],
        "probe": probe,
        "probe count": (keys == probe[:, None]).sum(axis=1),
        "last value": values[:, -1],
        "values": [len(set(row)) for row in values.tolist()],
    }
    for name, measured in slow_facts.items():
        error = np.sqrt(np.var(measured) / n + np.var(quick[name]) / (10 * n))
        assert abs(np.mean(measured) - np.mean(quick[name])) < 4 * error, name


# Accuracy on 4,000 examples, as measured.
SHORTCUTS = [
    ("in_context_recall", {}, {"most frequent value so far": 0.317, "last value": 0.246}),
    ("noisy_recall", {}, {"most frequent value so far": 0.318, "last value": 0.250}),
]


@pytest.mark.parametrize("name, changes, expected", SHORTCUTS)
def test_shortcuts(name, changes, expected):
    task = tasks.get(name, **changes)
    batch = task.sample(generator("shortcuts"), 4000)
    for rule, predictions in task.shortcuts(batch).items():
        right = (predictions == batch.targets).sum(axis=1) / batch.scored.sum(axis=1)
        assert abs(right.mean() - expected[rule]) < 4 * right.std() / np.sqrt(4000) + 0.001


@pytest.mark.parametrize("name", ["in_context_recall", "noisy_recall"])
def test_shortcuts_read_what_has_come(name):
    task = tasks.get(name)
    batch = task.sample(generator("plain shortcuts"), 20)
    found = task.shortcuts(batch)
    for row, position in zip(*np.nonzero(batch.scored), strict=True):
        so_far = batch.inputs[row, : position + 1]
        values = so_far[(so_far >= 8) & (so_far < 16)]
        frequent = np.bincount(values).argmax()
        assert found["most frequent value so far"][row, position] == frequent
        assert found["last value"][row, position] == values[-1]


@pytest.mark.parametrize("name", ["in_context_recall", "noisy_recall"])
def test_relabelled_examples_score_the_same(name):
    task = tasks.get(name)
    batch, rng = task.sample(generator("relabel"), 100), generator("labels")
    label = np.concatenate([rng.permutation(8), 8 + rng.permutation(8), 16 + rng.permutation(16)])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1
    shuffled = batch._replace(targets=rng.permutation(batch.targets))
    assert accuracy(task.oracle(batch), shuffled) < 0.2


@pytest.mark.parametrize(
    "name, changes",
    [
        ("in_context_recall", {"vocab_size": 4, "length": 8}),
        ("in_context_recall", {"vocab_size": 7, "length": 6}),
        ("noisy_recall", {"vocab_size": 6, "noise_vocab_size": 2, "length": 6}),
        (
            "noisy_recall",
            {"vocab_size": 6, "noise_vocab_size": 2, "length": 6, "noise_fraction": 0.0},
        ),
    ],
)
def test_count_of_different_inputs(name, changes):
    task = tasks.get(name, **changes)
    seen = np.unique(task.sample(generator("all"), 40_000).inputs, axis=0)
    assert f"{len(seen):,} different inputs" in task.too_small_to_hold_out
    assert tasks.get(name).too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "name, changes",
    [("in_context_recall", {"vocab_size": v}) for v in (32, 64, 128)]
    + [("in_context_recall", {"length": length}) for length in (256, 512, 1024)]
    + [("noisy_recall", {"vocab_size": v}) for v in (48, 64, 80, 128, 144)]
    + [("noisy_recall", {"length": length}) for length in (256, 512, 1024)],
)
def test_published_changes(name, changes):
    task = tasks.get(name, **changes)
    batch = task.sample(generator("changes"), 8)
    assert (task.oracle(batch) == batch.targets).all()
    assert batch.inputs.shape == (8, changes.get("length", 128) - 1)


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("in_context_recall", {"length": 9}, "length must be even, since it is made of pairs: 9"),
        ("noisy_recall", {"length": 9}, "length must be even, since it is made of pairs: 9"),
        ("in_context_recall", {"vocab_size": 3}, "should be greater than or equal to 4, got 3"),
        ("in_context_recall", {"length": 2}, "should be greater than or equal to 4, got 2"),
        ("noisy_recall", {"vocab_size": 19}, "vocab_size must be >= noise_vocab_size + 4: 19 < 20"),
        ("noisy_recall", {"noise_vocab_size": 1}, "should be greater than or equal to 2, got 1"),
        ("noisy_recall", {"noise_fraction": 1.0}, "noise_fraction: should be less than 1, got 1"),
    ],
)
def test_impossible_parameters(name, changes, message):
    with pytest.raises(HarnessError) as error:
        tasks.get(name, **changes)
    assert message in str(error.value)
