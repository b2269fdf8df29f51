"""Pictures: both archives, brightness, splits; pickles that would run something."""

from __future__ import annotations

import codecs
import os
import pickle

import numpy as np
import pytest

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tests.tasks.official_files import pickled_images, write_images

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def image(folder):
    return tasks.get("lra_image", folder=str(folder))


@pytest.fixture
def batches():
    rng = generator("pictures")
    return {
        name: (rng.integers(256, size=(4, 3072), dtype=np.uint8), rng.integers(10, size=4))
        for name in [*TRAIN, "test_batch"]
    }


@pytest.fixture
def folder(tmp_path, batches):
    write_images(tmp_path, batches)
    return tmp_path


def grey(colours):
    """One picture by the published rule, pixel by pixel."""
    out = []
    for pixel in range(1024):
        red, green, blue = (int(colours[1024 * plane + pixel]) / 255 for plane in range(3))
        out.append(int((0.2989 * red + 0.5870 * green + 0.1140 * blue) * 255.5))
    return out


def test_pictures_are_grey_and_in_order(folder, batches):
    task = image(folder)
    colours, labels = batches["test_batch"]
    batch = task.read("test", np.array([2, 0, 2]))
    assert batch.inputs.shape == (3, 1024) and batch.inputs.dtype == np.int64
    for row, number in enumerate([2, 0, 2]):
        assert batch.inputs[row].tolist() == grey(colours[number])
        assert batch.targets[row, -1] == labels[number]
    assert task.num_tokens == 256 and task.length_parameter is None


def test_what_is_grey_already_stays(tmp_path, batches):
    shades = np.tile(np.arange(256, dtype=np.uint8), 12)
    write_images(tmp_path, batches | {"test_batch": (shades[None], [3])})
    inputs = image(tmp_path).read("test", np.array([0])).inputs
    assert inputs[0].tolist() == list(range(256)) * 4


def test_splits(folder, batches):
    task = image(folder)
    assert [task.num_rows(role) for role in ("train", "validation", "test")] == [18, 2, 4]
    found = [
        tuple(row)
        for role in ("train", "validation")
        for row in task.read(role, np.arange(task.num_rows(role))).inputs.tolist()
    ]
    expected = [tuple(grey(row)) for name in TRAIN for row in batches[name][0]]
    assert sorted(found) == sorted(expected)


def test_both_archives_say_the_same(folder, tmp_path_factory, batches):
    binary = tmp_path_factory.mktemp("binary")
    write_images(binary, batches, binary=True)
    for other in (binary, binary / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        for role in ("train", "validation", "test"):
            rows = np.arange(image(folder).num_rows(role))
            one, two = image(folder).read(role, rows), image(other).read(role, rows)
            assert (one.inputs == two.inputs).all() and (one.targets == two.targets).all()


def put(folder, content, name="test_batch"):
    path = folder / "cifar-10-batches-py" / name
    path.write_bytes(content)
    return path


def test_a_pickle_of_today_is_read_too(folder, batches):
    colours, labels = batches["test_batch"]
    expected = image(folder).read("test", np.arange(4))
    content = {b"data": colours, b"labels": labels.tolist(), "note": ["text", b"bytes", 3]}
    for protocol in (3, 4):
        put(folder, pickle.dumps(content, protocol=protocol))
        tasks.lra_image._images.cache_clear()
        tasks.lra_image._rows.cache_clear()
        batch = image(folder).read("test", np.arange(4))
        assert (batch.inputs == expected.inputs).all()
        assert (batch.targets == expected.targets).all()


class Call:
    """What pickle turns into a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "function, name",
    [
        (os.mkdir, "mkdir"),
        (eval, "eval"),
        (codecs.encode, "_codecs.encode"),
        (np.load, "numpy.load"),
        (getattr, "getattr"),
        (pickle.loads, "loads"),
    ],
)
def test_a_pickle_runs_nothing(folder, function, name, protocol):
    trap = folder / "trap"
    argument = f"__import__('os').mkdir({str(trap)!r})" if function is eval else str(trap)
    path = put(folder, pickle.dumps({"a": Call(function, argument)}, protocol=protocol))
    with pytest.raises(HarnessError, match=f"it asks for '.*{name}', which is refused") as error:
        image(folder).num_rows("test")
    assert str(path) in str(error.value) and not trap.exists()


@pytest.mark.parametrize("array", [np.zeros((1, 3072), dtype=np.int16), np.array([[os.mkdir]])])
def test_a_pickle_holds_no_other_arrays(folder, array):
    put(folder, pickle.dumps({b"data": array, b"labels": [1]}, protocol=4))
    with pytest.raises(HarnessError, match=r"refused|an array of '(i2|O8)', not of bytes"):
        image(folder).num_rows("test")


def zeros(rows, columns=3072):
    return np.zeros((rows, columns), dtype=np.uint8)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "Ran out of input"),
        (b"no pickle at all", "this is no file of CIFAR-10 for Python"),
        (pickled_images(zeros(2), [1, 2])[:3000], "this is no file of CIFAR-10 for Python"),
        (pickle.dumps([1, 2]), "this is no file of CIFAR-10 for Python"),
        (pickle.dumps({b"labels": [1]}), "b'data' is missing"),
        (pickle.dumps({b"data": b"abc", b"labels": [1]}), "data is no table of images"),
        (pickled_images(zeros(2, 3071), [1, 2]), r"expected 3,072 bytes .* got data \(2, 3071\)"),
        (pickled_images(zeros(2), [1]), r"labels \(1,\)"),
        (pickled_images(zeros(2), [1, 10]), "labels should be 0 .. 9, got 10 for image 1"),
        (pickled_images(zeros(2), [-1, 3]), "labels should be 0 .. 9, got -1 for image 0"),
    ],
)
def test_malformed_pickles(folder, content, message):
    path = put(folder, content)
    with pytest.raises(HarnessError, match=message) as error:
        image(folder).num_rows("test")
    assert str(path) in str(error.value) and "fix: unpack the archive again" in str(error.value)


def test_labels_that_are_no_whole_numbers(folder):
    content = pickle.dumps({b"data": zeros(1), b"labels": [0.5]}, protocol=4)
    put(folder, content)
    with pytest.raises(HarnessError, match=r"labels should be whole numbers, got '\[0\.5\]'"):
        image(folder).num_rows("test")


def test_malformed_binaries(tmp_path, batches):
    write_images(tmp_path, batches, binary=True)
    path = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    whole = path.read_bytes()
    for content, message in (
        (whole[:-1], r"3,073 bytes an image, got 12,291 bytes"),
        (b"", "got 0 bytes in all"),
        (whole[:3073] + b"\x0a" + whole[3074:], "should be 0 .. 9, got 10 for image 1"),
    ):
        path.write_bytes(content)
        with pytest.raises(HarnessError, match=message) as error:
            image(tmp_path).num_rows("test")
        assert str(path) in str(error.value)


def test_a_missing_batch(folder):
    (folder / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(HarnessError, match="cifar-10-batches-py: data_batch_3 is missing here"):
        image(folder).num_rows("train")
