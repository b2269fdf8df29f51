"""Expressions from files: as `listops` draws them, checked labels, malformed lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tests.tasks.official_files import as_it_is_written, temporary_folder, write_expressions

GOOD = "( ( ( [MAX 2 ) 9 ) ] )"


def listops(folder, **changes):
    return tasks.get("lra_listops", folder=str(folder), **changes)


def value(tokens):
    """The expression worked out token by token."""
    stack = [[]]
    for token in tokens:
        if token == "]":
            operator, *arguments = stack.pop()
            ordered, middle = sorted(arguments), (len(arguments) - 1) // 2
            stack[-1].append(
                {
                    "[MIN": min(arguments),
                    "[MAX": max(arguments),
                    "[SM": sum(arguments) % 10,
                    "[MED": (ordered[middle] + ordered[len(arguments) // 2]) // 2,
                }[operator]
            )
        elif token.startswith("["):
            stack.append([token])
        else:
            stack[-1].append(int(token))
    return stack[0][0]


expression = st.recursive(
    st.integers(0, 9).map(str),
    lambda inner: st.tuples(
        st.sampled_from(["[MIN", "[MAX", "[MED", "[SM"]), st.lists(inner, min_size=1, max_size=4)
    ).map(lambda parts: " ".join([parts[0], *parts[1], "]"])),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(expression, min_size=1, max_size=8), st.booleans())
def test_every_expression_is_read_and_worked_out(expressions, nested):
    folder = temporary_folder()
    rows = [
        (as_it_is_written(each) if nested else each, value(each.split())) for each in expressions
    ]
    write_expressions(folder, {"train": rows, "val": rows[:1], "test": rows[-1:]})
    task = listops(folder, length=60)
    batch = task.read("train", np.arange(len(rows)))
    for row, each in enumerate(expressions):
        tokens = each.split()
        names = [task.token_names[token] for token in batch.inputs[row]]
        assert names == tokens + ["_"] * (60 - len(tokens))
        assert batch.targets[row, -1] == rows[row][1]
        level = np.cumsum([token[0] == "[" for token in tokens])
        level = level - np.cumsum([token == "]" for token in tokens])
        facts = {name: fact[row, -1] for name, fact in batch.info.items()}
        assert facts == {
            "depth": level.max(),
            "length": len(tokens),
            "operators": sum(token[0] == "[" for token in tokens),
        }
    assert (task.oracle(batch)[:, -1] == batch.targets[:, -1]).all()


def test_what_listops_draws_is_read_back_from_a_file(tmp_path):
    drawn = tasks.get("listops", max_depth=5, min_length=10, max_length=81)
    batch = drawn.sample(generator("to files"), 60)
    rows = []
    for tokens, label in zip(batch.inputs, batch.targets[:, -1], strict=True):
        text = " ".join(drawn.token_names[token] for token in tokens if token != 0)
        rows.append((as_it_is_written(text), int(label)))
    write_expressions(tmp_path, {"train": rows, "val": rows[:2], "test": rows[:2]})
    task = listops(tmp_path, length=80)
    read = task.read("train", np.arange(60))
    assert (read.inputs == batch.inputs).all() and (read.targets == batch.targets).all()
    assert read.info.keys() == batch.info.keys()
    assert all((read.info[name] == batch.info[name]).all() for name in read.info)
    assert (task.token_names, task.num_tokens) == (drawn.token_names, drawn.num_tokens)


def test_official_splits_and_shortcuts_by_hand(tmp_path):
    train = [("[MIN 1 7 ]", 1), ("[MIN 2 7 ]", 2), ("[MIN 8 2 ]", 2), ("[MAX 3 4 ]", 4),
             ("[SM 9 5 ]", 4), ("[MAX 2 4 ]", 4), ("5", 5)]  # fmt: skip
    test = [("[MIN 3 4 ]", 3), ("[MED 1 2 ]", 1), ("[SM 1 1 ]", 2), ("5", 5)]
    write_expressions(tmp_path, {"train": train, "val": train[:2], "test": test})
    task = listops(tmp_path, length=5)
    assert [task.num_rows(role) for role in ("train", "validation", "test")] == [7, 2, 4]
    guesses = task.shortcuts(task.read("test", np.arange(4)))
    assert guesses["root operator"][:, -1].tolist() == [2, 4, 4, 5]  # an unseen root: the majority
    assert guesses["majority"][:, -1].tolist() == [4, 4, 4, 4]


@pytest.mark.parametrize(
    "line, message",
    [
        (GOOD, "expected 2 columns, got 1"),
        (f"{GOOD}\t9\t9", "expected 2 columns, got 3"),
        (f"{GOOD}\t10", r"the label should be 0 \.\. 9, got '10'"),
        (f"{GOOD}\tx", r"the label should be 0 \.\. 9, got 'x'"),
        ("\t3", "the expression should begin with a token, got ''"),
        ("MAX 2 3\t3", "the expression should begin with a token, got 'MAX 2 3'"),
    ],
)
def test_malformed_lines_are_found_at_once(tmp_path, line, message):
    rows = {split: [(GOOD, 9), (GOOD, 9)] for split in ("train", "val", "test")}
    write_expressions(tmp_path, rows)
    path = tmp_path / "basic_test.tsv"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(HarnessError, match=message) as error:
        listops(tmp_path).num_rows("test")
    assert f"{path}:4: " in str(error.value) and "fix: mend the line" in str(error.value)


@pytest.mark.parametrize(
    "source, label, message",
    [
        ("( ( [MAX 2 ) FIRST ) ]", 2, r"unknown token 'FIRST', expected 0 1 2 .*\[SM \]"),
        ("[MAX 2 [MIN 3 ]", 3, "the brackets do not form one expression"),
        ("[MAX 2 ] ]", 2, "the brackets do not form one expression"),
        ("[MAX 2 ] [MIN 3 4 ]", 2, "the brackets do not form one expression"),
        ("[MAX 2 ] 3", 2, "the brackets do not form one expression"),
        ("2 3", 2, "the brackets do not form one expression"),
        ("] 2", 2, "the brackets do not form one expression"),
        ("[MAX 2 [MIN ] ]", 2, "the brackets do not form one expression"),
        ("[MAX", 2, "the brackets do not form one expression"),
        (GOOD, 8, "the label is 8, the expression's value 9"),
        ("( ( ( [MED 1 ) 4 ) ] )", 3, "the label is 3, the expression's value 2"),
        ("[MAX 1 2 3 4 5 6 7 8 ]", 8, "the expression has 10 tokens, length is 8"),
    ],
)
def test_malformed_expressions_are_found_when_read(tmp_path, source, label, message):
    rows = {"train": [(GOOD, 9)], "val": [(GOOD, 9)], "test": [(GOOD, 9), (source, label)]}
    write_expressions(tmp_path, rows)
    task = listops(tmp_path, length=8)
    assert task.num_rows("test") == 2
    with pytest.raises(HarnessError, match=message) as error:
        task.read("test", np.array([0, 1]))
    assert f"{tmp_path / 'basic_test.tsv'}:3: " in str(error.value)
    assert (task.read("test", np.array([0])).targets[:, -1] == 9).all()


def test_the_header_is_that_of_the_release(tmp_path):
    write_expressions(tmp_path, {split: [(GOOD, 9)] for split in ("train", "val", "test")})
    path = tmp_path / "basic_val.tsv"
    path.write_text(f"{GOOD}\t9\n")
    with pytest.raises(HarnessError, match=r"the first line should be 'Source\\tTarget'") as error:
        listops(tmp_path).num_rows("selection")
    assert f"{path}:1: " in str(error.value)
    path.unlink()
    with pytest.raises(HarnessError, match=r"basic_val\.tsv is missing here"):
        listops(tmp_path).num_rows("test")
