"""Fuzzy recall: the rule read run by run, its law against a plain twin, edits."""

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
from tasks.fuzzy_recall import _tuples

ROLES = ("train", "selection", "validation", "test")
parameters = st.tuples(
    st.integers(7, 16), st.integers(1, 3), st.integers(1, 3), st.integers(0, 30)
).map(
    lambda drawn: {
        "vocab_size": drawn[0],
        "max_key_size": drawn[1],
        "max_value_size": drawn[2],
        "length": 3 * (drawn[1] + drawn[2]) + drawn[3],
    }
)


def fuzzy(**changes):
    return tasks.get("fuzzy_recall", **changes)


def read(task, tokens):
    """A sequence, read token by token: (number of pads, [(start, key, value)])."""
    key_tokens, pad = (task.vocab_size - 1) // 2, task.vocab_size - 1
    pads = 0
    while tokens[pads] == pad:
        pads += 1
    pairs = []
    for position in range(pads, len(tokens)):
        token = tokens[position]
        assert token != pad
        if token >= key_tokens:
            pairs[-1][2].append(token)
        elif not pairs or pairs[-1][2]:
            pairs.append((position, [token], []))
        else:
            pairs[-1][1].append(token)
    return pads, [(start, tuple(key), tuple(value)) for start, key, value in pairs]


def whole(batch, row):
    """The sequence whose last token is not in the input."""
    return [*batch.inputs[row].tolist(), int(batch.targets[row, -1])]


@settings(max_examples=40, deadline=None)
@given(parameters, st.sampled_from(ROLES), st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, role, seed):
    task = fuzzy(**chosen)
    batch = task.sample_for(role, generator(seed), 10)
    longest = task.max_key_size + task.max_value_size
    assert batch.inputs.shape == (10, task.length)
    assert (task.oracle(batch) == batch.targets).all()
    assert batch.scored.sum(axis=1).max() <= task.max_scored
    for row in range(10):
        tokens = whole(batch, row)
        pads, pairs = read(task, tokens)
        room = task.length - len(pairs[-1][1] + pairs[-1][2]) - longest
        begun = [start - pads for start, _, _ in pairs]
        assert begun[-2] < room <= begun[-1]  # pairs came as long as there was room
        earlier, scored = {}, set()
        for start, key, value in pairs:
            assert len(set(key)) == len(key) and len(set(value)) == len(value)
            assert len(value) <= task.max_value_size
            assert len(key) == task.max_key_size or (
                role == "train" and len(key) < task.max_key_size
            )
            before = earlier.setdefault(key, [])
            for i, answer in enumerate(value if before else ()):
                position = start + len(key) + i - 1
                scored.add(position)
                assert batch.targets[row, position] == answer == before[-1][1][i]
                evidence = before[-1][0] + len(key) + i
                assert tokens[evidence] == answer
                facts = {name: values[row, position] for name, values in batch.info.items()}
                distance = position - evidence
                assert facts == {
                    "distance": distance,
                    "circular_distance": min(distance, task.length - distance),
                    "occurrences": len(before),
                    "pairs": len(earlier),
                    "position": position,
                    "key_size": len(key),
                    "value_size": len(value),
                    "value_position": i,
                }
            assert all(value == other for _, other in before)
            before.append((start, value))
        assert set(np.flatnonzero(batch.scored[row]).tolist()) == scored
        assert task.length - 1 in scored  # the probe has come before


@settings(max_examples=30, deadline=None)
@given(parameters, st.sampled_from(["train", "test"]), st.integers(0, 2**32))
def test_edits(chosen, role, seed):
    task = fuzzy(**chosen)
    batch = task.sample_for(role, generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
        assert (edited.scored == batch.scored).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    key_tokens, pad = (task.vocab_size - 1) // 2, task.vocab_size - 1
    for row in range(10):
        before = batch.inputs[row]
        is_key, is_value = before < key_tokens, (before >= key_tokens) & (before < pad)
        for edited, concerned in ((evidence, is_value), (distractor, is_key)):
            assert ((edited.inputs[row] != before) == concerned).all()
            read(task, whole(edited, row))  # still the kinds that were there
            after = edited.inputs[row][concerned].tolist()
            renamed = set(zip(before[concerned].tolist(), after, strict=True))
            assert len(renamed) == len(dict(renamed)) == len({new for _, new in renamed})


def slow(task, rng, smallest_key):
    """The rule, one pair after another: the pairs of one sequence, the probe's last."""

    def draw(size, count, first):
        return tuple((first + rng.permutation(count)[:size]).tolist())

    def key():
        size = int(rng.integers(smallest_key, task.max_key_size + 1))
        return draw(size, task.num_key_tokens, 0)

    bound = {}

    def value(of):
        if of not in bound:
            size = int(rng.integers(1, task.max_value_size + 1))
            bound[of] = draw(size, task.num_value_tokens, task.num_key_tokens)
        return bound[of]

    probe = key()
    length = len(probe) + len(value(probe))
    longest = task.max_key_size + task.max_value_size
    room = task.length - length - longest
    place, put, pairs, tokens = int(rng.integers(room - longest + 1)), False, [], 0
    while tokens < room:
        put, this = (True, probe) if tokens >= place and not put else (put, key())
        pairs.append((this, value(this)))
        tokens += len(this) + len(value(this))
    assert put
    return [*pairs, (probe, value(probe))]


def summary(task, pairs, pads):
    keys = [key for key, _ in pairs]
    first = keys.index(keys[-1])
    return {
        "pads": pads,
        "pairs": len(pairs),
        "distinct keys": len(set(keys)),
        "probe's first": first,
        "probe's size": len(keys[-1]),
        "first key's size": len(keys[0]),
        "sizes": np.mean([len(key) for key in keys]),
        "value sizes": np.mean([len(value) for _, value in pairs]),
        "probe's value": sum(pairs[-1][1]),
        "probe's occurrences": keys.count(keys[-1]),
    }


@pytest.mark.parametrize("role, smallest_key", [("train", 1), ("test", 3)])
def test_same_law_as_the_plain_twin(role, smallest_key):
    task, n = fuzzy(vocab_size=10, length=60), 1500
    rng = generator("plain", role)
    found = []
    for _ in range(n):
        pairs = slow(task, rng, smallest_key)
        length = sum(len(key) + len(value) for key, value in pairs)
        found.append(summary(task, pairs, task.length + 1 - length))
    batch = task.sample_for(role, generator("fast", role), 2 * n)
    quick = []
    for row in range(2 * n):
        pads, pairs = read(task, whole(batch, row))
        quick.append(summary(task, [(key, value) for _, key, value in pairs], pads))
    for name in found[0]:
        one, other = ([facts[name] for facts in each] for each in (found, quick))
        error = np.sqrt(np.var(one) / n + np.var(other) / (2 * n))
        assert abs(np.mean(one) - np.mean(other)) <= 4 * error, name


def test_keys_are_the_longest_but_in_training():
    task = fuzzy()
    for role in ROLES:
        batch = task.sample_for(role, generator("sizes"), 3000)
        sizes = [len(read(task, whole(batch, row))[1][0][1]) for row in range(3000)]
        seen = np.bincount(sizes, minlength=4)[1:]
        if role == "train":
            assert chisquare(seen).pvalue > 1e-4
        else:
            assert seen.tolist() == [0, 0, 3000]
            assert (batch.inputs == task.sample(generator("sizes"), 3000).inputs).all()


def test_tuples_are_uniform():
    drawn = _tuples(generator("tuples"), (6000, 2), 3, 4).reshape(-1, 3)
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    kinds, seen = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 24 and chisquare(seen).pvalue > 1e-4


def test_published_shape():
    task = fuzzy()
    assert (task.num_key_tokens, task.num_value_tokens, task.input_length) == (7, 8, 128)
    assert task.token_names[6:8] == ["k6", "v0"] and task.token_names[15] == "_"
    batch = task.sample(generator("shape"), 2000)
    pads = (batch.inputs == 15).sum(axis=1)
    # The last pair before the probe may leave nothing but two places, or have room for five more.
    assert pads.min() == 2 and pads.max() == 7


@pytest.mark.parametrize(
    "changes",
    [{"vocab_size": v} for v in (32, 64, 128)]
    + [{"length": length} for length in (256, 512, 1024)]
    + [{"vocab_size": 8192, "length": 1024}],
)
def test_published_changes(changes):
    task = fuzzy(**changes)
    for role in ("train", "test"):
        batch = task.sample_for(role, generator("changes"), 8)
        assert batch.inputs.shape == (8, changes.get("length", 128))
        assert (task.oracle(batch) == batch.targets).all()


def test_shortcuts():
    task, n = fuzzy(), 4000
    batch = task.sample(generator("shortcuts"), n)
    expected = {"most frequent value token so far": 0.186, "what followed the last token": 0.242}
    for name, predictions in task.shortcuts(batch).items():
        right = (predictions == batch.targets)[batch.scored]
        error = np.sqrt(3 * right.var() / len(right))  # tokens of a value go together
        assert abs(right.mean() - expected[name]) < 4 * error
    for row, position in zip(*np.nonzero(batch[:20].scored), strict=True):
        so_far = batch.inputs[row, : position + 1].tolist()
        values = [token for token in so_far if 7 <= token < 15]
        frequent, followed = (predictions[row, position] for predictions in found(task, batch[:20]))
        assert frequent == np.bincount(values).argmax()
        before = [i for i in range(position) if so_far[i] == so_far[position]]
        assert followed == (so_far[before[-1] + 1] if before else 0)
    one = fuzzy(max_key_size=1)
    assert list(one.shortcuts(one.sample(generator(0), 5))) == ["most frequent value token so far"]


def found(task, batch):
    shortcuts = task.shortcuts(batch)
    return shortcuts["most frequent value token so far"], shortcuts["what followed the last token"]


def test_relabelled_examples_score_the_same():
    task = fuzzy()
    batch, rng = task.sample(generator("relabel"), 100), generator("labels")
    label = np.concatenate([rng.permutation(7), 7 + rng.permutation(8), [15]])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1


def test_more_pads_score_the_same():
    task, longer = fuzzy(length=60), fuzzy(length=80)
    batch = task.sample(generator("pads"), 100)
    pads = np.full((100, 20), task.vocab_size - 1)
    predictions = longer.oracle(batch._replace(inputs=np.concatenate([pads, batch.inputs], axis=1)))
    assert (predictions[:, 20:] == batch.targets).all()


def test_count_of_different_inputs():
    task = fuzzy(vocab_size=6, length=8, max_key_size=1, max_value_size=1)
    seen = np.unique(task.sample(generator("all"), 20_000).inputs, axis=0)
    # 2 keys in two pairs and 3 values; the bound is 3 * 2^2.
    assert "there may be as few as 12 different inputs" in task.too_small_to_hold_out
    assert len(seen) >= 12
    assert fuzzy().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"max_key_size": 8}, "max_key_size must be <= key tokens: 8 > 7"),
        ({"max_value_size": 9}, "max_value_size must be <= value tokens: 9 > 8"),
        ({"length": 17}, "length must be >= 3 x (max_key_size + max_value_size): 17 < 3 x 6"),
        ({"vocab_size": 4}, "vocab_size: should be greater than or equal to 5, got 4"),
        (
            {"vocab_size": 129, "max_key_size": 7},
            "(key tokens + 1)^max_key_size must be <= 2^40: 65^7",
        ),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        fuzzy(**changes)
    assert message in str(error.value)
