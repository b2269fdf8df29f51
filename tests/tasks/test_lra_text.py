"""Reviews: tables and single files, cuts, splits, everything that may be wrong with a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from tests.tasks.official_files import (
    temporary_folder,
    write_reviews_as_files,
    write_reviews_as_tables,
)

ROWS = [(index % 2, f"review {index}" + " and more" * (index % 3)) for index in range(40)]


def text(folder, **changes):
    return tasks.get("lra_text", folder=str(folder), **changes)


def everything(task, role):
    """(label, text) of every row of the role's split, padding left out."""
    batch = task.read(role, np.arange(task.num_rows(role)))
    out = []
    for tokens, label in zip(batch.inputs.tolist(), batch.targets[:, -1].tolist(), strict=True):
        size = next((place for place, token in enumerate(tokens) if token == 0), len(tokens))
        assert not any(tokens[size:])
        out.append((label, bytes(token - 1 for token in tokens[:size])))
    return out


def encoded(rows):
    return [(label, words.encode()) for label, words in rows]


@pytest.fixture
def folder(tmp_path):
    write_reviews_as_tables(tmp_path, {"train": ROWS, "test": ROWS[:7]})
    return tmp_path


def test_splits(folder):
    task = text(folder, length=100)
    train, validation = everything(task, "train"), everything(task, "validation")
    assert (len(train), len(validation)) == (36, 4)
    assert sorted(train + validation) == sorted(encoded(ROWS))
    assert everything(task, "test") == encoded(ROWS[:7])
    assert everything(task, "selection") == validation
    assert len(everything(text(folder, held_out=0.5), "validation")) == 20


def test_the_official_protocol_validates_on_the_test_half(folder):
    task = text(folder, length=100, held_out=0.0)
    assert everything(task, "train") == encoded(ROWS)
    assert everything(task, "validation") == everything(task, "test") == encoded(ROWS[:7])


def test_files_say_what_tables_say(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    write_reviews_as_files(place, {"train": encoded(ROWS), "test": encoded(ROWS[:7])})
    for task in (text(place, length=100), text(place / "aclImdb", length=100)):
        found = everything(task, "train") + everything(task, "validation")
        assert sorted(found) == sorted(encoded(ROWS))
        by_label = sorted(encoded(ROWS[:7]), key=lambda row: row[0])
        assert everything(task, "test") == by_label  # neg before pos, each by name


def test_long_texts_are_cut_and_their_length_is_known(folder):
    task = text(folder, length=8)
    batch = task.read("test", np.array([2, 0]))
    assert batch.inputs.shape == (2, 8)
    assert bytes((batch.inputs[0] - 1).tolist()) == b"review 2"
    assert batch.info["length"][:, -1].tolist() == [26, 8]
    assert (batch.info["length"][:, :-1] == -1).all()
    assert task.at_length(3).input_length == 3
    assert task.drawing(batch, 0) == ["review 2"]


letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), letters), min_size=1, max_size=6),
    st.sampled_from([("label", "text"), ("text", "label")]),
)
def test_any_text_is_read_back_from_a_table(rows, columns):
    folder = temporary_folder()
    write_reviews_as_tables(folder, {"train": rows, "test": rows}, columns)
    task = text(folder, length=100, held_out=0.0)
    batch = task.read("test", np.arange(len(rows)))
    for row, (label, words) in enumerate(rows):
        data = words.encode()
        assert batch.inputs[row, : len(data)].tolist() == [byte + 1 for byte in data]
        assert not batch.inputs[row, len(data) :].any()
        assert batch.targets[row, -1] == label


def test_a_table_as_other_programs_write_it(tmp_path):
    content = '\ufefftext,id,label\r\n"two\r\nlines, ""so""",7,pos\r\nplain\u2028text,8,neg\r\n'
    for half in ("train", "test"):
        (tmp_path / f"{half}.csv").write_bytes(content.encode())
    task = text(tmp_path, length=40, held_out=0.0)
    assert everything(task, "test") == [
        (1, b'two\r\nlines, "so"'),
        (0, "plain\u2028text".encode()),
    ]


HEAD = b"label,text\n"


@pytest.mark.parametrize(
    "content, line, message",
    [
        (b"", "", "the file holds no review"),
        (HEAD, "", "the file holds no review"),
        (b"1,good\n", ":1", "should name the columns label and text, got '1,good'"),
        (HEAD + b'1,"a\nb"\n2,bad\n', ":4", r"should be 0 .. 1 \(or neg, pos\), got '2'"),
        (HEAD + b"1,good\n0\n", ":3", "expected 2 columns, got 1"),
        (HEAD + b"1,good, bad\n", ":2", "expected 2 columns, got 3"),
        (HEAD + b"1,caf\xe9\n", ":2", "can't decode byte 0xe9"),
        (HEAD + b'1,good\n0,"open\n', ":3", "unexpected end of data"),
    ],
)
def test_malformed_tables(folder, content, line, message):
    (folder / "test.csv").write_bytes(content)
    with pytest.raises(HarnessError, match=message) as error:
        text(folder).num_rows("test")
    assert f"{folder / 'test.csv'}{line}: " in str(error.value) and "fix: " in str(error.value)


@pytest.mark.parametrize("half", ["train", "test"])
def test_one_of_the_tables(folder, half):
    (folder / f"{half}.csv").unlink()
    with pytest.raises(HarnessError, match=rf"{half}\.csv is missing here"):
        text(folder).num_rows("train")


def test_half_of_the_files(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("files")
    write_reviews_as_files(other, {"train": encoded(ROWS), "test": encoded(ROWS[:1])})
    with pytest.raises(HarnessError, match=r"aclImdb: test/pos is missing here"):
        text(other).num_rows("train")
    (other / "aclImdb" / "test" / "pos").mkdir()
    with pytest.raises(HarnessError, match=r"test/pos: there is no \.txt file here"):
        text(other).num_rows("test")


def test_too_few_reviews_to_hold_out(tmp_path):
    write_reviews_as_tables(tmp_path, {"train": ROWS[:4], "test": ROWS[:4]})
    with pytest.raises(HarnessError, match="no example is left for the split validation"):
        text(tmp_path).num_rows("validation")
    assert text(tmp_path, held_out=0.25).num_rows("validation") == 1


@pytest.mark.parametrize("changes", [{"held_out": 1.0}, {"held_out": -0.1}, {"length": 0}])
def test_impossible_parameters(changes):
    with pytest.raises(HarnessError, match=next(iter(changes))):
        text("anywhere", **changes)
