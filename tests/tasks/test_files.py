"""What tasks on files share, and what holds of all of them: nothing is read too early, nothing
depends on where the files lie."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.config import parse, parse_component, to_data
from harness.foundation.errors import HarnessError
from harness.spec import RunSpec
from tasks import TASKS, Stream
from tasks.files import (
    BYTE,
    PAD,
    SPLITS,
    FileTask,
    byte_names,
    class_number,
    digest_of,
    drawn_bytes,
    drawn_pixels,
    encode_bytes,
    find_folder,
    fixed_split,
    index_lines,
)
from tests.tasks.cases import CASES

NAMES = [name for name in CASES if issubclass(TASKS.get(name), FileTask)]
VARIANTS = [(name, parameters) for name in NAMES for parameters in CASES[name].variants]


def test_there_are_six():
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_read_before_rows_are_counted(name, tmp_path):
    task = tasks.get(name, folder=str(tmp_path / "nowhere"))
    assert (
        task.input_length
        and task.num_outputs
        and task.output_names
        and task.token_names == [*task.token_names]
    )
    assert parse_component(TASKS, to_data(task)) == task
    for read in (
        lambda: task.num_rows("train"),
        lambda: task.digest,
        lambda: Stream(task, 0, "test").size,
    ):
        with pytest.raises(HarnessError, match="no such folder") as error:
            read()
        assert str(tmp_path / "nowhere") in str(error.value)
        assert "Nothing is downloaded" in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_the_files_says_what_is_missing(name, tmp_path):
    with pytest.raises(HarnessError) as error:
        tasks.get(name, folder=str(tmp_path)).num_rows("train")
    said = str(error.value)
    assert "is missing here" in said and str(tmp_path) in said and "set folder to where" in said


def test_an_archive_is_no_folder(tmp_path):
    (tmp_path / "archive.gz").touch()
    with pytest.raises(HarnessError, match=r"archive\.gz: this is a file, not a folder"):
        find_folder(str(tmp_path / "archive.gz"), [], [], "")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_must_be_named(name):
    with pytest.raises(HarnessError, match="the key 'folder' is missing"):
        tasks.get(name)
    with pytest.raises(HarnessError, match=r"folder: .*at least 1 character"):
        tasks.get(name, folder="")


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_moved_files_give_the_same_run(name, parameters, tmp_path):
    moved = {**parameters, "folder": str(tmp_path / "moved")}
    shutil.copytree(parameters["folder"], moved["folder"])
    here, there = (
        parse(RunSpec, {"task": {"name": name, **chosen}, "model": {"mixer": "attention"}})
        for chosen in (parameters, moved)
    )
    assert here.task != there.task
    assert (here.run_id, here.cohort_key) == (there.run_id, there.cohort_key)
    assert here.task.digest == there.task.digest != ""
    for role in ("train", "selection", "validation", "test"):
        one, other = (Stream(spec.task, "seed", role).first(30) for spec in (here, there))
        assert (one.inputs == other.inputs).all() and (one.targets == other.targets).all()


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_splits_share_no_row_and_roles_share_splits(name, parameters):
    task = tasks.get(name, **parameters)
    for role, split in SPLITS.items():
        assert task.num_rows(role) == len(task.labels(split)) > 0
        batch = task.read(role, np.arange(task.num_rows(role)))
        assert (batch.targets[:, -1] == task.labels(split)).all()
        again = task.read(role, np.arange(task.num_rows(role))[::-1])
        assert (again.inputs[::-1] == batch.inputs).all()
    assert task.edit(batch, np.random.Generator(np.random.PCG64(0))) is None


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_majority_is_that_of_the_training_labels(name, parameters):
    task = tasks.get(name, **parameters)
    labels = task.labels("train").tolist()
    most = max(range(task.num_outputs), key=lambda label: (labels.count(label), -label))
    batch = task.read("test", np.arange(2))
    assert (task.shortcuts(batch)["majority"] == most).all()
    assert task.chance == 1 / task.num_outputs


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=6), st.integers(1, 9))
def test_bytes_and_padding(texts, length):
    tokens = encode_bytes(texts, length)
    for text, row in zip(texts, tokens.tolist(), strict=True):
        expected = [byte + BYTE for byte in text][:length]
        assert row == expected + [PAD] * (length - len(expected))
    assert tokens.dtype == np.int64


def test_names_of_bytes():
    names = byte_names()
    assert len(names) == len(set(names)) == 257
    assert (names[0], names[1 + ord("a")], names[1 + ord(" ")]) == ("<pad>", "a", "0x20")


def test_a_drawn_text():
    assert drawn_bytes(encode_bytes([b"a b\tc\xff"], 9)[0]) == ["a b?c\ufffd"]
    assert drawn_bytes(encode_bytes([b""], 3)[0]) == ["(an empty text)"]
    lines = drawn_bytes(encode_bytes([b"x" * 2000], 2000)[0])
    assert len(lines) == 13 and lines[-1] == "... and 848 more characters"


def test_a_drawn_picture():
    pixels = np.array([[0, 255], [0, 0]])
    assert drawn_pixels(pixels) == ["  @@", " "]
    assert len(drawn_pixels(np.zeros((256, 256), dtype=int))) == 64


def test_fixed_splits_are_a_partition_that_the_key_decides():
    parts = fixed_split("one", 100, (10, 20))
    assert [len(part) for part in parts] == [10, 20, 70]
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert fixed_split("one", 100, (10, 20)) is parts
    assert (fixed_split("other", 100, (10, 20))[0] != parts[0]).any()
    assert len(fixed_split("one", 3, (0,))[1]) == 3


def test_lines_are_found_again(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"head\n5 a\r\n6 \xc3\xa9\n7 last")
    lines = index_lines(path, lambda line: (int(line.split()[0]),), header=b"head", fix="")
    assert lines.labels.tolist() == [5, 6, 7]
    assert lines.read(np.array([2, 0, 1, 0])) == [b"7 last", b"5 a", b"6 \xc3\xa9", b"5 a"]
    assert lines.where(1) == f"{path}:3"
    with pytest.raises(HarnessError, match="the first line should be 'tail', got 'head") as error:
        index_lines(path, lambda line: (0,), header=b"tail", fix="mend it")
    assert f"{path}:1" in str(error.value) and "mend it" in str(error.value)
    (tmp_path / "empty").write_bytes(b"head\n")
    with pytest.raises(HarnessError, match="empty: the file holds no example"):
        index_lines(tmp_path / "empty", lambda line: (0,), header=b"head", fix="")
    with pytest.raises(HarnessError, match="invalid literal") as error:
        index_lines(path, lambda line: (int(line),), fix="mend it")
    assert f"{path}:1" in str(error.value)


def test_the_nearest_folder_says_what_it_lacks(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").touch()
    with pytest.raises(HarnessError) as error:
        find_folder(str(tmp_path), ["inner"], ["a", "b"], "so and so")
    assert f"{tmp_path / 'inner'}: b is missing here" in str(error.value)
    assert "so and so" in str(error.value)
    (tmp_path / "inner" / "b").touch()
    assert find_folder(str(tmp_path), ["inner"], ["a", "b"], "") == tmp_path / "inner"
    assert find_folder(str(tmp_path / "inner"), ["inner"], ["a", "b"], "") == tmp_path / "inner"


def test_a_digest_follows_names_sizes_and_bytes(tmp_path):
    def digest(name="a/b", content=b"x" * (3 * 2**20)):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return digest_of(root, [path])

    whole = 3 * 2**20
    base = digest()
    assert digest() == base
    assert digest(name="a/c") != base
    assert digest(content=b"x" * (whole + 1)) != base
    for place in (0, 2**20 - 1, whole - 2**20, whole - 1):  # the first and the last MiB
        assert digest(content=b"x" * place + b"y" + b"x" * (whole - place - 1)) != base
    assert digest(content=b"") != digest(content=b"z")
    with pytest.raises(HarnessError, match="the file is missing"):
        digest_of(tmp_path, [tmp_path / "absent"])


def test_many_files_are_sampled_but_all_named(tmp_path):
    paths = [tmp_path / f"{number:04}" for number in range(300)]
    for path in paths:
        path.write_bytes(b"1")
    base = digest_of(tmp_path, paths)
    assert digest_of(tmp_path, paths[::-1]) == base  # the order is that of the names
    assert digest_of(tmp_path, paths[:-1]) != base
    paths[1].write_bytes(b"22")
    assert digest_of(tmp_path, paths) != base


def test_labels_by_number_or_name():
    assert [class_number(text, ("neg", "pos")) for text in ("0", "1", "neg", "pos")] == [0, 1, 0, 1]
    for text in ("2", "-1", "", "1.0", "Pos", "\u0661"):
        with pytest.raises(ValueError, match=r"should be 0 .. 1 \(or neg, pos\), got"):
            class_number(text, ("neg", "pos"))
