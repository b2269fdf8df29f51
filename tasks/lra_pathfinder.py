"""Pathfinder of Long Range Arena: does one dashed path join the two discs? Read pixel by pixel.

Linsley et al. 2018 (arXiv:1805.08315); the task is that of Tay et al. 2021 (arXiv:2011.04006,
sections 2.2.5 and 2.2.6, Path-X). Reads the images of the benchmark's own release, or of the
generator behind it. Deviations: see `LraPathfinder`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from harness.foundation.errors import HarnessError
from tasks.base import Batch, Role, register
from tasks.files import (
    SPLITS,
    FileTask,
    Split,
    class_number,
    drawn_pixels,
    find_folder,
    fixed_split,
    shown,
    whole_batch,
)

# Empty in the release: (size, difficulty, image).
EMPTY = (32, "curv_baseline", "imgs/0/sample_172.png")
NUMPY = b"\x93NUMPY"  # how a file of numpy begins
SAMPLED_IMAGES = 100  # that the digest reads, beside the metadata, which name all


@register("lra_pathfinder")
class LraPathfinder(FileTask):
    """Whether the two discs lie on the two ends of one dashed path (1) or on two paths (0).

    Input: the size x size pixels of a grey picture, row by row from the top left; a pixel is its
    brightness, 0 .. 255. The label is the target at the last position.

    Files: pathfinder{size}/{difficulty}/{imgs/<k>/sample_<n>.png, metadata/<k>.npy}, where a
    line of metadata reads `imgs/<k> sample_<n>.png <n> <label> ..`. The release has that as text
    whatever the name says; the generator writes arrays. Both are read; combined.npy, which
    repeats the rest, is not. The one empty image of the release
    (pathfinder32/curv_baseline/imgs/0/sample_172.png) is left out.
    Splits: the release has none. As in the S4 family, 80 % of one difficulty is for training,
    10 % each for validation and test, at random: by this project's own fixed seed, so the images
    in a split are not those of others. Published numbers are for curv_contour_length_14; Path-X
    is size 128.

    Tokens: the brightness. Chance: 1/2. No facts.
    Deviations: pixels are tokens, as in the official code; the S4 family reads them as numbers.
    There is no edit: which dashes form a path is not written in the files.
    """

    size: Literal[32, 64, 128, 256] = 32
    """Pixels on a side; the input has size x size."""
    difficulty: Literal["curv_baseline", "curv_contour_length_9", "curv_contour_length_14"] = (
        "curv_contour_length_14"
    )
    """Folder of the images, by the dashes of a path: 6 in curv_baseline, 9 or 14."""

    summary: ClassVar[str] = "tell whether one dashed path joins two discs in a picture"
    source: ClassVar[str] = "Long Range Arena, arXiv:2011.04006, section 2.2.5"
    scoring: ClassVar[str] = "Whether the two discs are the ends of the same dashed path."
    length_parameter: ClassVar[str | None] = "size"

    @property
    def num_tokens(self) -> int:
        return 256

    @property
    def num_outputs(self) -> int:
        return 2

    @property
    def input_length(self) -> int:
        return self.size**2

    def labels(self, split: Split) -> np.ndarray:
        index, rows = self._rows(split)
        return index.labels[rows]

    def files(self) -> tuple[Path, list[Path]]:
        index = _index(self)
        images = index.images[:: max(1, len(index.images) // SAMPLED_IMAGES)]
        return index.root, [*index.metadata, *(index.root / image for image in images)]

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        index, own = self._rows(SPLITS[role])
        chosen = own[rows]
        inputs = np.empty((len(rows), self.size**2), dtype=np.int64)
        for row, image in enumerate(chosen):
            inputs[row] = _pixels(index.root / index.images[image], self.size).ravel()
        return whole_batch(inputs, index.labels[chosen], {})

    def drawing(self, batch: Batch, index: int) -> list[str]:
        return drawn_pixels(batch.inputs[index].reshape(self.size, self.size))

    @property
    def output_names(self) -> list[str]:
        return ["apart", "joined"]

    def _rows(self, split: Split) -> tuple[Index, np.ndarray]:
        index = _index(self)
        return index, index.rows[split]

    @property
    def _layout(self) -> str:
        return (
            f"pathfinder{self.size}/{self.difficulty}/{{imgs/<k>/sample_<n>.png, "
            "metadata/<k>.npy}, in lra_release of the archive lra_release.gz"
        )


class Index(NamedTuple):
    """images: paths below root, in the order of the metadata. rows: numbers of each split's."""

    root: Path
    metadata: list[Path]
    images: list[str]
    labels: np.ndarray
    rows: dict[Split, np.ndarray]


@lru_cache(maxsize=8)
def _index(task: LraPathfinder) -> Index:
    name = f"pathfinder{task.size}"
    inner = [name, f"lra_release/{name}", f"lra_release/lra_release/{name}"]
    needed = [f"{task.difficulty}/imgs", f"{task.difficulty}/metadata"]
    root = find_folder(task.folder, inner, needed, task._layout) / task.difficulty
    metadata = [path for path in (root / "metadata").glob("*.npy") if path.stem.isdigit()]
    metadata.sort(key=lambda path: int(path.stem))
    images, labels = [], []

    @cache
    def there(folder: str) -> set[str]:
        """Names in a folder of images, of which the release has some hundred."""
        inside = re.fullmatch(r"imgs/\w+", folder) and (root / folder).is_dir()
        return set(os.listdir(root / folder)) if inside else set()

    for path in metadata:
        entries = _fields(path)
        if not entries:
            raise HarnessError(
                "the file lists no image",
                where=str(path),
                fix="unpack the archive again, or remove the file",
            )
        for place, fields in entries:
            try:
                if len(fields) < 4:
                    raise ValueError(f"expected 4 fields or more, got {len(fields)}")
                label = class_number(fields[3], ("0", "1"))
                image = f"{fields[0]}/{fields[1]}"
                if (task.size, task.difficulty, image) == EMPTY:
                    continue
                if fields[1] not in there(fields[0]):
                    raise ValueError(f"there is no such image in {root}")
            except ValueError as error:
                raise HarnessError(
                    f"{error}: {shown(' '.join(fields))}",
                    where=place,
                    fix="mend the line: imgs/<k> sample_<n>.png <n> <label 0 or 1> ...; or unpack "
                    "the archive again",
                ) from None
            images.append(image)
            labels.append(label)
    if not images:
        raise HarnessError(
            "no metadata file <k>.npy here lists an image",
            where=str(root / "metadata"),
            fix=f"unpack the archive again; need {task._layout}",
        )
    tenth = round(0.1 * len(images))
    key = f"lra_pathfinder {task.size} {task.difficulty}"
    validation, test, train = fixed_split(key, len(images), (tenth, tenth))
    rows: dict[Split, np.ndarray] = {"train": train, "validation": validation, "test": test}
    return Index(root, metadata, images, np.array(labels), rows)


def _fields(path: Path) -> Sequence[tuple[str, list[str]]]:
    """The rows of a metadata file, text or array, each with its place."""
    with path.open("rb") as file:
        is_array = file.read(len(NUMPY)) == NUMPY
    try:
        if not is_array:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            return [(f"{path}:{number}", line.split()) for number, line in enumerate(lines, 1)]
        array = np.load(path, allow_pickle=False)
        if array.ndim != 2:
            raise ValueError(f"expected a row an image, got an array of shape {array.shape}")
        rows = array.astype(str).tolist()
    except Exception as error:  # a broken header raises nearly anything
        raise HarnessError(
            f"this is neither text nor an array of texts: {error}",
            where=str(path),
            fix="save metadata as text, or by numpy.save as an array of texts without objects",
        ) from None
    return [(f"{path}: row {number}", row) for number, row in enumerate(rows)]


def _pixels(path: Path, size: int) -> np.ndarray:
    """(size, size) brightness of an image of 8 bits a channel."""
    from PIL import Image  # comes with matplotlib; wanted only where a picture is read

    try:
        with Image.open(path) as image:
            if image.size != (size, size):
                raise HarnessError(
                    f"expected {size} x {size} pixels, got {image.width} x {image.height}",
                    where=str(path),
                    fix="set size to that of the images, or unpack the archive again",
                )
            if image.mode not in ("L", "RGB"):
                raise HarnessError(
                    f"expected a grey image of 8 bits, got mode {image.mode}",
                    where=str(path),
                    fix="save it in grey, 8 bits a pixel",
                )
            return np.asarray(image.convert("L"))
    except FileNotFoundError:
        raise HarnessError(
            "the metadata list an image that is not there",
            where=str(path),
            fix="unpack the archive again, or remove its line from the metadata",
        ) from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises
        what = "an empty file" if not path.stat().st_size else f"no readable image ({error})"
        raise HarnessError(
            f"expected a PNG image, got {what}",
            where=str(path),
            fix="unpack the archive again, or remove its line from the metadata",
        ) from None
