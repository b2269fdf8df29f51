"""Induction heads, marked and unmarked: the rule read token by token, baselines, edits."""

from __future__ import annotations

from itertools import pairwise

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
        "vocab_size": st.integers(5, 24),
        "length": st.integers(6, 30),
        "num_triggers": st.integers(1, 4),
        "induction_length": st.integers(1, 4),
        "marked": st.booleans(),
    }
)


def induction(**changes):
    return tasks.get("induction_heads", **changes)


@settings(max_examples=40, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = induction(**chosen)
    batch = task.sample(generator(seed), 12)
    assert batch.inputs.shape == (12, task.input_length)
    assert (task.oracle(batch) == batch.targets)[batch.scored].all()
    for row in range(12):
        tokens, length = batch.inputs[row].tolist(), task.length
        trigger, width = tokens[length], task.induction_length
        assert not task.marked or trigger == task.vocab_size - 1
        assert all(1 <= token <= task.vocab_size - 2 for token in tokens if token != trigger)
        positions = [i for i in range(length) if tokens[i] == trigger]
        assert 1 <= len(positions) <= task.num_triggers
        assert all(0 <= i <= length - 2 - width for i in positions)
        assert all(b - a > width for a, b in pairwise(positions))
        scored = np.flatnonzero(batch.scored[row]).tolist()
        assert scored == list(range(length, length + width))
        answer = batch.targets[row, scored].tolist()
        assert all(tokens[i + 1 : i + 1 + width] == answer for i in positions)
        assert tokens[length + 1 :] == answer[:-1]
        for name, value in {
            "distance": length - 1 - positions[-1],
            "occurrences": len(positions),
            "circular_distance": min(length - 1 - positions[-1], positions[-1] + 1 + width),
        }.items():
            assert (batch.info[name][row, scored] == value).all()


@settings(max_examples=40, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = induction(**chosen)
    batch = task.sample(generator(seed), 12)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    scored, length = batch.scored, task.length
    assert (task.oracle(evidence) == evidence.targets)[scored].all()
    assert (evidence.targets != batch.targets)[scored].all()
    assert (task.oracle(distractor) == batch.targets)[scored].all()
    assert (distractor.targets == batch.targets).all()
    trigger = batch.inputs[:, [length]]
    for edited in (evidence, distractor):  # still the task's rule
        assert ((edited.inputs == trigger) == (batch.inputs == trigger)).all()
        assert (edited.inputs[:, :length] >= 1).all()
        assert (edited.inputs < task.vocab_size - (not task.marked)).all()
    near = np.zeros_like(trigger * batch.inputs[:, :length], dtype=bool)
    for i in range(task.induction_length + 1):
        near[:, i:] |= (batch.inputs[:, :length] == trigger)[:, : length - i]
    answers = near & (batch.inputs[:, :length] != trigger)
    assert ((evidence.inputs != batch.inputs)[:, :length] == answers).all()
    moved = distractor.inputs != batch.inputs
    assert not (moved[:, :length] & near).any() and not moved[:, length:].any()
    assert (moved.sum(axis=1) == ~near.all(axis=1)).all()


@pytest.mark.parametrize("marked", [True, False])
def test_position_and_answer_are_uniform(marked):
    task, n = induction(marked=marked), 20_000
    batch = task.sample(generator("uniform"), n)
    assert ((batch.inputs == batch.inputs[:, 30:]).sum(axis=1) == 2).all()
    position = 29 - batch.info["distance"][batch.scored]
    assert position.min() == 0 and position.max() == 27
    assert chisquare(np.bincount(position)).pvalue > 1e-4
    answers = np.bincount(batch.targets[batch.scored], minlength=20)
    assert answers[0] == answers[19] == 0
    assert chisquare(answers[1:19]).pvalue > 1e-4
    triggers = np.bincount(batch.inputs[:, 30], minlength=20)
    if marked:
        assert triggers[19] == n
    else:
        assert chisquare(triggers[1:19]).pvalue > 1e-4


def test_one_trigger_half_of_the_time():
    task, n = induction(num_triggers=4, length=300), 4000
    occurrences = task.sample(generator("half"), n).info["occurrences"][:, -1]
    # Besides the fair coin, 4 of 298 positions within one of another leave one with p < 1e-5.
    assert abs((occurrences == 1).mean() - 0.5) < 4 * np.sqrt(0.25 / n)
    dropped = (occurrences[occurrences > 1] < 4).mean()  # a pair is near with p about 3 / 298
    assert 0.02 < dropped < 0.12


@pytest.mark.parametrize("marked, answers", [(True, 18), (False, 17)])
def test_shuffled_targets_and_last_token_score_at_chance(marked, answers):
    task, n = induction(marked=marked), 20_000
    batch = task.sample(generator("shuffled"), n)
    assert task.chance == 1 / answers
    error = np.sqrt(task.chance * (1 - task.chance) / n)
    shuffled = batch._replace(targets=generator("order").permutation(batch.targets))
    # Unmarked answers are uniform over all 18 between examples, over 17 within one.
    assert abs(accuracy(task.oracle(batch), shuffled) - 1 / 18) < 4 * error
    # The answer's copy is at most one token before the last, so that one tells nothing.
    assert abs(accuracy(task.shortcuts(batch)["last token"], batch) - task.chance) < 4 * error


def test_most_frequent_token_matches_a_plain_count():
    task = induction(vocab_size=8)
    batch = task.sample(generator("frequent"), 300)
    guess = task.shortcuts(batch)["most frequent token"][:, 30]
    for tokens, token in zip(batch.inputs.tolist(), guess.tolist(), strict=True):
        body = [other for other in tokens[:30] if other != tokens[30]]
        assert token == min(body, key=lambda other: (-body.count(other), other))


def test_relabelled_and_permuted_examples_score_the_same():
    task = induction(marked=False, induction_length=2)
    batch = task.sample(generator("relabel"), 200)
    rng = generator("relabelling")
    label = np.concatenate([[0], 1 + rng.permutation(18), [19]])
    answers = label[np.where(batch.scored, batch.targets, 0)]
    renamed = batch._replace(
        inputs=label[batch.inputs], targets=np.where(batch.scored, answers, IGNORE)
    )
    assert accuracy(task.oracle(renamed), renamed) == 1
    order = rng.permutation(200)
    assert (task.oracle(batch[order]) == task.oracle(batch)[order]).all()


@pytest.mark.parametrize(
    "changes, seen",
    [
        ({"vocab_size": 4, "length": 4}, 2 * 2**3),
        ({"vocab_size": 5, "length": 4, "marked": False}, 3 * 2 * 2**3),
    ],
)
def test_count_of_different_inputs(changes, seen):
    task = induction(**changes)
    inputs = task.sample(generator("all"), 5000).inputs
    assert len(np.unique(inputs, axis=0)) == seen
    assert f"{seen} different inputs" in task.too_small_to_hold_out
    assert induction().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"vocab_size": 3}, "marked needs vocab_size >= 4: 3 < 4"),
        ({"vocab_size": 4, "marked": False}, "unmarked needs vocab_size >= 5: 4 < 5"),
        ({"length": 4, "induction_length": 3}, "length must be >= induction_length + 2: 4 < 5"),
        ({"num_triggers": 0}, "num_triggers: "),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        induction(**changes)
    assert message in str(error.value)
