"""ListOps: the rule against a recursive twin and closed forms, published shares, baselines."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy

RULES = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(statistics.median(values)),
    "[SM": lambda values: sum(values) % 10,
}
SMALL = {"max_depth": 5, "min_length": 5, "max_length": 100}


def listops(**changes):
    return tasks.get("listops", **changes)


def grow(task, rng, depth=1):
    """A random tree by the published rule, recursively: a digit, or (operator, *children)."""
    if depth == task.max_depth or rng.random() > 0.25:
        return str(rng.integers(10))
    number = rng.integers(2, task.max_args + 1)
    children = [grow(task, rng, depth + 1) for _ in range(number)]
    return (list(RULES)[rng.integers(4)], *children)


def length(tree):
    return 1 if isinstance(tree, str) else 2 + sum(map(length, tree[1:]))


def value(tree):
    return int(tree) if isinstance(tree, str) else RULES[tree[0]]([value(c) for c in tree[1:]])


def nesting(tree):
    return 0 if isinstance(tree, str) else 1 + max(map(nesting, tree[1:]))


def operators(tree):
    return 0 if isinstance(tree, str) else 1 + sum(map(operators, tree[1:]))


def written(tree):
    if isinstance(tree, str):
        return [tree]
    return [tree[0], *(token for child in tree[1:] for token in written(child)), "]"]


def parse(names):
    """The tree that a list of token names spells; trailing padding is left out."""
    stack = [()]
    for name in names:
        if name in RULES:
            stack.append((name,))
        elif name != "_":
            done = stack.pop() if name == "]" else name
            stack[-1] += (done,)
    (tree,) = stack.pop()
    assert not stack
    return tree


def trees(task, batch):
    names = np.array(task.token_names)
    return [parse(row.tolist()) for row in names[batch.inputs]]


def plain(task, rng, n):
    """n accepted trees of the recursive twin."""
    out = []
    while len(out) < n:
        tree = grow(task, rng)
        if task.min_length < length(tree) < task.max_length:
            out.append(tree)
    return out


@pytest.fixture(scope="module")
def official():
    return listops().sample(generator("official"), 3000)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 7), st.integers(2, 12), st.integers(0, 40), st.integers(8, 60), st.integers(0)
)
def test_generator_and_oracle_agree_with_the_recursive_evaluator(depth, args, least, more, seed):
    least = min(least, 3 * (depth - 1))  # within reach even of two arguments
    task = listops(max_depth=depth, max_args=args, min_length=least, max_length=least + more)
    batch = task.sample(generator(seed), 20)
    assert (batch.scored == (np.arange(task.input_length) == task.input_length - 1)).all()
    assert (task.oracle(batch) == batch.targets)[batch.scored].all()
    for row, tree in enumerate(trees(task, batch)):
        facts = {name: values[row, -1] for name, values in batch.info.items()}
        assert facts == {
            "depth": nesting(tree),
            "length": length(tree),
            "operators": operators(tree),
        }
        assert batch.targets[row, -1] == value(tree)
        assert task.min_length < length(tree) < task.max_length
        assert nesting(tree) < task.max_depth
        padding = batch.inputs[row] == 0
        assert (padding == (np.arange(task.input_length) >= length(tree))).all()


def test_official_examples_agree_with_the_recursive_evaluator(official):
    task, some = listops(), official[:100]
    assert [value(tree) for tree in trees(task, some)] == some.targets[:, -1].tolist()
    assert accuracy(task.oracle(official), official) == 1


def test_oracle_reads_trees_of_the_recursive_generator():
    task = listops(**SMALL)
    some = plain(task, generator("plain"), 200)
    number = {name: token for token, name in enumerate(task.token_names)}
    inputs = np.zeros((200, task.input_length), dtype=np.int64)
    for row, tree in zip(inputs, some, strict=True):
        tokens = [number[name] for name in written(tree)]
        row[: len(tokens)] = tokens
    predictions = task.oracle(tasks.Batch(inputs, np.full_like(inputs, IGNORE), {}))
    assert predictions[:, -1].tolist() == [value(tree) for tree in some]


def test_same_law_as_the_recursive_generator():
    task, n = listops(**SMALL), 3000
    fast = task.sample(generator("fast"), n)
    slow = plain(task, generator("slow"), n)
    for of_fast, of_slow in (
        (fast.info["length"][:, -1] // 10, [length(tree) // 10 for tree in slow]),
        (fast.info["operators"][:, -1] // 2, [operators(tree) // 2 for tree in slow]),
        (fast.info["depth"][:, -1], [nesting(tree) for tree in slow]),
        (fast.targets[:, -1], [value(tree) for tree in slow]),
        (fast.inputs[:, 0], [11 + list(RULES).index(tree[0]) for tree in slow]),
    ):
        size = 1 + max(of_fast.max(), max(of_slow))
        table = np.array(
            [np.bincount(of_fast, minlength=size), np.bincount(of_slow, minlength=size)]
        )
        assert chi2_contingency(table[:, table.sum(axis=0) >= 10]).pvalue > 1e-4


@pytest.mark.parametrize(
    "changes, shares",
    [
        # One operator with 2 or 3 digits, or a digit alone.
        ({"max_depth": 2, "max_args": 3, "min_length": 0, "max_length": 6}, {1: 6, 4: 1, 5: 1}),
        ({"max_depth": 2, "max_args": 3, "min_length": 1, "max_length": 6}, {4: 1, 5: 1}),
        # A root with two children, each a digit (3/4) or an operator with two digits (1/4).
        ({"max_depth": 3, "max_args": 2, "min_length": 1, "max_length": 99}, {4: 9, 7: 6, 10: 1}),
        ({"max_depth": 3, "max_args": 2, "min_length": 1, "max_length": 10}, {4: 9, 7: 6}),
    ],
)
@pytest.mark.parametrize("n, repeats", [(8000, 1), (5, 400)])
def test_lengths_follow_the_conditional_law(changes, shares, n, repeats):
    task, rng = listops(**changes), generator("law")
    lengths = np.concatenate([task.sample(rng, n).info["length"][:, -1] for _ in range(repeats)])
    assert set(lengths) == set(shares)
    seen = [(lengths == length).sum() for length in shares]
    expected = np.array(list(shares.values())) * len(lengths) / sum(shares.values())
    assert chisquare(seen, expected).pvalue > 1e-4


def exact_lengths(task):
    """(max_length,) probability of each length in tokens, from the recursion of the rule."""
    digit = np.zeros(task.max_length)
    digit[1] = 1
    law = digit
    for _ in range(task.max_depth - 1):
        operator, arguments = np.zeros_like(law), law
        for _ in range(2, task.max_args + 1):
            arguments = np.convolve(arguments, law)[: task.max_length]
            operator[2:] += arguments[:-2] / (task.max_args - 1)
        law = 0.75 * digit + 0.25 * operator
    return law


def test_official_lengths_follow_the_exact_law(official):
    law = exact_lengths(listops())[501:]
    assert abs(law.sum() - 0.0826) < 4 * np.sqrt(0.0826 / (12_000 / 0.0826))  # as published
    law /= law.sum()
    lengths = official.info["length"][:, -1]
    mean = law @ np.arange(501, 2000)
    assert abs(lengths.mean() - mean) < 4 * lengths.std() / np.sqrt(len(lengths))
    bins = np.arange(1499) // 50
    seen = np.bincount((lengths - 501) // 50, minlength=30)
    assert chisquare(seen, np.bincount(bins, law) * len(lengths)).pvalue > 1e-4


def test_published_shares_and_lengths(official):
    n = len(official.inputs)
    lengths = official.info["length"][:, -1]
    assert 500 < lengths.min() and lengths.max() < 2000
    # As measured on 12,000 examples of the official generator.
    error = np.sqrt(1 / 12_000 + 1 / n)
    assert abs(lengths.mean() - 1043) < 4 * error * lengths.std()
    assert abs(np.median(lengths) - 968) < 4 * 1.5 * error * lengths.std()
    assert (official.info["depth"][:, -1] == 9).all()
    shares = np.bincount(official.targets[:, -1], minlength=10) / n
    for digit, published in ((0, 0.172), (9, 0.167)):
        assert abs(shares[digit] - published) < 4 * error * np.sqrt(published * (1 - published))
    assert ((shares[1:9] > 0.055) & (shares[1:9] < 0.11)).all()


def test_published_baselines(official):
    n = len(official.inputs)
    guesses = listops().shortcuts(official)
    for name, published in (("root operator", 0.362), ("majority", 0.172)):
        error = np.sqrt(published * (1 - published) * (1 / 12_000 + 1 / n))
        assert abs(accuracy(guesses[name], official) - published) < 4 * error


def test_shuffled_targets_score_at_the_level_of_the_label_shares(official):
    shuffled = official._replace(targets=generator("order").permutation(official.targets))
    shares = np.bincount(official.targets[:, -1], minlength=10) / len(official.inputs)
    level = (shares**2).sum()
    error = np.sqrt(level * (1 - level) / len(official.inputs))
    assert abs(accuracy(listops().oracle(official), shuffled) - level) < 4 * error


def test_order_of_arguments_does_not_matter():
    def mirrored(tree):
        return tree if isinstance(tree, str) else (tree[0], *map(mirrored, tree[:0:-1]))

    task = listops(**SMALL)
    batch = task.sample(generator("mirror"), 100)
    number = {name: token for token, name in enumerate(task.token_names)}
    inputs = np.zeros_like(batch.inputs)
    for row, tree in zip(inputs, trees(task, batch), strict=True):
        tokens = [number[name] for name in written(mirrored(tree))]
        row[: len(tokens)] = tokens
    assert accuracy(task.oracle(batch._replace(inputs=inputs)), batch) == 1
    order = generator("order").permutation(100)
    assert (task.oracle(batch[order]) == task.oracle(batch)[order]).all()


@pytest.mark.parametrize(
    "length, least", [(2000, 500), (4000, 1000), (1000, 250), (500, 125), (7, 1)]
)
def test_other_lengths_keep_the_ratio_of_the_bounds(length, least):
    other = listops().at_length(length)
    assert other == listops(min_length=least, max_length=length)
    batch = other.sample(generator("length"), 4)
    assert ((least < batch.info["length"][:, -1]) & (batch.info["length"][:, -1] < length)).all()
    assert listops(**SMALL).at_length(200) == listops(
        **SMALL | {"min_length": 10, "max_length": 200}
    )


def test_lengths_out_of_reach_are_refused():
    with pytest.raises(HarnessError, match="max_length: should be greater"):
        listops().at_length(1)
    with pytest.raises(
        HarnessError, match="allow 26 tokens at most, min_length wants more: 26 <= 40"
    ):
        listops(max_depth=3, max_args=4, min_length=10, max_length=50).at_length(200)


def test_small_expressions_are_said_to_be_few():
    assert "fewer than 100,000" in listops(**SMALL).too_small_to_hold_out
    assert listops(**SMALL | {"min_length": 10}).too_small_to_hold_out == ""
    assert listops().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"min_length": 1999}, "strictly between min_length and max_length: 1999 + 1 >= 2000"),
        ({"max_depth": 3, "max_args": 4}, "allow 26 tokens at most, min_length wants more: 26 <="),
        ({"max_depth": 1}, "max_depth: "),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        listops(**changes)
    assert message in str(error.value)


def test_lengths_that_do_not_occur_are_reported_not_waited_for():
    task = listops(max_depth=3, max_args=2, min_length=4, max_length=7)  # lengths: 1, 4, 7, 10
    with pytest.raises(HarnessError, match=r"only 0 of .* had a length strictly between 4 and 7"):
        task.sample(generator(0), 4)
