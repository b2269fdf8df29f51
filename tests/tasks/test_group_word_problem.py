"""Word problem of a group: products taken point by point, exact tables, edits."""

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
from tasks import accuracy

GROUPS = [("cyclic", n) for n in (2, 3, 6, 60)]
GROUPS += [(kind, n) for kind in ("symmetric", "alternating") for n in (3, 4, 5)]

parameters = st.fixed_dictionaries(
    {
        "group": st.sampled_from(GROUPS),
        "length": st.integers(2, 16),
        "elements": st.sampled_from(["all", "swaps"]),
        "scored": st.sampled_from(["all", "last"]),
    }
)


def word_problem(**changes):
    return tasks.get("group_word_problem", **changes)


def possible(chosen):
    chosen = dict(chosen)
    chosen["kind"], chosen["n"] = chosen.pop("group")
    if chosen["kind"] != "symmetric":
        chosen["elements"] = "all"
    return word_problem(**chosen)


def multiply(task, x, y):
    """The product of two elements, given by their names: first x, then y."""
    if task.kind == "cyclic":
        return str((int(x) + int(y)) % task.n)
    return "".join(y[int(image) - 1] for image in x)


def products(task, names):
    """The product so far, at each position."""
    out = names[:1]
    for name in names[1:]:
        out.append(multiply(task, out[-1], name))
    return out


def is_even(permutation):
    pairs = [(a, b) for i, a in enumerate(permutation) for b in permutation[i + 1 :]]
    return sum(a > b for a, b in pairs) % 2 == 0


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 8)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(8):
        names = [task.token_names[token] for token in batch.inputs[row]]
        assert len(names) == task.length
        scored = list(range(task.length)) if task.scored == "all" else [task.length - 1]
        assert np.flatnonzero(batch.scored[row]).tolist() == scored
        truth = products(task, names)
        for position in scored:
            assert task.output_names[batch.targets[row, position]] == truth[position]
            assert batch.info["position"][row, position] == position


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 8)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    moved = evidence.inputs != batch.inputs
    assert (moved.sum(axis=1) == 1).all() and (moved[:, 0].all() or task.scored == "last")
    for row in range(8):
        names = [task.token_names[token] for token in batch.inputs[row]]
        after = [task.token_names[token] for token in distractor.inputs[row]]
        free = [x != y and multiply(task, x, y) == multiply(task, y, x) for x, y in pairwise(names)]
        places = [i for i in range(task.length) if names[i] != after[i]]
        if task.scored == "all" or not any(free):
            assert not places
        else:
            i, j = places
            assert j == i + 1 and free[i]
            assert (after[i], after[j]) == (names[j], names[i])


@pytest.mark.parametrize("kind, n", GROUPS)
def test_table_is_that_of_a_group(kind, n):
    task = word_problem(kind=kind, n=n)
    names, table, _ = task._group
    factorial = {3: 6, 4: 24, 5: 120}
    order = {"cyclic": n, "symmetric": factorial.get(n), "alternating": factorial.get(n, 0) // 2}
    assert len(names) == len(set(names)) == task.num_outputs == order[kind]
    assert task.chance == 1 / order[kind]
    if kind == "alternating":
        assert all(map(is_even, names))
    for x, row in zip(names, table, strict=True):
        assert [names[z] for z in row] == [multiply(task, x, y) for y in names]
    # Closed, with element 0 as identity, inverses on both sides, and associative.
    size = np.arange(len(names))
    assert (table[0] == size).all() and (table[:, 0] == size).all()
    assert (np.sort(table, axis=0) == size[:, None]).all() and (np.sort(table) == size).all()
    triples = generator("triples").integers(len(names), size=(3, 1000))
    x, y, z = triples
    assert (table[table[x, y], z] == table[x, table[y, z]]).all()
    assert (table == table.T).all() == (kind == "cyclic" or (kind, n) == ("alternating", 3))


def test_swaps_exchange_two_points_and_reach_every_permutation():
    task = word_problem(n=4, elements="swaps", length=12)
    assert task.token_names == ["1234", "1243", "1324", "1432", "2134", "3214", "4231"]
    assert word_problem(elements="swaps").num_tokens == 11
    last = task.sample(generator("reach"), 24_000).targets[:, -1]
    assert chisquare(np.bincount(last, minlength=24)).pvalue > 1e-4


def test_all_but_one_element_say_nothing():
    # Given any elements but one, the product is uniform: so it is given the first or the last.
    task, n = word_problem(n=3, length=5), 12_000
    batch = task.sample(generator("nothing"), n)
    for position in (0, 4):
        pairs = 6 * batch.inputs[:, position] + batch.targets[:, -1]
        assert chisquare(np.bincount(pairs, minlength=36)).pvalue > 1e-4


def test_shortcuts_reach_what_they_should():
    n = 10_000
    for scored, length in (("last", 8), ("all", 8), ("all", 2)):
        task = word_problem(n=3, length=length, scored=scored)
        batch = task.sample(generator("shortcuts", scored, length), n)
        shortcuts = task.shortcuts(batch)
        assert len(shortcuts) == (1 if length == 2 else 2)
        for width, name in ((1, "last element"), (3, "product of the last 3")):
            if name in shortcuts:
                right = (shortcuts[name] == batch.targets)[batch.scored].reshape(n, -1)
                expected = (width + (length - width) / 6) / length if scored == "all" else 1 / 6
                share = right.mean(axis=1)
                assert abs(share.mean() - expected) < 4 * share.std() / np.sqrt(n)


def test_an_automorphism_moves_the_products_along():
    # Renaming the points that are permuted is one of the group: x -> r x r^-1.
    task = word_problem(n=4, length=10)
    batch = task.sample(generator("rename"), 100)
    table = task._group.table
    r = 17
    inverse = int(np.flatnonzero(table[r] == 0)[0])
    label = table[table[r], inverse]
    renamed = batch._replace(inputs=label[batch.inputs], targets=label[batch.targets])
    assert sorted(label) == list(range(24)) and (label != np.arange(24)).any()
    assert accuracy(task.oracle(renamed), renamed) == 1


def test_cyclic_of_order_two_is_parity():
    task = word_problem(kind="cyclic", n=2, length=9)
    batch = task.sample(generator("two"), 50)
    parity = tasks.get("parity", length=9, scored="all")
    assert (parity.oracle(batch) == batch.targets).all()


def test_count_of_different_inputs():
    assert (
        "only 64 different inputs"
        in word_problem(kind="cyclic", n=4, length=3).too_small_to_hold_out
    )
    assert word_problem().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n": 6}, "symmetric groups need 3 <= n <= 5, got n = 6"),
        ({"kind": "alternating", "n": 2}, "alternating groups need 3 <= n <= 5, got n = 2"),
        (
            {"kind": "alternating", "elements": "swaps"},
            "elements 'swaps' needs a symmetric group, got alternating",
        ),
        ({"kind": "cyclic", "n": 513}, "n: should be less than or equal to 512, got 513"),
        ({"length": 1}, "length: should be greater than or equal to 2, got 1"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        word_problem(**changes)
    assert message in str(error.value)
