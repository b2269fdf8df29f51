"""N-gram lookup: the text read token by token, its law by enumeration, edits."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, accuracy

parameters = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["prefix", "suffix"]),
        "alphabet_size": st.integers(3, 26),
        "length": st.integers(2, 30),
        "ngram": st.integers(1, 4),
        "answer_length": st.integers(1, 4),
    }
)


def lookup(**changes):
    return tasks.get("ngram_lookup", **changes)


def possible(chosen):
    ngram, answer = chosen["ngram"], chosen["answer_length"]
    size = max(chosen["alphabet_size"], ngram + 2)
    length = min(max(chosen["length"], ngram + answer), 4 * size**ngram)
    return lookup(**chosen | {"length": length, "alphabet_size": size})


def read(task, tokens):
    """One example, read token by token: (string, n-gram, answer without its last letter)."""
    text = "".join(chr(token) if token < 2 else chr(95 + token) for token in tokens)
    text = text.replace(chr(0), "$").replace(chr(1), "|")
    assert text[0] == "$"
    if task.kind == "prefix":
        ngram, string, answer = text[1:].split("|")
    else:
        string, rest = text[1:].split("|")
        ngram, answer = rest[: task.ngram], rest[task.ngram :]
    assert (len(string), len(ngram)) == (task.length, task.ngram)
    assert len(answer) == task.answer_length - 1
    return string, ngram, answer


def places(string, part):
    return [i for i in range(len(string) - len(part) + 1) if string[i:].startswith(part)]


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_obeys_the_rule(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 10)
    assert (task.oracle(batch) == batch.targets).all()
    for row in range(10):
        tokens = batch.inputs[row].tolist()
        string, ngram, begun = read(task, tokens)
        (place,) = places(string, ngram)
        answer = string[place + task.ngram :][: task.answer_length]
        assert len(answer) == task.answer_length and answer[:-1] == begun
        scored = np.flatnonzero(batch.scored[row]).tolist()
        assert scored == list(range(len(tokens) - task.answer_length, len(tokens)))
        start = 1 if task.kind == "suffix" else task.ngram + 2
        for index, position in enumerate(scored):
            assert chr(95 + batch.targets[row, position]) == answer[index]
            source = start + place + task.ngram + index
            assert tokens[source] == batch.targets[row, position]
            facts = {name: values[row, position] for name, values in batch.info.items()}
            distance = position - source
            assert facts == {
                "distance": distance,
                "circular_distance": min(distance, len(tokens) - distance),
                "position": index,
                "occurrences": string.count(ngram[-1]),
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
    width = task.ngram + task.answer_length
    for row in range(10):
        string, ngram, _ = read(task, batch.inputs[row].tolist())
        (place,) = places(string, ngram)
        changed = {}
        for name, edited in (("evidence", evidence), ("distractor", distractor)):
            other, same_ngram, begun = read(task, edited.inputs[row].tolist())
            assert same_ngram == ngram and places(other, ngram) == [place]
            assert other[place + task.ngram :].startswith(begun)
            changed[name] = [i for i in range(task.length) if other[i] != string[i]]
        assert changed["evidence"] == list(range(place + task.ngram, place + width))
        assert len(changed["distractor"]) == (task.length > width)
        assert not set(changed["distractor"]) & set(range(place, place + width))


@pytest.mark.parametrize("ngram", [1, 2])
def test_texts_have_the_law_of_the_rule(ngram):
    task = lookup(alphabet_size=4, length=4, ngram=ngram)
    law = Counter()
    for letters in product("abcd", repeat=4):
        string = "".join(letters)
        parts = [string[i : i + ngram] for i in range(4 - ngram)]
        parts = [part for part in parts if len(places(string, part)) == 1]
        for part in parts:
            law[string, part] += Fraction(1, len(parts))
    total, n = sum(law.values()), 40_000
    batch = task.sample(generator("law", ngram), n)
    seen = Counter(read(task, tokens)[:2] for tokens in batch.inputs.tolist())
    assert set(seen) <= set(law)
    for text, weight in law.items():
        share = float(weight / total)
        assert abs(seen[text] / n - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_both_kinds_hold_the_same():
    batches = {}
    for kind in ("prefix", "suffix"):
        task = lookup(kind=kind, ngram=3, answer_length=2)
        batch = task.sample(generator("same"), 50)
        batches[kind] = [read(task, tokens) for tokens in batch.inputs.tolist()], batch.targets
    assert batches["prefix"][0] == batches["suffix"][0]
    prefix, suffix = (batches[kind][1][:, -2:] for kind in ("prefix", "suffix"))
    assert (prefix == suffix).all()


def test_shortcuts_match_plain_ones():
    for ngram, length in ((1, 16), (3, 40)):
        task = lookup(alphabet_size=6, length=length, ngram=ngram, answer_length=2)
        batch = task.sample(generator("shortcuts"), 200)
        shortcuts = task.shortcuts(batch)
        assert len(shortcuts) == (2 if ngram == 1 else 3)
        for row in range(200):
            string, part, _ = read(task, batch.inputs[row].tolist())
            said = {
                name: "".join(chr(95 + token) for token in guess[row, -2:])
                for name, guess in shortcuts.items()
            }
            frequent = min(string, key=lambda letter: (-string.count(letter), letter))
            assert said["most frequent letter"] == 2 * frequent
            assert said["last letter"] == 2 * string[-1]
            if ngram == 3:
                # Not at the very start, nor where the answer would run over the end.
                found = [i for i in places(string, part[1:]) if 1 <= i <= 36]
                after = max(found) + 2
                assert said["by all but the first letter"] == string[after : after + 2]


def test_the_last_letter_alone_misleads_where_it_occurs_again():
    task = lookup(alphabet_size=10)
    batch = task.sample(generator("local"), 4000)
    right = (task.shortcuts(batch)["by all but the first letter"] == batch.targets)[:, -1]
    occurrences = batch.info["occurrences"][:, -1]
    assert right[occurrences == 1].all()
    assert right[occurrences > 1].mean() < 0.7


def test_shuffled_targets_score_at_chance():
    task, n = lookup(), 10_000
    batch = task.sample(generator("shuffled"), n)
    shuffled = batch._replace(targets=generator("order").permutation(batch.targets))
    error = np.sqrt(task.chance * (1 - task.chance) / n)
    assert abs(accuracy(task.oracle(batch), shuffled) - 1 / 26) < 4 * error


def test_relabelled_examples_score_the_same():
    task = lookup(answer_length=3)
    batch = task.sample(generator("relabel"), 100)
    label = np.concatenate([np.arange(2), 2 + generator("labels").permutation(26)])
    targets = np.where(batch.scored, label[batch.targets.clip(0)], IGNORE)
    renamed = batch._replace(inputs=label[batch.inputs], targets=targets)
    assert accuracy(task.oracle(renamed), renamed) == 1


def test_small_tasks_do_not_hold_out():
    task = lookup(alphabet_size=4, length=3, ngram=1)
    seen = np.unique(task.sample(generator("all"), 4000).inputs, axis=0)
    assert len(seen) <= 2 * 4**3
    assert "only 128 different inputs" in task.too_small_to_hold_out
    assert lookup().too_small_to_hold_out == ""


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"length": 2}, "length must be >= ngram + answer_length: 2 < 2 + 1"),
        ({"alphabet_size": 4, "ngram": 3}, "alphabet_size must be >= ngram + 2: 4 < 3 + 2"),
        (
            {"ngram": 14, "length": 40},
            "alphabet_size^ngram must be <= 2^62: 26^14",
        ),
        (
            {"alphabet_size": 4, "length": 65},
            "length must be <= 4 x alphabet_size^ngram: 65 > 4 x 4^2",
        ),
        ({"kind": "infix"}, "kind: "),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        lookup(**changes)
    assert message in str(error.value)
