"""String copying: the text read token by token, both paddings, other lengths, edits."""

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

parameters = st.fixed_dictionaries(
    {
        "alphabet_size": st.integers(2, 30),
        "min_length": st.integers(1, 12),
        "max_length": st.integers(1, 12),
        "pad": st.sampled_from(["right", "left"]),
    }
)


def copying(**changes):
    return tasks.get("copying", **changes)


def possible(chosen):
    low, high = sorted((chosen["min_length"], chosen["max_length"]))
    return copying(**chosen | {"min_length": low, "max_length": high})


def read(task, tokens):
    """One example, read token by token: (string, position -> what should come next)."""
    names = [task.token_names[token] for token in tokens]
    start = names.index("$")
    assert set(names[:start]) <= {"*"}
    string, rest = names[start + 1 : names.index("|")], names[names.index("|") :]
    text = ["|", *string, "."]
    if task.pad == "right":
        assert start == 0
        text += ["*"] * task.input_length
    else:
        assert len(rest) == len(string)
    assert rest == text[: len(rest)]
    first = names.index("|")
    return string, {first + i: letter for i, letter in enumerate(string)}


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        tokens = batch.inputs[row].tolist()
        string, answers = read(task, tokens)
        assert task.min_length <= len(string) <= task.max_length
        assert set(string) <= set(task.token_names[4:])
        assert np.flatnonzero(batch.scored[row]).tolist() == list(answers)
        for index, (position, letter) in enumerate(answers.items()):
            assert task.token_names[batch.targets[row, position]] == letter
            assert task.token_names[tokens[position - len(string)]] == letter
            facts = {name: values[row, position] for name, values in batch.info.items()}
            assert facts == {
                "distance": len(string),
                "position": index,
                "occurrences": string.count(string[index - 1]) if index else 0,
            }


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    assert (task.oracle(evidence) == evidence.targets).all()
    assert (evidence.scored == batch.scored).all()
    assert (evidence.targets != batch.targets)[batch.scored].all()
    assert (distractor.inputs == batch.inputs).all()
    assert (distractor.targets == batch.targets).all()
    for row in range(10):
        string, answers = read(task, batch.inputs[row].tolist())
        other, same_places = read(task, evidence.inputs[row].tolist())
        assert list(same_places) == list(answers)
        assert all(a != b for a, b in zip(string, other, strict=True))


def test_by_hand():
    names = copying(min_length=1, max_length=3).token_names
    for pad, short, long in (
        ("right", "$ab|ab.", "$abc|ab"),
        ("left", "**$ab|a", "$abc|ab"),
    ):
        task = copying(alphabet_size=3, min_length=2, max_length=3, pad=pad)
        strings = np.array([[4, 5, 6], [4, 5, 6]])
        batch = task._written(strings, np.array([2, 3]))
        assert ["".join(names[token] for token in row) for row in batch.inputs] == [short, long]
    assert names == [*"*$|.", *"abcdefghijklmnopqrstuvwxyz"]


def test_lengths_and_letters_are_uniform():
    task, n = copying(), 8000
    batch = task.sample(generator("uniform"), n)
    lengths = batch.scored.sum(axis=1)
    assert chisquare(np.bincount(lengths)[5:]).pvalue > 1e-4 and lengths.max() == 20
    letters = np.bincount(batch.targets[batch.scored], minlength=30)
    assert not letters[:4].any() and chisquare(letters[4:]).pvalue > 1e-4


def test_shortcuts_match_plain_ones():
    task = copying(alphabet_size=5, min_length=2, max_length=8, pad="left")
    batch = task.sample(generator("shortcuts"), 200)
    shortcuts = task.shortcuts(batch)
    for row in range(200):
        string, answers = read(task, batch.inputs[row].tolist())
        said = {name: guess[row] for name, guess in shortcuts.items()}
        frequent = min(string, key=lambda letter: (-string.count(letter), letter))
        for index, position in enumerate(answers):
            guesses = {name: task.token_names[guess[position]] for name, guess in said.items()}
            assert guesses["most frequent letter"] == frequent
            assert guesses["last letter"] == string[-1]
            follower = string[0]
            if index:
                places = [i for i in range(len(string) - 1) if string[i] == string[index - 1]]
                follower = string[max(places) + 1]
            assert guesses["what followed this letter"] == follower


def test_a_letter_tells_what_follows_unless_it_occurs_again():
    task = copying()
    batch = task.sample(generator("local"), 2000)
    right = task.shortcuts(batch)["what followed this letter"] == batch.targets
    once = batch.info["occurrences"] == 1
    assert right[once].all()
    assert 0.4 < right[batch.info["occurrences"] > 1].mean() < 0.6


def test_shuffled_targets_score_at_chance():
    task, n = copying(min_length=20), 2000
    batch = task.sample(generator("shuffled"), n)
    shuffled = batch._replace(targets=generator("order").permutation(batch.targets))
    error = np.sqrt(task.chance * (1 - task.chance) / (20 * n))
    assert abs(accuracy(task.oracle(batch), shuffled) - 1 / 26) < 4 * error


def test_relabelled_examples_score_the_same():
    task = copying()
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate([np.arange(4), 4 + generator("labels").permutation(26)])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1


def test_other_lengths_have_that_length_alone():
    task = copying().at_length(50)
    assert task == copying(min_length=50, max_length=50)
    assert (task.sample(generator(0), 5).scored.sum(axis=1) == 50).all()
    assert task.input_length == 101


def test_count_of_different_inputs():
    for pad in ("right", "left"):
        task = copying(alphabet_size=3, min_length=1, max_length=3, pad=pad)
        batch = task.sample(generator("all"), 3000)
        # By the text that is meant: the input of the longest lacks its last letter.
        texts = np.concatenate([batch.inputs, batch.targets], axis=1)
        assert len(np.unique(texts, axis=0)) == 3 + 9 + 27
        assert len(np.unique(batch.inputs, axis=0)) == 3 + 9 + 27
        assert "there are only 39 different inputs" in task.too_small_to_hold_out
    assert copying().too_small_to_hold_out == ""
    assert copying(min_length=100, max_length=300).too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"min_length": 21}, "min_length must be <= max_length: 21 > 20"),
        ({"alphabet_size": 1}, "alphabet_size: should be greater than or equal to 2, got 1"),
        ({"max_length": 0}, "max_length: should be greater than or equal to 1, got 0"),
        ({"pad": "both"}, "pad: "),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        copying(**changes)
    assert message in str(error.value)
