"""Paths: metadata as text and as arrays, the split, images that are not what they should be."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tests.tasks.official_files import png, write_paths

HARD = "pathfinder32/curv_contour_length_14"


def pathfinder(folder, **changes):
    return tasks.get("lra_pathfinder", folder=str(folder), **changes)


def pictures(count, size=32):
    rng = generator("paths", count, size)
    return [(rng.integers(256, size=(size, size)), index % 2) for index in range(count)]


def everything(task):
    """(pixels, label) of all rows of all splits, sorted."""
    out = []
    for role in ("train", "validation", "test"):
        batch = task.read(role, np.arange(task.num_rows(role)))
        labels = batch.targets[:, -1].tolist()
        out += [(*row, label) for row, label in zip(batch.inputs.tolist(), labels, strict=True)]
    return sorted(out)


def expected(entries):
    return sorted((*pixels.ravel().tolist(), label) for pixels, label in entries)


@pytest.mark.parametrize("as_array", [False, True])
def test_every_image_is_in_one_split_pixel_by_pixel(tmp_path, as_array):
    images = {0: pictures(9), 1: pictures(6), 10: pictures(5)}
    write_paths(tmp_path, images, as_array=as_array)
    task = pathfinder(tmp_path)
    assert [task.num_rows(role) for role in ("train", "validation", "test")] == [16, 2, 2]
    assert everything(task) == expected(entry for entries in images.values() for entry in entries)


def test_text_and_array_give_the_same_rows(tmp_path):
    images = {number: pictures(6) for number in (0, 2, 10)}
    for kind in (False, True):
        write_paths(tmp_path / str(kind), images, as_array=kind)
    one, other = (pathfinder(tmp_path / str(kind)) for kind in (False, True))
    for role in ("train", "test"):
        rows = np.arange(one.num_rows(role))
        assert (one.read(role, rows).inputs == other.read(role, rows).inputs).all()


def test_the_generator_of_old_saved_bytes(tmp_path):
    write_paths(tmp_path, {0: pictures(10)}, as_array=True)
    path = tmp_path / HARD / "metadata" / "0.npy"
    np.save(path, np.load(path).astype("S32"))
    assert everything(pathfinder(tmp_path)) == expected(pictures(10))


def test_sizes_and_difficulties_are_folders(tmp_path):
    write_paths(tmp_path, {0: pictures(10, 64)}, size=64, difficulty="curv_baseline")
    task = pathfinder(tmp_path, size=64, difficulty="curv_baseline")
    assert task.input_length == 4096 and everything(task) == expected(pictures(10, 64))
    assert task.at_length(128).size == 128
    with pytest.raises(HarnessError, match=r"curv_contour_length_14/imgs is missing here"):
        pathfinder(tmp_path, size=64).num_rows("train")
    with pytest.raises(HarnessError, match="32, 64, 128 or 256"):
        pathfinder(tmp_path, size=16)
    with pytest.raises(HarnessError, match="curv_baseline"):
        pathfinder(tmp_path, difficulty="easy")


def test_the_release_is_found_from_above(tmp_path):
    place = tmp_path / "lra_release" / "lra_release"
    write_paths(place, {0: pictures(10)})
    for folder in (tmp_path, tmp_path / "lra_release", place, place / "pathfinder32"):
        assert pathfinder(folder).num_rows("train") == 8


def test_metadata_as_other_programs_write_it(tmp_path):
    write_paths(tmp_path, {0: pictures(10)})
    metadata = tmp_path / HARD / "metadata" / "0.npy"
    content = metadata.read_bytes()
    metadata.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert everything(pathfinder(tmp_path)) == expected(pictures(10))


def test_combined_metadata_count_once(tmp_path):
    write_paths(tmp_path, {0: pictures(10)}, as_array=True)
    metadata = tmp_path / HARD / "metadata"
    (metadata / "combined.npy").write_bytes((metadata / "0.npy").read_bytes())
    assert len(everything(pathfinder(tmp_path))) == 10


def test_the_empty_image_of_the_release_is_left_out(tmp_path):
    write_paths(tmp_path, {0: pictures(180)}, difficulty="curv_baseline")
    write_paths(tmp_path, {0: pictures(180)})
    for difficulty in ("curv_baseline", "curv_contour_length_14"):
        images = tmp_path / "pathfinder32" / difficulty / "imgs" / "0"
        (images / "sample_172.png").write_bytes(b"")
    task = pathfinder(tmp_path, difficulty="curv_baseline")
    assert sum(len(task.labels(split)) for split in ("train", "validation", "test")) == 179
    assert everything(task) == expected(pictures(180)[:172] + pictures(180)[173:])
    with pytest.raises(HarnessError, match=r"sample_172\.png: expected a PNG image, got an empty"):
        everything(pathfinder(tmp_path))


def test_colours_that_are_grey_are_read(tmp_path):
    write_paths(tmp_path, {0: pictures(10)})
    for path in (tmp_path / HARD / "imgs" / "0").iterdir():
        with Image.open(path) as image:
            colours = image.convert("RGB")
        colours.save(path)
    assert everything(pathfinder(tmp_path)) == expected(pictures(10))


def cut_header(image):
    """A PNG whose first chunk, the size of the picture, is said to have 9 bytes of 13."""
    chunk = image[12:25]
    return image[:8] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_wrong_images(tmp_path):
    write_paths(tmp_path, {0: pictures(10)})
    path = tmp_path / HARD / "imgs" / "0" / "sample_3.png"
    whole = path.read_bytes()
    deep, small = tmp_path / "deep.png", np.zeros((32, 31))
    Image.fromarray(np.full((32, 32), 999, dtype=np.uint16)).save(deep)
    for content, message in (
        (b"", "expected a PNG image, got an empty file"),
        (whole[:200], "expected a PNG image, got no readable image"),
        (cut_header(whole), "expected a PNG image, got no readable image"),
        (b"no image", "expected a PNG image, got no readable image"),
        (png(small), "expected 32 x 32 pixels, got 31 x 32"),
        (deep.read_bytes(), "expected a grey image of 8 bits, got mode I"),
        (None, "the metadata list an image that is not there"),
    ):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(HarnessError, match=message) as error:
            everything(pathfinder(tmp_path))
        assert str(path) in str(error.value) and "fix: " in str(error.value)


LINE = "imgs/0 sample_0.png 0 1 1.8 14 4 5 1.5 3 1\n"


@pytest.mark.parametrize(
    "content, place, message",
    [
        (f"{LINE}imgs/0 sample_1.png 1\n", ":2", "expected 4 fields or more, got 3"),
        (f"{LINE}{LINE.replace(' 1 ', ' 2 ')}", ":2", r"label should be 0 \.\. 1 .*got '2'"),
        (f"{LINE}\n", ":2", "expected 4 fields or more, got 0"),
        (f"{LINE}imgs/0 sample_99.png 99 1\n", ":2", "there is no such image in .*sample_99"),
        (f"{LINE}../imgs/0 sample_0.png 0 1\n", ":2", r"there is no such image in .*\.\./imgs"),
        (b"\xff\xfe", "", "neither text nor an array of texts"),
        (b"", "", "the file lists no image"),
        (b"\x93NUMPY\x01\x00\x06\x00{{{{{\n", "", "neither text nor an array of texts"),
        (np.array(["imgs/0", "sample_0.png", "0", "1"]), "", "an array of shape"),
        (np.array([["imgs/0", "sample_0.png", "0", "x"]]), ": row 0", "label should be"),
        (np.array([["imgs/0", "sample_0.png", 0, 1]], dtype=object), "", "allow_pickle=False"),
    ],
)
def test_malformed_metadata(tmp_path, content, place, message):
    write_paths(tmp_path, {0: pictures(10)})
    path = tmp_path / HARD / "metadata" / "0.npy"
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HarnessError, match=message) as error:
        pathfinder(tmp_path).num_rows("train")
    assert f"{path}{place}: " in str(error.value) and "fix: " in str(error.value)


def test_no_metadata(tmp_path):
    write_paths(tmp_path, {0: pictures(2)})
    (tmp_path / HARD / "metadata" / "0.npy").unlink()
    with pytest.raises(HarnessError, match=r"no metadata file <k>\.npy here lists an image"):
        pathfinder(tmp_path).num_rows("train")


def test_the_digest_follows_labels_and_images(tmp_path):
    def digest(change=lambda place: None):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_paths(folder, {0: pictures(10)})
        change(folder / HARD)
        return pathfinder(folder).digest

    def relabel(place):
        path = place / "metadata" / "0.npy"
        path.write_text(path.read_text().replace("sample_0.png 0 0", "sample_0.png 0 1"))

    def repaint(place):
        (place / "imgs" / "0" / "sample_4.png").write_bytes(png(np.zeros((32, 32))))

    assert digest() == digest()
    assert len({digest(), digest(relabel), digest(repaint)}) == 3
