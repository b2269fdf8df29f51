"""Image of Long Range Arena: what is on a small grey picture, read pixel by pixel?

Krizhevsky 2009 (CIFAR-10); the task is that of Tay et al. 2021 (arXiv:2011.04006, section 2.2.4).
Reads the archives of CIFAR-10, for Python or binary. Deviations: see `LraImage`.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from harness.foundation.errors import HarnessError
from tasks.base import Batch, Role, register
from tasks.files import (
    SPLITS,
    FileTask,
    Split,
    drawn_pixels,
    find_folder,
    fixed_split,
    shown,
    whole_batch,
)

SIDE, NUM_PIXELS = 32, 32 * 32
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE = "test_batch"
HELD_OUT = 0.1  # share of the training images that is kept for validation
GREY = np.array([0.2989, 0.5870, 0.1140])  # weights of red, green, blue
LAYOUT = (
    "cifar-10-batches-py/{data_batch_1, .., data_batch_5, test_batch}, or the same names with "
    ".bin in cifar-10-batches-bin"
)
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@register("lra_image")
class LraImage(FileTask):
    """Which of ten classes a grey picture of 32 x 32 pixels shows.

    Input: 1024 pixels, row by row from the top left; a pixel is its brightness, 0 .. 255. The
    label is the target at the last position.

    Brightness: the official code's, 0.2989 red + 0.5870 green + 0.1140 blue (of 0 .. 1), times
    255.5, rounded down.
    Files: cifar-10-batches-py or cifar-10-batches-bin, as they come: 5 x 10,000 training images
    and 10,000 others. The files for Python are pickles, which are programs: they are read by a
    reader that builds arrays of bytes, lists, dictionaries, texts and numbers, and refuses the
    rest.
    Splits: test is the official one; of the training images a fixed tenth is for validation:
    45,000, 5,000 and 10,000. The sizes are the official ones, the images in the tenth are not
    (there they follow the order of another format).

    Tokens: the brightness. Chance: 1/10, and so is the majority class of the official files.
    No facts. There is no edit: nobody knows what in a picture makes the answer.
    """

    summary: ClassVar[str] = "classify a small grey picture read pixel by pixel"
    source: ClassVar[str] = "Long Range Arena, arXiv:2011.04006, section 2.2.4"
    scoring: ClassVar[str] = "What the picture shows, as its makers labelled it."

    @property
    def num_tokens(self) -> int:
        return 256

    @property
    def num_outputs(self) -> int:
        return len(CLASSES)

    @property
    def input_length(self) -> int:
        return NUM_PIXELS

    def labels(self, split: Split) -> np.ndarray:
        images, rows = _rows(self.folder, split)
        return images.labels[rows]

    def files(self) -> tuple[Path, list[Path]]:
        root, ending = _root(self.folder)
        return root, [root / f"{name}{ending}" for name in (*TRAIN_FILES, TEST_FILE)]

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        images, own = _rows(self.folder, SPLITS[role])
        chosen = own[rows]
        return whole_batch(images.pixels[chosen].astype(np.int64), images.labels[chosen], {})

    def drawing(self, batch: Batch, index: int) -> list[str]:
        return drawn_pixels(batch.inputs[index].reshape(SIDE, SIDE))

    @property
    def output_names(self) -> list[str]:
        return list(CLASSES)


class Images(NamedTuple):
    """pixels: (n, 1024) uint8 brightness. labels: (n,)."""

    pixels: np.ndarray
    labels: np.ndarray


def _root(folder: str) -> tuple[Path, str]:
    """The folder of the files, and how their names end."""
    names = (*TRAIN_FILES, TEST_FILE)
    outer = Path(folder).expanduser()
    places = (outer, outer / "cifar-10-batches-bin")
    if any((place / f"{name}.bin").exists() for place in places for name in names):
        inner = ["cifar-10-batches-bin"]
        return find_folder(folder, inner, [f"{name}.bin" for name in names], LAYOUT), ".bin"
    return find_folder(folder, ["cifar-10-batches-py"], names, LAYOUT), ""


@lru_cache(maxsize=8)
def _rows(folder: str, split: Split) -> tuple[Images, np.ndarray]:
    """The images that a split is taken from, and the numbers of its rows among them."""
    if split == "test":
        images = _images(folder, (TEST_FILE,))
        return images, np.arange(len(images.labels))
    images = _images(folder, TRAIN_FILES)
    num_rows = len(images.labels)
    validation, train = fixed_split("lra_image", num_rows, (round(HELD_OUT * num_rows),))
    return images, train if split == "train" else validation


@lru_cache(maxsize=4)
def _images(folder: str, names: Iterable[str]) -> Images:
    root, ending = _root(folder)
    read = _read_binary if ending else _read_pickle
    parts = [read(root / f"{name}{ending}") for name in names]
    return Images(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _read_binary(path: Path) -> Images:
    row = 1 + 3 * NUM_PIXELS
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if len(data) % row or not len(data):
        raise HarnessError(
            f"a file of images has {row:,} bytes an image, got {len(data):,} bytes in all",
            where=str(path),
            fix="unpack the archive again: the file is cut short",
        )
    rows = data.reshape(-1, row)
    return _checked(path, rows[:, 1:], rows[:, 0].astype(np.int64))


def _read_pickle(path: Path) -> Images:
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="bytes").load()
        colours, labels = content[b"data"], np.array(content[b"labels"])
        if not isinstance(colours, np.ndarray) or colours.ndim != 2:
            raise ValueError("data is no table of images")
        if colours.shape[1] != 3 * NUM_PIXELS or labels.shape != colours.shape[:1]:
            raise ValueError(
                f"expected {3 * NUM_PIXELS:,} bytes an image and a label each, got data "
                f"{colours.shape} and labels {labels.shape}"
            )
        if labels.dtype != np.int64:
            raise ValueError(f"labels should be whole numbers, got {shown(str(labels[:3]))}")
    except Exception as error:  # a broken pickle raises nearly anything
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise HarnessError(
            f"this is no file of CIFAR-10 for Python: {said or type(error).__name__}",
            where=str(path),
            fix=f"unpack the archive again; need {LAYOUT}",
        ) from None
    return _checked(path, colours, labels)


def _checked(path: Path, colours: np.ndarray, labels: np.ndarray) -> Images:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(wrong):
        raise HarnessError(
            f"labels should be 0 .. {len(CLASSES) - 1}, got {labels[wrong[0]]} for image "
            f"{wrong[0]}",
            where=str(path),
            fix="unpack the archive again",
        )
    return Images(_grey(colours), labels)


def _grey(colours: np.ndarray) -> np.ndarray:
    """Brightness of images (n, 3 x 1024) given as red, green and blue planes; in pieces, as
    float64 takes 8 times the room."""
    out = np.empty((len(colours), NUM_PIXELS), dtype=np.uint8)
    for start in range(0, len(colours), 1000):
        part = colours[start : start + 1000].reshape(-1, 3, NUM_PIXELS)
        out[start : start + 1000] = np.einsum("c,ncp->np", GREY * (255.5 / 255), part)
    return out


class _Reader(pickle.Unpickler):
    """Unpickles arrays of bytes and plain data, and looks up nothing else."""

    def find_class(self, module: str, name: str):
        known = {
            ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): _byte_dtype,
        }
        kind = known.get((module.replace("numpy._core", "numpy.core"), name))
        if kind is None:
            asked = shown(f"{module}.{name}")
            raise pickle.UnpicklingError(f"it asks for {asked}, which is refused")
        return kind


def _byte_dtype(name: str | bytes, *flags: object) -> np.dtype:
    """A copy, as the pickle goes on to set its state."""
    if name not in ("u1", b"u1"):
        raise pickle.UnpicklingError(f"it holds an array of {shown(name)}, not of bytes (u1)")
    return np.dtype(np.uint8, align=False, copy=True)
