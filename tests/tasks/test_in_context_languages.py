"""In-context languages: words walked again by hand, the laws of automata and words, n-grams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy
from tasks.base import with_loss

parameters = st.fixed_dictionaries(
    {
        "length": st.integers(4, 60),
        "num_letters": st.integers(4, 18),
        "min_letters": st.integers(3, 4),
        "min_states": st.integers(4, 5),
        "max_states": st.integers(5, 7),
        "max_edges": st.integers(1, 3),
        "max_word_length": st.integers(2, 12),
        "min_words": st.integers(2, 3),
        "max_words": st.integers(3, 6),
    }
)


def languages(**changes):
    return tasks.get("in_context_languages", **changes)


def text(task, batch, row):
    """The whole sequence as written, the last target included."""
    names = task.token_names
    last = batch.targets[row, -1]
    end = names[last] if last != IGNORE else ""
    return "".join(names[token] for token in batch.inputs[row]) + end


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_word_walks_its_automaton(chosen, seed):
    task = languages(**chosen)
    batch = task.sample(generator(seed), 6)
    automata = task._automata(generator(seed), 6)  # the first thing that is drawn
    truth = task.distribution(batch)
    for row in range(6):
        written = text(task, batch, row)
        body = written.rstrip(".")
        words = body.split("|")
        assert "." not in body and set(written) <= set(task.token_names)
        assert len(words) <= task.max_words
        if len(written) > len(body):  # whole, but for a bar that may follow as the last token
            assert len([word for word in words if word]) >= task.min_words
        assert all(1 <= len(word) <= task.max_word_length for word in words[:-1])
        left, position = {}, 0
        for number, word in enumerate(words):
            state = 0
            for index, letter in enumerate(word):
                edges = {
                    task.token_names[automata.letters[row, state, edge]]: int(
                        automata.targets[row, state, edge]
                    )
                    for edge in range(automata.num_edges[row, state])
                }
                if position:  # the first letter of all is no target
                    now = position - 1
                    assert batch.targets[row, now] == task.token_names.index(letter)
                    expected = [1 / len(edges) * (name in edges) for name in task.token_names]
                    assert truth[row, now] == pytest.approx(expected)
                    before = left.get(state, [])
                    distance = now - before[-1] if before else -1
                    facts = {name: fact[row, now] for name, fact in batch.info.items()}
                    del facts["_legal"]  # what the distribution was read from
                    assert facts == {
                        "words": number,
                        "letters": index,
                        "choices": len(edges),
                        "occurrences": len(before),
                        "distance": distance,
                        "circular_distance": min(distance, task.length - distance),
                    }
                left.setdefault(state, []).append(position)
                state = edges[letter]
                position += 1
            position += 1  # the bar
        letters = sum(len(word) for word in words)
        assert batch.scored[row].sum() == letters - 1
        assert (truth[row][~batch.scored[row]] == 0).all()


def test_automata_follow_the_rule():
    task, n = languages(), 4000
    automata = task._automata(generator("automata"), n)
    rng = generator("automata")
    num_states, num_letters = rng.integers(4, 13, size=n), rng.integers(4, 19, size=n)
    assert automata.targets.shape == automata.letters.shape == (n, 12, 3)
    states, alphabets = np.arange(12), []
    real = states < num_states[:, None]
    for array in (automata.targets, automata.letters):
        ordered = np.sort(array, axis=-1)
        assert (np.diff(ordered, axis=-1) > 0)[real].all()  # different ones
    assert (automata.targets != states[:, None])[real].all()
    assert (automata.targets < num_states[:, None, None])[real].all()
    for row in range(n):
        alphabets.append(len(np.unique(automata.letters[row])))
    assert (alphabets <= num_letters).all()
    assert np.mean(alphabets == num_letters) > 0.5  # 36 letters drawn from 18 at most

    def uniform(values, among):
        share = np.bincount(values, minlength=among.stop)[among.start :] / len(values)
        size = len(among)
        assert len(share) == size
        assert (np.abs(share - 1 / size) < 4 * np.sqrt(1 / size / len(values))).all()

    uniform(automata.num_edges[real], range(1, 4))
    twelve = num_states == 12
    others = automata.targets[twelve, 0, 1]
    uniform(others - 1, range(11))
    uniform(automata.letters[:, 2, 0], range(18))


def test_words_follow_the_rule():
    task, n = languages(length=949), 3000
    batch = task.sample(generator("words"), n)
    counts, lengths = [], []
    for row in range(n):
        words = text(task, batch, row).rstrip(".").split("|")
        counts.append(len(words))
        lengths += [len(word) for word in words]
    for values, low, high in ((counts, 10, 19), (lengths, 1, 49)):
        share = np.bincount(values, minlength=high + 1)[low:] / len(values)
        expected = 1 / (high + 1 - low)
        assert len(share) == high + 1 - low
        assert (np.abs(share - expected) < 4.5 * np.sqrt(expected / len(values))).all()


def test_share_of_whole_examples_at_the_default_length():
    letters, share = np.ones(1), 0.0  # how probable each number of letters is, word by word
    for words in range(1, 20):
        letters = np.convolve(letters, np.full(50, 1 / 49) * (np.arange(50) > 0))
        share += letters[: 513 - (words - 1) + 1].sum() / 10 * (words >= 10)
    assert share == pytest.approx(0.9247, abs=1e-4)
    task, n = languages(length=949), 10_000
    inputs = task.sample(generator("whole"), n).inputs
    whole = ((inputs != task.pad_token).sum(axis=1) <= 513).mean()
    assert abs(whole - share) < 4 * np.sqrt(share * (1 - share) / n)


def test_every_legal_letter_is_as_likely():
    task = languages(length=200)
    batch = task.sample(generator("walk"), 500)
    truth, choices = task.distribution(batch), batch.info["choices"]
    rank = np.take_along_axis(truth.cumsum(axis=2), np.maximum(batch.targets, 0)[..., None], 2)
    rank = np.rint(rank[..., 0] * choices)  # of the letter among the legal ones, from 1
    for number in (2, 3):
        here = batch.scored & (choices == number)
        for place in range(1, number + 1):
            share = (rank[here] == place).mean()
            # Steps of one walk are independent draws.
            error = np.sqrt((1 / number) * (1 - 1 / number) / here.sum())
            assert abs(share - 1 / number) < 4 * error
    assert (rank[batch.scored & (choices == 1)] == 1).all()
    right = accuracy(task.oracle(batch), batch)
    assert abs(right - (1 / choices[batch.scored]).mean()) < 4 * 0.5 / np.sqrt(batch.scored.sum())
    for letter in range(18):  # no letter is special
        assert abs(truth[batch.scored][:, letter].mean() - 1 / 18) < 0.02


def test_n_grams_against_a_plain_twin():
    task = languages(length=40, num_letters=6, max_word_length=8)
    batch = task.sample(generator("n-grams"), 20)
    shortcuts = task.shortcuts(batch)
    for row in range(20):
        tokens = batch.inputs[row].tolist()
        for position in range(40):
            guess = 0
            for order, name in enumerate(("most frequent so far", "bigram", "trigram")):
                now = tokens[position + 1 - order : position + 1]
                counts = [0] * 6
                for i in range(order, position + 1):
                    whole = position + 1 >= order
                    if whole and tokens[i - order : i] == now and tokens[i] < 6:
                        counts[tokens[i]] += 1
                guess = int(np.argmax(counts)) if any(counts) else guess
                assert shortcuts[name][row, position] == guess


def test_longer_n_grams_come_nearer_to_the_truth():
    task = languages(length=256)
    batch = task.sample(generator("nearer"), 200)
    truth = task.distribution(batch)
    shares, legal = [], []
    for guess in task.shortcuts(batch).values():
        shares.append(accuracy(guess, batch))
        said = np.take_along_axis(truth, guess[..., None], axis=2)[..., 0] > 0
        legal.append(said[batch.scored].mean())
    shares.append(accuracy(task.oracle(batch), batch))
    assert np.diff(shares).min() > 0.02 and np.diff(legal).min() > 0.02 and legal[-1] < 0.99


def test_neither_hidden_answers_nor_edits():
    task = languages(length=20)
    assert task.forms == ("answers", "all")
    assert task.edit(task.sample(generator(0), 2), generator(0)) is None
    assert task.too_small_to_hold_out == ""
    tiny = languages(length=4, num_letters=3, min_letters=3, max_edges=2)
    assert "no more than 81 inputs are sure to differ" in tiny.too_small_to_hold_out


def test_most_scored_positions():
    task = languages(length=20, max_word_length=2, min_words=9, max_words=12)
    batch = task.sample(generator("most"), 5000)
    assert batch.scored.sum(axis=1).max() == task.max_scored == 13
    few = languages(length=20, max_word_length=3, min_words=2, max_words=2)
    assert few.sample(generator("few"), 500).scored.sum(axis=1).max() == few.max_scored == 5


def test_the_last_letter_alone_is_what_mixers_that_see_everything_can_be_asked():
    every, last = languages(length=80), languages(length=80, scored="last")
    batch, alone = (task.sample(generator("last"), 60) for task in (every, last))
    assert (alone.inputs == batch.inputs).all() and last.max_scored == 1
    assert (alone.scored.sum(axis=1) == 1).all()
    at = 79 - batch.scored[:, ::-1].argmax(axis=1)  # of the last letter that is scored
    rows = np.arange(60)
    assert alone.scored[rows, at].all()
    assert (alone.targets[rows, at] == batch.targets[rows, at]).all()
    for name, fact in alone.info.items():
        assert (fact[rows, at] == batch.info[name][rows, at]).all()
        assert (fact[~alone.scored] == -1).all()
    assert np.array_equal(last.distribution(alone)[rows, at], every.distribution(batch)[rows, at])
    inputs, targets = with_loss(last, alone, "masked")
    assert (inputs[rows, at + 1] == last.num_tokens).all()
    assert (targets[rows, at + 1] == alone.targets[rows, at]).all()
    assert ((inputs == last.num_tokens).sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"min_letters": 19}, "min_letters must be <= num_letters: 19 > 18"),
        ({"min_states": 13}, "min_states must be <= max_states: 13 > 12"),
        ({"min_words": 20}, "min_words must be <= max_words: 20 > 19"),
        ({"max_edges": 5}, "max_edges must be <= min_letters: 5 > 4"),
        ({"max_edges": 4}, "so max_edges must be < min_states: 4 >= 4"),
        ({"num_letters": 27}, "num_letters: should be less than or equal to 26, got 27"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        languages(**changes)
    assert message in str(error.value)
