"""Majority: counted token by token, ties by enumeration, edits."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import accuracy

parameters = st.fixed_dictionaries({"vocab_size": st.integers(2, 9), "length": st.integers(2, 30)})


def majority(**changes):
    return tasks.get("majority", **changes)


def read(task, tokens):
    """One example, read token by token: (tokens, how often each occurs, most frequent first)."""
    *body, end = tokens
    assert end == task.vocab_size and max(body) < end and len(body) == task.length
    counts = Counter(body)
    order = sorted(range(task.vocab_size), key=lambda token: (-counts[token], token))
    return body, [(token, counts[token]) for token in order]


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = majority(**chosen)
    batch = task.sample(generator(seed), 12)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(12):
        body, ((first, most), (_, next_most), *_) = read(task, batch.inputs[row].tolist())
        assert np.flatnonzero(batch.scored[row]).tolist() == [task.length]
        if task.vocab_size == 2:
            assert batch.targets[row, -1] == (sum(body) > task.length / 2)
        else:
            assert batch.targets[row, -1] == first and most > next_most
        facts = {name: values[row, -1] for name, values in batch.info.items()}
        assert facts == {"occurrences": most, "margin": most - next_most}


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = majority(**chosen)
    batch = task.sample(generator(seed), 12)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (distractor.targets == batch.targets).all()
    for row in range(12):
        body, ((first, most), (second, next_most), *_) = read(task, batch.inputs[row].tolist())
        other, ((now_first, now_most), (_, now_next), *_) = read(
            task, evidence.inputs[row].tolist()
        )
        assert batch.targets[row, -1] == first
        assert evidence.targets[row, -1] == now_first == second and now_most > now_next
        moved = [(a, b) for a, b in zip(body, other, strict=True) if a != b]
        assert set(moved) == {(first, second)}
        fewer = len(moved) - 1  # with one less, the other would not lead
        assert most - fewer >= next_most + fewer
        permuted, _ = read(task, distractor.inputs[row].tolist())
        assert sorted(permuted) == sorted(body)


def law(vocab_size, length):
    """inputs -> probability, by the rule; ties are mended."""
    out = Counter()
    for tokens in product(range(vocab_size), repeat=length):
        share = Fraction(1, vocab_size**length)
        most = max(map(tokens.count, tokens))
        tied = sorted({token for token in tokens if tokens.count(token) == most})
        places = [i for i, token in enumerate(tokens) if token in tied[1:]]
        if vocab_size == 2 or not places:
            out[tokens] += share
            continue
        for place in places:
            mended = (*tokens[:place], tied[0], *tokens[place + 1 :])
            out[mended] += share / len(places)
    return out


@pytest.mark.parametrize("vocab_size, length", [(2, 4), (3, 4), (4, 3), (3, 6), (9, 2)])
def test_inputs_have_the_law_of_the_rule(vocab_size, length):
    n, expected = 30_000, law(vocab_size, length)
    assert sum(expected.values()) == 1
    task = majority(vocab_size=vocab_size, length=length)
    assert f"only {len(expected)} different inputs" in task.too_small_to_hold_out
    inputs = task.sample(generator("law"), n).inputs
    seen = Counter(map(tuple, inputs[:, :-1].tolist()))
    assert set(seen) <= set(expected)
    for tokens, share in expected.items():
        share = float(share)
        assert abs(seen[tokens] / n - share) < 4.5 * np.sqrt(share * (1 - share) / n)


def test_shortcuts_reach_what_they_should():
    task, n = majority(), 20_000
    batch = task.sample(generator("shortcuts"), n)
    shortcuts = task.shortcuts(batch)
    tie = comb(40, 20) / 2**40
    # The last bit is a one, and so are 20 or more of the other 39; or it is a zero, and 20 or
    # fewer of the others are ones.
    last = (sum(comb(39, k) for k in range(20, 40)) + sum(comb(39, k) for k in range(21))) / 2**40
    for name, expected in (("always 0", 0.5 + tie / 2), ("last token", last)):
        error = np.sqrt(expected * (1 - expected) / n)
        assert abs(accuracy(shortcuts[name], batch) - expected) < 4 * error
    for tokens, guess in zip(
        batch.inputs[:200].tolist(),
        shortcuts["most frequent of the last quarter"][:200, -1],
        strict=True,
    ):
        assert guess == (sum(tokens[30:40]) > 5)


def test_relabelled_and_permuted_examples_score_the_same():
    task = majority(vocab_size=6)
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate([generator("labels").permutation(6), [6]])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], batch.targets)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1
    order = np.concatenate([generator("order").permutation(40), [40]])
    assert accuracy(task.oracle(batch._replace(inputs=batch.inputs[:, order])), batch) == 1


def test_defaults_and_refusals():
    assert majority().chance == 1 / 2 and majority().input_length == 41
    assert "there are only 16 different inputs" in majority(length=4).too_small_to_hold_out
    assert majority().too_small_to_hold_out == ""
    assert majority(vocab_size=1000, length=500).too_small_to_hold_out == ""
    # Two equal tokens are all that is left of two.
    few = majority(vocab_size=5000, length=2).too_small_to_hold_out
    assert few.startswith("there are only 5,000 different inputs")
    for name, least in (("vocab_size", 2), ("length", 2)):
        message = f"{name}: should be greater than or equal to {least}, got 1"
        with pytest.raises(HarnessError, match=message):
            majority(**{name: 1})
