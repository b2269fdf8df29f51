"""Parity: the rule counted bit by bit, what no shortcut can do, edits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy

parameters = st.fixed_dictionaries(
    {"length": st.integers(2, 30), "scored": st.sampled_from(["all", "last"])}
)


def parity(**changes):
    return tasks.get("parity", **changes)


def read(task, tokens):
    """One example, read token by token: (bits, position -> (ones so far, bits so far))."""
    bits, ones, counted = [], 0, {}
    for position, token in enumerate(tokens):
        if token == 2:
            assert task.scored == "last" and position == len(tokens) - 1
            counted[position] = ones, len(bits)
            continue
        bits.append(token)
        ones += token
        if task.scored == "all":
            counted[position] = ones, len(bits)
    return bits, counted


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = parity(**chosen)
    batch = task.sample(generator(seed), 10)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        bits, counted = read(task, batch.inputs[row].tolist())
        assert len(bits) == task.length and set(bits) <= {0, 1}
        assert np.flatnonzero(batch.scored[row]).tolist() == list(counted)
        assert len(counted) == task.max_scored
        for position, (ones, seen) in counted.items():
            assert batch.targets[row, position] == ones % 2
            facts = {name: values[row, position] for name, values in batch.info.items()}
            assert facts == {"ones": ones, "position": seen - 1}


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = parity(**chosen)
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        bits, _ = read(task, batch.inputs[row].tolist())
        flipped, _ = read(task, evidence.inputs[row].tolist())
        moved, _ = read(task, distractor.inputs[row].tolist())
        places = [i for i in range(task.length) if flipped[i] != bits[i]]
        assert len(places) == 1 and (places == [0] or task.scored == "last")
        places = [i for i in range(task.length) if moved[i] != bits[i]]
        assert sorted(moved) == sorted(bits)
        assert len(places) == (0 if task.scored == "all" or len(set(bits)) == 1 else 2)


def test_every_bit_is_flipped_equally_often():
    task, n = parity(length=8), 8000
    batch = task.sample(generator("flip"), n)
    edited = task.edit(batch, generator("edit")).evidence
    shares = (edited.inputs != batch.inputs)[:, :8].mean(axis=0)
    assert (np.abs(shares - 1 / 8) < 4 * np.sqrt(7 / 64 / n)).all()


def test_all_inputs_of_a_small_length():
    task = parity(length=4)
    batch = task.sample(generator("all"), 2000)
    rows = zip(batch.inputs, batch.targets[:, -1], strict=True)
    seen = {tuple(row[:4]): target for row, target in rows}
    assert len(seen) == 16 and sum(seen.values()) == 8
    assert all(sum(bits) % 2 == target for bits, target in seen.items())


def test_shortcuts_reach_what_they_should():
    n = 20_000
    for scored, length in (("last", 20), ("all", 20), ("last", 2), ("all", 2)):
        task = parity(length=length, scored=scored)
        batch = task.sample(generator("shortcuts", scored), n)
        shortcuts = task.shortcuts(batch)
        # Right by luck alone, but for the bits that the window holds from the first on.
        for width, name in ((1, "last bit"), (3, "parity of the last 3 bits")):
            if length == 2 and width == 3:
                assert name not in shortcuts
                continue
            expected = (width + (length - width) / 2) / length if scored == "all" else 1 / 2
            right = (shortcuts[name] == batch.targets)[batch.scored].reshape(n, -1).mean(axis=1)
            assert abs(right.mean() - expected) < 4 * right.std() / np.sqrt(n)


def test_order_does_not_matter_and_padding_with_zeros_neither():
    task = parity(length=10)
    batch = task.sample(generator("permute"), 100)
    order = np.concatenate([generator("order").permutation(10), [10]])
    assert accuracy(task.oracle(batch._replace(inputs=batch.inputs[:, order])), batch) == 1
    longer = np.concatenate([np.zeros((100, 5), dtype=np.int64), batch.inputs], axis=1)
    targets = np.full_like(longer, IGNORE)
    targets[:, -1] = batch.targets[:, -1]
    padded = batch._replace(inputs=longer, targets=targets)
    assert accuracy(task.at_length(15).oracle(padded), padded) == 1


def test_defaults_and_refusals():
    assert parity().input_length == 41 and parity(scored="all").input_length == 40
    assert "there are only 16 different inputs" in parity(length=4).too_small_to_hold_out
    assert parity().too_small_to_hold_out == ""
    with pytest.raises(HarnessError, match="length: should be greater than or equal to 2, got 1"):
        parity(length=1)
