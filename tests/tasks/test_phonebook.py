"""Phonebook: the book read token by token, uniform draws, edits."""

from __future__ import annotations

from math import factorial

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
        "num_entries": st.integers(2, 12),
        "name_length": st.integers(1, 4),
        "number_length": st.integers(1, 6),
        "name_tokens": st.integers(2, 30),
    }
)


def phonebook(**changes):
    return tasks.get("phonebook", **changes)


def possible(chosen):
    names = chosen["name_tokens"] ** chosen["name_length"]
    return phonebook(**chosen | {"num_entries": min(chosen["num_entries"], names)})


def read(task, tokens):
    """One example, read token by token: (entries (name, number), asked name, digits after it)."""
    names = [task.token_names[token] for token in tokens]
    entries, name, number, in_number = [], [], [], False
    for token in names:
        if token == ":":
            assert not in_number
            in_number = True
        elif token == ";":
            entries.append((tuple(name), "".join(number)))
            name, number, in_number = [], [], False
        else:
            assert token.isdigit() == in_number
            (number if in_number else name).append(token)
    assert in_number
    return entries, tuple(name), "".join(number)


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    assert (task.oracle(batch) == batch.targets).all()
    width = task.number_length
    for row in range(10):
        tokens = batch.inputs[row].tolist()
        entries, asked, begun = read(task, tokens)
        book = dict(entries)
        assert len(book) == len(entries) == task.num_entries
        for name, number in entries:
            assert len(name) == task.name_length and len(number) == width
            assert number[0] in "6789"
        answer = book[asked]
        assert begun == answer[:-1]
        scored = np.flatnonzero(batch.scored[row]).tolist()
        assert scored == list(range(len(tokens) - width, len(tokens)))
        place = [name for name, _ in entries].index(asked)
        for index, position in enumerate(scored):
            assert str(batch.targets[row, position]) == answer[index]
            source = place * (task.name_length + width + 2) + task.name_length + 1 + index
            assert str(tokens[source]) == answer[index]
            facts = {name: values[row, position] for name, values in batch.info.items()}
            assert facts == {
                "distance": position - source,
                "circular_distance": min(position - source, len(tokens) - (position - source)),
                "position": index,
                "occurrences": sum(name[-1] == asked[-1] for name in book),
            }


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    for edited in (evidence, distractor):
        assert (task.oracle(edited) == edited.targets).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        entries, asked, begun = read(task, batch.inputs[row].tolist())
        for name, edited in (("evidence", evidence), ("distractor", distractor)):
            after, same_name, now_begun = read(task, edited.inputs[row].tolist())
            assert same_name == asked and [key for key, _ in after] == [key for key, _ in entries]
            assert dict(after)[asked].startswith(now_begun)
            assert all(number[0] in "6789" for _, number in after)
            pairs = zip(entries, after, strict=True)
            changed = [(old, new) for old, new in pairs if old != new]
            (((key, old), (_, new)),) = changed
            assert (key == asked) == (name == "evidence")
            assert all(a != b for a, b in zip(old, new, strict=True))
            assert (now_begun == begun) == (name == "distractor" or task.number_length == 1)


def test_draws_are_uniform():
    task, n = phonebook(num_entries=3, name_length=2, number_length=2, name_tokens=2), 12_000
    batch = task.sample(generator("uniform"), n)
    names, numbers, asked = task._read(batch.inputs)
    code = (names - 12) @ np.array([2, 1])
    orders = np.unique(code, axis=0, return_counts=True)[1]
    assert len(orders) == 24 and chisquare(orders).pvalue > 1e-4
    places = np.bincount(task._place(names, asked))
    assert len(places) == 3 and chisquare(places).pvalue > 1e-4
    first = np.bincount(numbers[..., 0].ravel(), minlength=10)
    assert not first[:6].any() and chisquare(first[6:]).pvalue > 1e-4
    assert chisquare(np.bincount(numbers[..., 1].ravel())).pvalue > 1e-4


def test_chance_is_that_of_shuffled_answers():
    task, n = phonebook(), 20_000
    batch = task.sample(generator("shuffled"), n)
    assert task.chance == pytest.approx((1 / 4 + 3 / 10) / 4)
    assert phonebook(number_length=1).chance == 1 / 4
    shuffled = batch._replace(targets=generator("order").permutation(batch.targets))
    error = np.sqrt(task.chance * (1 - task.chance) / (4 * n))
    assert abs(accuracy(task.oracle(batch), shuffled) - task.chance) < 4 * error


def test_shortcuts_match_plain_ones():
    task = phonebook(num_entries=9, name_tokens=4)
    batch = task.sample(generator("shortcuts"), 100)
    shortcuts = task.shortcuts(batch)
    assert len(shortcuts) == 3
    for row in range(100):
        entries, asked, _ = read(task, batch.inputs[row].tolist())
        said = {k: "".join(map(str, guess[row, -4:])) for k, guess in shortcuts.items()}
        assert said["last number"] == entries[-1][1]
        places = list(zip(*(number for _, number in entries), strict=True))
        frequent = [min(place, key=lambda digit: (-place.count(digit), digit)) for place in places]
        assert said["most frequent digit at its place"] == "".join(frequent)
        ending = [number for name, number in entries if name[-1] == asked[-1]]
        assert said["number by the end of the name"] == ending[-1]
    one = phonebook(name_length=1)
    assert len(one.shortcuts(one.sample(generator(0), 5))) == 2


def test_relabelled_and_permuted_books_score_the_same():
    task = phonebook()
    batch = task.sample(generator("relabel"), 100)
    digits = generator("digits").permutation(10)
    label = np.concatenate([digits, [10, 11], 12 + generator("names").permutation(26)])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1
    book = batch.inputs[:, :160].reshape(100, 20, 8)
    inputs = batch.inputs.copy()
    inputs[:, :160] = generator("order").permutation(book, axis=1).reshape(100, 160)
    assert accuracy(task.oracle(batch._replace(inputs=inputs)), batch) == 1


def test_count_of_different_inputs():
    task = phonebook(num_entries=2, name_length=1, number_length=1, name_tokens=3)
    seen = np.unique(task.sample(generator("all"), 5000).inputs, axis=0)
    assert len(seen) == factorial(3) * 4**2 * 2
    assert "only 192 different inputs" in task.too_small_to_hold_out
    assert phonebook().too_small_to_hold_out == ""
    assert phonebook().at_length(40) == phonebook(num_entries=40)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_entries": 677}, "num_entries must be <= name_tokens^name_length: 677 > 26^2"),
        ({"name_length": 7}, "name_tokens^name_length must be <= 2^31: 26^7"),
        ({"num_entries": 1}, "num_entries: should be greater than or equal to 2, got 1"),
        ({"number_length": 0}, "number_length: should be greater than or equal to 1, got 0"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        phonebook(**changes)
    assert message in str(error.value)
