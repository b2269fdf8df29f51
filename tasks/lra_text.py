"""Text of Long Range Arena: is a film review positive? Read byte by byte.

Maas et al. 2011 (IMDB reviews); the task is that of Tay et al. 2021 (arXiv:2011.04006, section
2.2.2). Reads the files of the reviews' own archive, or tables of them. Deviations: see `LraText`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from harness.foundation.errors import HarnessError
from tasks.base import Batch, Count, Role, register
from tasks.files import (
    NUM_BYTE_TOKENS,
    PAD,
    SPLITS,
    FileTask,
    Lines,
    Split,
    byte_names,
    class_number,
    drawn_bytes,
    encode_bytes,
    find_folder,
    fixed_split,
    shown,
    whole_batch,
)

Half = Literal["train", "test"]  # of the official files

CLASSES = "neg", "pos"
LAYOUT = (
    "aclImdb/{train,test}/{pos,neg}/*.txt as in the archive of the reviews, or train.csv and "
    "test.csv with the columns label and text"
)


@register("lra_text")
class LraText(FileTask):
    """Whether a film review is positive (1) or negative (0).

    Input: the first `length` bytes of the text, padded on the right. The label is the target at
    the last position.

    Files: aclImdb/{train,test}/{pos,neg}/*.txt, as they come; or train.csv and test.csv, UTF-8,
    comma separated, quoted where needed, whose first line names the columns label and text (0 or
    neg, 1 or pos). 25,000 reviews each.
    Splits: test is the official test half. The official code validates on that very half (it
    has no other); here a fixed tenth (`held_out`) of the training half is kept for validation
    instead, so that nothing is chosen by the test set. `held_out: 0` is the official protocol.

    Tokens: 0 is padding, 1 + b the byte b.
    Chance: 1/2, and so is the majority class of the official halves.
    Facts: `length`, the bytes of the whole text, before it is cut.

    Deviations: bytes, as in the official code; the S4 family reads characters that occur at least
    15 times, and appends an end token (the same but for the few letters that are not ASCII).
    There is no edit: what a review says is not a rule that could be changed.
    """

    length: Count = 4096
    """Bytes of a text that are read, at most."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training half that is kept for validation; 0 validates on the test half."""

    summary: ClassVar[str] = "tell a positive film review from a negative one, byte by byte"
    source: ClassVar[str] = "Long Range Arena, arXiv:2011.04006, section 2.2.2"
    scoring: ClassVar[str] = "Whether the review, as far as it is read, likes the film."
    length_parameter: ClassVar[str | None] = "length"
    pad_token: ClassVar[int | None] = PAD

    @property
    def num_tokens(self) -> int:
        return NUM_BYTE_TOKENS

    @property
    def num_outputs(self) -> int:
        return 2

    @property
    def input_length(self) -> int:
        return self.length

    def labels(self, split: Split) -> np.ndarray:
        reviews, rows = self._rows(split)
        return reviews.labels[rows]

    def files(self) -> tuple[Path, list[Path]]:
        root = _root(self.folder)
        halves = [_reviews(self.folder, half) for half in ("train", "test")]
        return root, [path for half in halves for path in half.files()]

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        reviews, own = self._rows(SPLITS[role])
        texts = reviews.read(own[rows])
        sizes = np.array([len(text) for text in texts])
        inputs = encode_bytes(texts, self.length)
        return whole_batch(inputs, reviews.labels[own[rows]], {"length": sizes})

    def drawing(self, batch: Batch, index: int) -> list[str]:
        return drawn_bytes(batch.inputs[index])

    @property
    def token_names(self) -> list[str]:
        return byte_names()

    @property
    def output_names(self) -> list[str]:
        return ["negative", "positive"]

    def _rows(self, split: Split) -> tuple[Table | Texts, np.ndarray]:
        """The half that a split is taken from, and the numbers of its rows there."""
        half: Half = "test" if split == "test" or not self.held_out else "train"
        half = "train" if split == "train" else half
        reviews = _reviews(self.folder, half)
        num_rows = len(reviews.labels)
        if half == "test":
            return reviews, np.arange(num_rows)
        held_out = round(self.held_out * num_rows)
        validation, train = fixed_split("lra_text", num_rows, (held_out,))
        return reviews, train if split == "train" else validation


class Texts(NamedTuple):
    """Reviews in a file each."""

    paths: list[Path]
    labels: np.ndarray

    def files(self) -> list[Path]:
        return self.paths

    def read(self, rows: np.ndarray) -> list[bytes]:
        return [self.paths[row].read_bytes() for row in rows]


class Table(NamedTuple):
    """Reviews in a table with one column of texts."""

    lines: Lines
    column: int

    @property
    def labels(self) -> np.ndarray:
        return self.lines.labels

    def files(self) -> list[Path]:
        return [self.lines.path]

    def read(self, rows: np.ndarray) -> list[bytes]:
        records = csv.reader([record.decode() for record in self.lines.read(rows)])
        return [record[self.column].encode() for record in records]


def _root(folder: str) -> Path:
    tables = ["train.csv", "test.csv"]
    if any((Path(folder).expanduser() / name).exists() for name in tables):
        return find_folder(folder, [], tables, LAYOUT)
    halves = [f"{half}/{name}" for half in ("train", "test") for name in CLASSES]
    return find_folder(folder, ["aclImdb"], halves, LAYOUT)


@lru_cache(maxsize=8)
def _reviews(folder: str, half: Half) -> Table | Texts:
    root = _root(folder)
    if (root / f"{half}.csv").exists():
        return _index_table(root / f"{half}.csv")
    paths, labels = [], []
    for label, name in enumerate(CLASSES):
        found = sorted((root / half / name).glob("*.txt"))
        if not found:
            raise HarnessError(
                "there is no .txt file here", where=str(root / half / name), fix=f"need {LAYOUT}"
            )
        paths += found
        labels += [label] * len(found)
    return Texts(paths, np.array(labels))


class _Reader:
    """Records of a table, and where they start: csv asks for as many lines as a record has."""

    def __init__(self, path: Path):
        self.path, self.place, self.line = path, 0, 0

    def lines(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            for line in file:
                self.place += len(line)
                self.line += 1
                yield line.decode("utf-8-sig" if self.line == 1 else "utf-8")


def _index_table(path: Path) -> Table:
    reader = _Reader(path)
    records = csv.reader(reader.lines(), strict=True)
    start, size, number, labels = [], [], [], []
    columns: list[str] | None = None
    while True:
        place, line = reader.place, reader.line + 1
        try:
            record = next(records, None)
            if record is None:
                break
            if columns is None:
                columns = _columns(record)
                continue
            if len(record) != len(columns):
                raise ValueError(f"expected {len(columns)} columns, got {len(record)}")
            labels.append(class_number(record[columns.index("label")], CLASSES))
        except (ValueError, csv.Error) as error:  # bytes that are no UTF-8 are a ValueError
            raise HarnessError(
                str(error), where=f"{path}:{line}", fix=f"mend the line; need {LAYOUT}"
            ) from None
        start.append(place)
        size.append(reader.place - place)
        number.append(line)
    if columns is None or not start:
        raise HarnessError("the file holds no review", where=str(path), fix=f"need {LAYOUT}")
    arrays = (np.array(values, dtype=np.int64) for values in (start, size, number))
    lines = Lines(path, *arrays, np.array(labels, dtype=np.int64)[:, None])
    return Table(lines, columns.index("text"))


def _columns(record: list[str]) -> list[str]:
    if not {"label", "text"} <= set(record):
        raise ValueError(
            f"the first line should name the columns label and text, got {shown(','.join(record))}"
        )
    return record
