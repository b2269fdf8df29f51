"""Digits: the splits against the library's own images, orders, baselines, what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import Stream, accuracy
from tasks.digits import _load, _split
from tasks.images import as_text

ROLES = {"train": 1258, "validation": 270, "test": 269}


def digits(**changes):
    return tasks.get("digits", **changes)


def everything(task, role):
    return task.read(role, np.arange(task.num_rows(role)))


def rows(inputs, labels):
    return sorted((*image, label) for image, label in zip(inputs.tolist(), labels, strict=True))


def test_splits_are_the_bundled_images_each_once():
    task, data = digits(), load_digits()
    batches = [everything(task, role) for role in ROLES]
    assert [len(batch.inputs) for batch in batches] == list(ROLES.values())
    inputs = np.concatenate([batch.inputs for batch in batches])
    labels = np.concatenate([batch.targets[:, -1] for batch in batches])
    assert rows(inputs, labels) == rows(data.data.astype(int), data.target)
    assert all((batch.scored == (np.arange(64) == 63)).all() for batch in batches)
    assert task.num_rows("selection") == task.num_rows("validation") == ROLES["validation"]


def test_splits_are_stratified():
    of_all = np.bincount(load_digits().target)
    for role, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        counts = np.bincount(everything(digits(), role).targets[:, -1])
        assert (np.abs(counts - share * of_all) <= 1).all()


def test_an_evaluation_set_has_every_image_of_its_split_once():
    task = digits()
    batch = Stream(task, 3, "test").first(10_000)
    expected = everything(task, "test")
    assert rows(batch.inputs, batch.targets[:, -1]) == rows(
        expected.inputs, expected.targets[:, -1]
    )
    assert (batch.inputs != Stream(task, 4, "test").first(10_000).inputs).any()  # shuffled anew


@pytest.mark.parametrize("upsample", [1, 2, 5])
def test_pixels_are_repeated_in_place(upsample):
    plain, stretched = digits(), digits(upsample=upsample)
    few = np.arange(20)
    image = plain.read("test", few).inputs
    inputs = stretched.read("test", few).inputs
    assert inputs.shape == (20, 64 * upsample)
    assert all((inputs[:, i] == image[:, i // upsample]).all() for i in range(64 * upsample))


def test_one_permutation_for_all_images():
    few = np.arange(200)
    for role in ROLES:
        plain, permuted = (digits(permuted=p).read(role, few) for p in (False, True))
        assert (plain.inputs != permuted.inputs).any()
        assert (np.sort(plain.inputs, axis=1) == np.sort(permuted.inputs, axis=1)).all()
        order = digits(permuted=True)._order()
        assert sorted(order) == list(range(64))
        assert (permuted.inputs == plain.inputs[:, order]).all()
        assert (plain.targets == permuted.targets).all()


@pytest.mark.parametrize("changes", [{}, {"permuted": True}, {"upsample": 3, "permuted": True}])
def test_baselines_by_hand(changes):
    task = digits(**changes)
    train, test = (everything(digits(), role) for role in ("train", "test"))
    labels = train.targets[:, -1]
    guesses = []
    for image in test.inputs:
        means = [train.inputs[labels == digit].mean(axis=0) for digit in range(10)]
        guesses.append(int(np.argmin([np.linalg.norm(image - mean) for mean in means])))
    shortcuts = task.shortcuts(everything(task, "test"))
    assert shortcuts["nearest mean image"][:, -1].tolist() == guesses
    assert (shortcuts["majority"] == np.bincount(labels).argmax()).all()
    batch = everything(task, "test")
    assert accuracy(shortcuts["nearest mean image"], batch) == pytest.approx(247 / 269)
    assert accuracy(shortcuts["majority"], batch) == pytest.approx(27 / 269)
    assert task.oracle(batch) is None and task.edit(batch, generator(0)) is None


def test_brightness_is_the_rounded_mean():
    batch = everything(digits(upsample=2), "test")
    assert np.abs(batch.info["brightness"][:, -1] - batch.inputs.mean(axis=1)).max() <= 0.5


def test_drawing_is_the_image_whatever_the_order():
    batches = [digits(**changes).read("test", np.arange(5)) for changes in ({}, {"permuted": True})]
    for index in range(5):
        lines = digits().drawing(batches[0], index)
        assert lines == digits(permuted=True).drawing(batches[1], index)
        dark = [[character == " " for character in line[::2]] for line in lines]
        assert dark == (batches[0].inputs[index].reshape(8, 8) == 0).tolist()


def test_images_as_text():
    assert as_text(np.array([[0, 1, 16], [8, 15, 0]]), 16) == ["  ..@@", "++@@  "]


def test_digest_names_the_data():
    assert digits().digest == digits(permuted=True).digest == "267f86e03ae0481e"


def test_lengths():
    assert digits().at_length(320) == digits(upsample=5)
    assert digits(permuted=True).at_length(64) == digits(permuted=True)
    for length, nearest in ((100, 128), (10, 64)):
        with pytest.raises(HarnessError, match=f"multiples of 64 only, got {length}") as error:
            digits().at_length(length)
        assert f"use {nearest}" in str(error.value)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    for cached in (_load, _split):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(HarnessError, match="digits needs scikit-learn") as error:
        digits().sample(generator(0), 2)
    assert "pip install 'orchid-harness[data]'" in str(error.value)
    monkeypatch.undo()
    assert digits().sample(generator(0), 2).inputs.shape == (2, 64)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"upsample": 0}, "upsample: should be greater than or equal to 1, got 0"),
        ({"permutd": True}, "did you mean 'permuted'?"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        digits(**changes)
    assert message in str(error.value)
