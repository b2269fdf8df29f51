"""Multi-hop induction: hops taken one by one, baselines, edits."""

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
from tasks.multi_hop_induction import _ends

parameters = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(2, 8),
        "more": st.integers(0, 20),
        "hops": st.integers(1, 5),
    }
)


def multi_hop(**changes):
    return tasks.get("multi_hop_induction", **changes)


def possible(chosen):
    length = chosen["hops"] * chosen["vocab_size"] + 2 + chosen["more"]
    return multi_hop(vocab_size=chosen["vocab_size"], hops=chosen["hops"], length=length)


def follow(tokens, position, hops):
    """Where the hops lead to, by the words of the rule; None where there are fewer."""
    for _ in range(hops):
        before = [j for j in range(1, position) if tokens[j - 1] == tokens[position]]
        if not before:
            return None
        position = max(before)
    return position


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 8)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(8):
        tokens = batch.inputs[row].tolist()
        ends = [follow(tokens, position, task.hops) for position in range(task.length)]
        assert any(end is not None for end in ends)
        for position, end in enumerate(ends):
            target = batch.targets[row, position]
            facts = {name: values[row, position] for name, values in batch.info.items()}
            if end is None:
                assert target == IGNORE and set(facts.values()) == {-1}
                continue
            assert target == tokens[end]
            distance = position - end
            assert facts == {
                "distance": distance,
                "circular_distance": min(distance, task.length - distance),
                "occurrences": tokens[:position].count(tokens[position]),
                "position": position,
            }


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 8)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    scored = batch.scored
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.scored == scored).all()
    assert (evidence.targets != batch.targets)[scored].all()
    assert (distractor.targets == batch.targets).all()
    step = (evidence.inputs - batch.inputs) % task.vocab_size
    assert (step == step[:, :1]).all() and (step > 0).all()
    changed = distractor.inputs != batch.inputs
    assert (changed.sum(axis=1) <= 1).all()
    assert not changed[np.arange(task.length) >= scored.argmax(axis=1)[:, None]].any()


def test_distractors_are_found_in_many_examples():
    task = multi_hop()
    batch = task.sample(generator("distract"), 500)
    changed = task.edit(batch, generator("edit")).distractor.inputs != batch.inputs
    assert changed.any(axis=1).mean() > 0.35


def test_by_hand():
    a, b, c, d = range(4)
    tokens = np.array([[a, b, b, b, a, c, d, a]])
    # One hop from the last a: the copy at 4 is followed by 5, c. From the a at 4: by 1, b. The b
    # at 2 has the b right before it, and no other; the b at 3 goes by way of that at 1 to 2.
    assert _ends(tokens, 1).tolist() == [[-1, -1, -1, 2, 1, -1, -1, 5]]
    assert _ends(tokens, 2).tolist() == [[-1] * 8]
    assert _ends(np.zeros((1, 5), dtype=np.int64), 1).tolist() == [[-1, -1, 1, 2, 3]]
    assert _ends(np.zeros((1, 5), dtype=np.int64), 3).tolist() == [[-1, -1, -1, -1, 1]]


def test_one_hop_is_an_induction_head():
    induction = tasks.get("induction_heads", marked=False, length=30)
    batch = induction.sample(generator("one"), 300)
    task = multi_hop(vocab_size=20, length=31, hops=1)
    assert (task.oracle(batch)[:, -1] == batch.targets[:, -1]).all()


def test_hops_compose():
    tokens = generator("compose").integers(6, size=(50, 60))
    two, three, five = (_ends(tokens, hops) for hops in (2, 3, 5))
    onwards = np.take_along_axis(three, np.maximum(two, 0), axis=1)
    assert (np.where(two < 0, -1, onwards) == five).all()
    assert (_ends(tokens, 0) == np.arange(60)).all()


def test_tokens_are_uniform_given_that_one_is_scored():
    # By all 16 inputs of four bits.
    task, n = multi_hop(vocab_size=2, length=4, hops=1), 16_000
    inputs = task.sample(generator("uniform"), n).inputs @ (1 << np.arange(4))
    rows = (np.arange(16)[:, None] >> np.arange(4)) & 1
    legal = (_ends(rows, 1) >= 0).any(axis=1)
    seen = np.bincount(inputs, minlength=16)
    assert 0 < legal.sum() < 16 and not seen[~legal].any()
    assert chisquare(seen[legal]).pvalue > 1e-4


def test_mean_distance_of_a_hop():
    # The last copy that is not right before is 1 + (a geometric number of mean V) back, and a hop
    # leads to what follows it.
    task, n = multi_hop(length=400), 500
    batch = task.sample(generator("distance"), n)
    late = batch.scored & (np.arange(400) >= 300)
    assert late[:, 300:].mean() > 0.999
    distance = batch.info["distance"][late].reshape(-1)
    rows = np.where(late, batch.info["distance"], 0).sum(axis=1) / late.sum(axis=1)
    error = rows.std() / np.sqrt(n)
    assert abs(distance.mean() - 2 * task.vocab_size) < 4 * error


def test_shortcuts_reach_what_they_should():
    n = 400
    for hops, name in ((1, "current token"), (2, "1 hop"), (4, "3 hops")):
        task = multi_hop(hops=hops)
        batch = task.sample(generator("shortcuts"), n)
        shortcuts = task.shortcuts(batch)
        assert list(shortcuts) == [name, "previous token", "most frequent token"]
        # A hop that led to the token it starts from would have had a later copy to follow, but
        # for the one right before: one hop less is right less often than a guess.
        assert accuracy(shortcuts[name], batch) < task.chance / 5
        # The hop itself leads to the token before where a copy stands two back.
        expected = task.chance * (2 - task.chance) if hops == 1 else task.chance
        assert abs(accuracy(shortcuts["previous token"], batch) - expected) < 0.03
        assert task.chance < accuracy(shortcuts["most frequent token"], batch) < 0.25
    tokens = batch.inputs[0].tolist()
    for position in range(1, 100):
        assert shortcuts["previous token"][0, position] == tokens[position - 1]


def test_relabelled_and_lengthened_examples_score_the_same():
    task = multi_hop()
    batch = task.sample(generator("relabel"), 100)
    label = generator("labels").permutation(10)
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1
    # What comes later changes nothing.
    more = np.concatenate([batch.inputs, batch.inputs[::-1]], axis=1)
    longer = task.at_length(200).oracle(batch._replace(inputs=more))
    assert (longer[:, :100] == batch.targets).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"length": 21}, "length must be >= hops x vocab_size + 2: 21 < 2 x 10 + 2"),
        ({"hops": 10}, "length must be >= hops x vocab_size + 2: 100 < 10 x 10 + 2"),
        ({"vocab_size": 1}, "vocab_size: should be greater than or equal to 2, got 1"),
        ({"hops": 0}, "hops: should be greater than or equal to 1, got 0"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        multi_hop(**changes)
    assert message in str(error.value)


def test_count_of_different_inputs():
    few = multi_hop(vocab_size=2, length=10, hops=1).too_small_to_hold_out
    assert "there are only 1,024 different inputs" in few
    assert multi_hop().too_small_to_hold_out == ""
