"""Pairs of papers: what a line says, where the documents stand, malformed lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from tests.tasks.official_files import temporary_folder, write_pairs

document = st.binary(max_size=15).filter(lambda text: not set(text) & set(b"\t\r\n"))
pairs = st.lists(
    st.tuples(st.sampled_from(["0", "1", "0.0", "1.0"]), document, document), min_size=1, max_size=6
)
LINE = b"1\tP1\tQ1\tone\tother\n"


def retrieval(folder, **changes):
    return tasks.get("lra_retrieval", folder=str(folder), **changes)


@settings(max_examples=30, deadline=None)
@given(pairs, st.integers(1, 20), st.randoms(use_true_random=False))
def test_every_line_is_read_as_it_stands(rows, length, random):
    folder = temporary_folder()
    write_pairs(folder, {"train": rows, "eval": rows[:1], "test": rows[-1:]})
    task = retrieval(folder, length=length)
    assert [task.num_rows(role) for role in ("train", "validation", "test")] == [len(rows), 1, 1]
    order = [random.randrange(len(rows)) for _ in range(8)]
    batch = task.read("train", np.array(order))
    assert batch.inputs.shape == (8, 2 * length)
    for row, number in enumerate(order):
        label, *texts = rows[number]
        expected = []
        for text in texts:  # quotes and all
            tokens = [byte + 1 for byte in text[:length]]
            expected += tokens + [0] * (length - len(tokens))
        assert batch.inputs[row].tolist() == expected
        assert batch.targets[row, -1] == int(float(label))
        sizes = sorted(len(text) for text in texts)
        assert [batch.info[name][row, -1] for name in ("shorter", "longer")] == sizes


def test_swapped_documents_swap_the_halves(tmp_path):
    pair, swapped = ("1", b"abc", b"de"), ("1", b"de", b"abc")
    write_pairs(tmp_path, {"train": [pair], "eval": [swapped], "test": []})
    task, first = retrieval(tmp_path, length=4), np.array([0])
    one, other = (task.read(role, first).inputs.reshape(2, 4) for role in ("train", "validation"))
    assert (one == other[::-1]).all()
    assert task.num_documents == 2 and task.input_length == 8
    assert task.at_length(6).input_length == 12
    with pytest.raises(HarnessError, match=r"test\.tsv: the file holds no example"):
        task.num_rows("test")


def test_the_release_is_found_from_above(tmp_path):
    place = tmp_path / "lra_release" / "lra_release" / "tsv_data"
    place.mkdir(parents=True)
    write_pairs(place, {split: [("0", b"a", b"b")] for split in ("train", "eval", "test")})
    for folder in (tmp_path, tmp_path / "lra_release", tmp_path / "lra_release/lra_release", place):
        assert retrieval(folder).num_rows("train") == 1


@pytest.mark.parametrize(
    "line, message",
    [
        (b"1\tP1\tQ1\tone\n", "expected 5 columns, got 4"),
        (b"1\tP1\tQ1\tone\tother\tmore\n", "expected 5 columns, got 6"),
        (b"\n", "expected 5 columns, got 1"),
        (b"2\tP1\tQ1\tone\tother\n", r"the label should be 0 or 1 \(or 0\.0, 1\.0\), got '2'"),
        (b'"1"\tP1\tQ1\tone\tother\n', "the label should be 0 or 1"),
        (b"label\tid1\tid2\ttext1\ttext2\n", "the label should be 0 or 1 .*got 'label'"),
    ],
)
def test_malformed_lines(tmp_path, line, message):
    for split in ("train", "eval", "test"):
        (tmp_path / f"new_aan_pairs.{split}.tsv").write_bytes(LINE * 2 + line + LINE)
    with pytest.raises(HarnessError, match=message) as error:
        retrieval(tmp_path).num_rows("test")
    assert f"{tmp_path / 'new_aan_pairs.test.tsv'}:3: " in str(error.value)
    assert "fix: mend the line" in str(error.value)


def test_a_missing_file(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"new_aan_pairs.{split}.tsv").write_bytes(LINE)
    with pytest.raises(HarnessError, match=r"new_aan_pairs\.eval\.tsv is missing here"):
        retrieval(tmp_path).num_rows("test")
