"""Dyck languages: brackets matched with a plain stack, their law, edits."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import accuracy

parameters = st.fixed_dictionaries(
    {
        "num_types": st.integers(1, 6),
        "max_depth": st.integers(2, 6),
        "length": st.integers(3, 30),
        "scored": st.sampled_from(["all", "last"]),
    }
)


def dyck(**changes):
    return tasks.get("dyck", **changes)


def possible(chosen):
    last = chosen["scored"] == "last"
    kinds = max(chosen["num_types"], 1 + last)
    return dyck(**chosen | {"length": chosen["length"] | last, "num_types": kinds})


def read(task, tokens):
    """One example, read token by token: after each the stack of (type, position), and all pairs
    (opening position, closing position)."""
    stack, stacks, pairs = [], [], []
    for position, token in enumerate(tokens):
        if token < task.num_types:
            stack.append((token, position))
        else:
            kind, opened = stack.pop()
            assert kind == token - task.num_types
            pairs.append((opened, position))
        assert len(stack) <= task.max_depth
        stacks.append(list(stack))
    return stacks, pairs


def may_follow(task, stack):
    """The names of all that may come next, as a set."""
    names = task.token_names
    opening, closing = names[: task.num_types], names[task.num_types :]
    out = {closing[stack[-1][0]]} if stack else set()
    return out | (set(opening) if len(stack) < task.max_depth else set())


def meaning(task, output):
    """The set that a class stands for, by its name."""
    out = set()
    for word in task.output_names[output].split("|"):
        out |= set(task.token_names[: task.num_types]) if word == "open" else {word}
    return out


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        stacks, _ = read(task, batch.inputs[row].tolist())
        assert len(stacks) == task.length
        scored = list(range(task.length)) if task.scored == "all" else [task.length - 1]
        assert np.flatnonzero(batch.scored[row]).tolist() == scored
        for position in scored:
            stack = stacks[position]
            assert meaning(task, batch.targets[row, position]) == may_follow(task, stack)
            distance = position - stack[-1][1] if stack else -1
            facts = {name: values[row, position] for name, values in batch.info.items()}
            assert facts == {
                "depth": len(stack),
                "distance": distance,
                "circular_distance": min(distance, task.length - distance),
            }


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    edit = task.edit(batch, generator(seed, "edit"))
    if task.scored == "all":
        assert edit is None
        return
    evidence, distractor = edit
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        tokens = batch.inputs[row].tolist()
        stacks, pairs = read(task, tokens)
        moved = {}
        for name, edited in (("evidence", evidence), ("distractor", distractor)):
            after = edited.inputs[row].tolist()
            assert read(task, after)[1] == pairs
            moved[name] = tuple(i for i in range(task.length) if after[i] != tokens[i])
        assert moved["evidence"] == (stacks[-1][-1][1],)
        assert moved["distractor"] in pairs if pairs else moved["distractor"] == ()


def test_by_hand():
    task = dyck(max_depth=2, length=6)
    token = {name: number for number, name in enumerate(task.token_names)}
    inputs = np.array([[token[name] for name in "([])[]"]])
    batch = task._written(inputs)
    names = [task.output_names[target] for target in batch.targets[0]]
    assert names == [")|open", "]", ")|open", "open", "]|open", "open"]
    assert batch.info["depth"].tolist() == [[1, 2, 1, 0, 1, 0]]
    assert batch.info["distance"].tolist() == [[0, 0, 2, -1, 0, -1]]
    assert task.output_names == ["open", ")|open", "]|open", ")", "]"]
    assert dyck(num_types=5).token_names[:1] + dyck(num_types=5).token_names[-1:] == ["(0", "4)"]


def law(task):
    """inputs -> probability, by the rule."""
    found = {(): Fraction(1)}
    for _ in range(task.length):
        longer = {}
        for tokens, share in found.items():
            stack = read(task, tokens)[0][-1] if tokens else []
            half = Fraction(1, 2) if 0 < len(stack) < task.max_depth else Fraction(1)
            if len(stack) < task.max_depth:
                for kind in range(task.num_types):
                    longer[(*tokens, kind)] = share * half / task.num_types
            if stack:
                longer[(*tokens, task.num_types + stack[-1][0])] = share * half
        found = longer
    return found


@pytest.mark.parametrize("num_types, max_depth, length", [(2, 2, 5), (1, 3, 8), (3, 4, 4)])
def test_inputs_have_the_law_of_the_rule(num_types, max_depth, length):
    task, n = dyck(num_types=num_types, max_depth=max_depth, length=length), 20_000
    expected = law(task)
    assert sum(expected.values()) == 1
    assert f"only {len(expected)} different inputs" in task.too_small_to_hold_out
    seen = Counter(map(tuple, task.sample(generator("law"), n).inputs.tolist()))
    assert set(seen) <= set(expected)
    for tokens, share in expected.items():
        share = float(share)
        assert abs(seen[tokens] / n - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_shortcuts_match_plain_ones():
    for num_types in (1, 3):
        task = dyck(num_types=num_types, max_depth=4, length=20)
        batch = task.sample(generator("shortcuts"), 60)
        shortcuts = task.shortcuts(batch)
        assert len(shortcuts) == (2 if num_types == 1 else 3)
        for row in range(60):
            tokens, last = batch.inputs[row].tolist(), None
            stacks, _ = read(task, tokens)
            for position, token in enumerate(tokens):
                last = token if token < num_types else last
                said = {k: meaning(task, guess[row, position]) for k, guess in shortcuts.items()}
                deeper = may_follow(task, [(last, 0)])  # at depth 1 of 4
                just_open = token < num_types
                assert said["last opening bracket"] == deeper
                assert said["last token"] == (deeper if just_open else may_follow(task, []))
                if num_types > 1:
                    by_depth = may_follow(task, [(last, 0)] * len(stacks[position]))
                    assert said["last opening bracket and depth"] == by_depth


def test_no_shortcut_is_exact_and_distance_is_what_makes_them_fail():
    task = dyck()
    batch = task.sample(generator("fail"), 1000)
    shortcuts = task.shortcuts(batch)
    best = shortcuts["last opening bracket and depth"]
    near, far = batch.info["distance"] == 0, batch.info["distance"] > 0
    assert (best == batch.targets)[near].all()
    # Another bracket was opened and closed since: of two types it is the same half of the time.
    assert 0.45 < (best == batch.targets)[far].mean() < 0.6
    assert accuracy(best, batch) > max(
        accuracy(shortcuts[name], batch) for name in ("last token", "last opening bracket")
    )


def test_chance_is_one_over_the_classes_that_occur():
    cases = [({}, 5), ({"scored": "last", "length": 31}, 2)]
    cases += [({"max_depth": 20, "length": 19}, 3), ({"max_depth": 5, "length": 5}, 5)]
    cases += [({"scored": "last", "length": 5, "max_depth": 7}, 2)]
    cases += [({"scored": "last", "length": 31, "max_depth": 3}, 4), ({"num_types": 1}, 3)]
    for changes, classes in cases:
        task = dyck(**changes)
        batch = task.sample(generator("chance"), 2000)
        assert len(np.unique(batch.targets[batch.scored])) == classes
        assert task.chance == 1 / classes


def test_relabelled_examples_score_the_same():
    task = dyck(num_types=4)
    batch = task.sample(generator("relabel"), 50)
    kinds = generator("kinds").permutation(4)
    label = np.concatenate([kinds, 4 + kinds])
    outputs = np.concatenate([[0], 1 + kinds, 5 + kinds])
    renamed = batch._replace(inputs=label[batch.inputs], targets=outputs[batch.targets])
    assert accuracy(task.oracle(renamed), renamed) == 1


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"scored": "last"}, "scored: last needs an odd length, so that a bracket is open: 64"),
        (
            {"scored": "last", "length": 9, "num_types": 1},
            "scored: last needs num_types >= 2: 1 < 2",
        ),
        ({"max_depth": 1}, "max_depth: should be greater than or equal to 2, got 1"),
        ({"num_types": 0}, "num_types: should be greater than or equal to 1, got 0"),
        ({"length": 2}, "length: should be greater than or equal to 3, got 2"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        dyck(**changes)
    assert message in str(error.value)
