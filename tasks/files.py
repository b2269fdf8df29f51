"""What tasks on files of the user share: folders, lines by their place, bytes, fixed splits.

Nothing is downloaded. The configuration names a folder; only reading an example, or counting them,
opens a file. An index of each split is built once a process; examples are decoded as they are read.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from harness.foundation.config import NotHashed
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks.base import IGNORE, Batch, Role, facts_at
from tasks.dataset import Dataset
from tasks.images import RAMP

Split = Literal["train", "validation", "test"]
Folder = Annotated[str, NotHashed(), Field(min_length=1)]

SPLITS: dict[Role, Split] = {
    "train": "train",
    "selection": "validation",
    "validation": "validation",
    "test": "test",
}
PAD, BYTE = 0, 1  # of tasks that read bytes; a byte b is BYTE + b
NUM_BYTE_TOKENS = BYTE + 256
SAMPLED_FILES, SAMPLED_BYTES = 256, 2**20  # that a digest reads: files, bytes at either end of one
MAX_LINES, LINE_WIDTH = 12, 96  # of a text that is shown


class FileTask(Dataset):
    """Base of the tasks on files: one class for every example, which is scored at the end."""

    folder: Folder
    """Where the files lie. Moving them leaves a run's identity alone."""

    group: ClassVar[str] = "long range, files of your own"
    pooled: ClassVar[bool] = True

    @abstractmethod
    def labels(self, split: Split) -> np.ndarray:
        """(n,) classes of the rows of a split."""

    @abstractmethod
    def files(self) -> tuple[Path, Sequence[Path]]:
        """The folder that was found, and the files in it that the digest covers."""

    @property
    def chance(self) -> float:
        return 1 / self.num_outputs

    @property
    def digest(self) -> str:
        """See `digest_of`."""
        return _digest(self)

    def num_rows(self, role: Role) -> int:
        split = SPLITS[role]
        count = len(self.labels(split))
        if not count:
            raise HarnessError(
                f"{self.name}: no example is left for the split {split}",
                where=str(Path(self.folder).expanduser().absolute()),
                fix="give it more examples",
            )
        return count

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent class of the training split."""
        return {"majority": np.full(batch.targets.shape, majority(self))}


class Lines(NamedTuple):
    """Rows of a text file by their place in it, so that a file of any size needs little memory.

    start, size: (n,) bytes before, and of, each row. number: (n,) its line, counted from 1.
    parsed: (n, k) numbers read from it while the file was indexed; the label is the first.
    """

    path: Path
    start: np.ndarray
    size: np.ndarray
    number: np.ndarray
    parsed: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        return self.parsed[:, 0]

    def read(self, rows: np.ndarray) -> list[bytes]:
        """These rows, without the ends of their lines."""
        out = []
        with self.path.open("rb") as file:
            for row in rows:
                file.seek(self.start[row])
                out.append(file.read(self.size[row]).rstrip(b"\r\n"))
        return out

    def where(self, row: int) -> str:
        return f"{self.path}:{self.number[row]}"


def index_lines(
    path: Path, parse: Callable[[bytes], tuple[int, ...]], *, header: bytes = b"", fix: str
) -> Lines:
    """Goes through a file once. `parse` reads the numbers to keep from each line; its ValueError
    becomes a HarnessError that names the line."""
    start, size, parsed, place = [], [], [], 0
    first = 2 if header else 1
    with path.open("rb") as file:
        if header:
            line = file.readline()
            if line.rstrip(b"\r\n") != header:
                raise HarnessError(
                    f"the first line should be {shown(header)}, got {shown(line)}",
                    where=f"{path}:1",
                    fix=fix,
                )
            place = len(line)
        for number, line in enumerate(file, first):
            try:
                parsed.append(parse(line.rstrip(b"\r\n")))
            except ValueError as error:
                raise HarnessError(str(error), where=f"{path}:{number}", fix=fix) from None
            start.append(place)
            size.append(len(line))
            place += len(line)
    if not start:
        raise HarnessError(
            "the file holds no example", where=str(path), fix="unpack the archive again"
        )
    return Lines(
        path,
        np.array(start, dtype=np.int64),
        np.array(size, dtype=np.int64),
        np.arange(first, first + len(start)),
        np.array(parsed, dtype=np.int64),
    )


def find_folder(folder: str, inner: Sequence[str], needed: Sequence[str], layout: str) -> Path:
    """The folder, or one of the names `inner` within it, that holds everything needed.

    layout: how the unpacked files lie, for the error's fix.
    """
    root = Path(folder).expanduser().absolute()
    fix = f"set folder to where the files lie: {layout}. Nothing is downloaded"
    if not root.is_dir():
        what = "this is a file, not a folder" if root.exists() else "there is no such folder"
        raise HarnessError(what, where=str(root), fix=fix)
    places = [root, *(root / name for name in inner)]
    missing = [[name for name in needed if not (place / name).exists()] for place in places]
    for place, names in zip(places, missing, strict=True):
        if not names:
            return place
    nearest = min(range(len(places)), key=lambda index: len(missing[index]))
    raise HarnessError(
        f"{missing[nearest][0]} is missing here", where=str(places[nearest]), fix=fix
    )


@lru_cache(maxsize=32)
def fixed_split(key: str, num_rows: int, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Ascending numbers of the rows of consecutive parts of a shuffle that `key` and num_rows
    decide; what the sizes leave over is the last part."""
    order = generator("fixed split", key, num_rows).permutation(num_rows)
    return [np.sort(part) for part in np.split(order, np.cumsum(sizes))]


def encode_bytes(texts: Sequence[bytes], length: int) -> np.ndarray:
    """(n, length) tokens: the first bytes of each text, then PAD."""
    cut = [text[:length] for text in texts]
    real = np.arange(length) < np.array([len(text) for text in cut])[:, None]
    tokens = np.full(real.shape, PAD, dtype=np.int64)
    tokens[real] = BYTE + np.frombuffer(b"".join(cut), dtype=np.uint8).astype(np.int64)
    return tokens


def byte_names() -> list[str]:
    """Names of the NUM_BYTE_TOKENS tokens: characters where they can be seen."""
    visible = range(ord("!"), ord("~") + 1)
    return ["<pad>", *(chr(b) if b in visible else f"0x{b:02x}" for b in range(256))]


def drawn_bytes(tokens: np.ndarray) -> list[str]:
    """The first lines of a text given as tokens (L,), padding left out."""
    data = (tokens[tokens != PAD] - BYTE).astype(np.uint8).tobytes()
    text = data.decode(errors="replace")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    lines = [text[start : start + LINE_WIDTH] for start in range(0, len(text), LINE_WIDTH)]
    if len(lines) > MAX_LINES:
        rest = len(text) - MAX_LINES * LINE_WIDTH
        lines = [*lines[:MAX_LINES], f"... and {rest:,} more characters"]
    return lines or ["(an empty text)"]


def drawn_pixels(pixels: np.ndarray) -> list[str]:
    """A grey image (rows, columns) of 0 .. 255 in characters of brightness, two of them a pixel."""
    shades = np.array(list(RAMP))
    small = pixels[:: -(-len(pixels) // 64), :: -(-pixels.shape[1] // 64)]
    return ["".join(np.repeat(row, 2)).rstrip() or " " for row in shades[small * len(RAMP) // 256]]


def whole_batch(inputs: np.ndarray, labels: np.ndarray, facts: dict[str, np.ndarray]) -> Batch:
    """The batch of inputs (n, L) or (n, L, F) whose labels (n,) are scored at the last position,
    and facts (n,) about them."""
    targets = np.full(inputs.shape[:2], IGNORE)
    targets[:, -1] = labels
    return Batch(inputs, targets, facts_at(-1, facts, targets.shape))


def digest_of(root: Path, files: Sequence[Path]) -> str:
    """Hash of every file's name below `root` and size, and of the first and last MiB of up to 256
    of them, evenly spaced: what changes between releases, without reading gigabytes."""
    out = hashlib.sha256()
    names = sorted((path.relative_to(root).as_posix(), path) for path in files)
    step = max(1, -(-len(names) // SAMPLED_FILES))
    for index, (name, path) in enumerate(names):
        if not path.is_file():
            raise HarnessError(
                "the file is missing", where=str(path), fix="unpack the archive again"
            )
        size = path.stat().st_size
        out.update(f"{name}\0{size}\0".encode())
        if index % step == 0:
            with path.open("rb") as file:
                out.update(file.read(SAMPLED_BYTES))
                file.seek(max(SAMPLED_BYTES, size - SAMPLED_BYTES))
                out.update(file.read(SAMPLED_BYTES))
    return out.hexdigest()[:16]


def class_number(text: str, names: Sequence[str]) -> int:
    """The class that a label names or numbers. Raises ValueError."""
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdigit() and int(text) < len(names):
        return int(text)
    raise ValueError(
        f"the label should be 0 .. {len(names) - 1} (or {', '.join(names)}), got {shown(text)}"
    )


def shown(text: str | bytes) -> str:
    """A piece of a file, short enough for an error."""
    quoted = ascii(text).removeprefix("b")
    return quoted if len(quoted) <= 60 else f"{quoted[:57]}..."


@lru_cache(maxsize=64)
def majority(task: FileTask) -> int:
    """The most frequent class of the training split; of tied ones the first."""
    return int(np.bincount(task.labels("train"), minlength=task.num_outputs).argmax())


@lru_cache(maxsize=64)
def _digest(task: FileTask) -> str:
    return digest_of(*task.files())
