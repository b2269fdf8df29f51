"""Speech Commands: which word is said, read sample by sample?

Warden 2018 (arXiv:1804.03209), version 0.02. The ten words from raw sound are the task of S4 (Gu
et al. 2022, arXiv:2111.00396, table 5), after CKConv (arXiv:2102.02611). Reads the folders of
the archive. Deviations: see `SpeechCommands`.
"""

from __future__ import annotations

import wave
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks.base import Batch, Role, register
from tasks.files import SPLITS, FileTask, Split, find_folder, shown, whole_batch

RATE = NUM_SAMPLES = 16_000  # samples a second, and an example: one second
FULL_SCALE = 2**15
TINY = 1e-5  # added to the standard deviation
TRAIN_SHARE = 0.7  # of the ten words; half of the rest is for validation
COLUMNS, HEIGHT = 96, 8  # of the sound that is drawn
TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "backward bed bird cat dog eight five follow forward four happy house learn marvin nine one "
    "seven sheila six three tree two visual wow zero"
)
WORDS = {"ten": TEN, "all": (*TEN, *OTHERS.split())}
LISTS: dict[Split, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}
LAYOUT = "<word>/*.wav, validation_list.txt and testing_list.txt of speech_commands_v0.02.tar.gz"


@register("speech_commands")
class SpeechCommands(FileTask):
    """Which of ten (or 35) words a recording of a second holds.

    Input: the recording's samples, 16 bits each, over 2^15 (so in [-1, 1)), filled up with zeros
    to 16,000, then less the mean and over (the standard deviation + 1e-5) of all samples of the
    training split; of these every `stride`-th. The label is the target at the last position.

    Files: a folder a word with its .wav files: one channel, 16 bits, 16,000 samples a second.
    Splits: of the ten words 70, 15 and 15 % of each word's recordings, by this project's own fixed
    seed. The published split is not reproduced, nor can it be: it shuffles the files in the order
    in which a file system lists them. Of all words the official lists, which name the validation
    and the test recordings.

    Chance: 1 / words. Facts: `length`, the samples before filling up.

    Deviations: the S4 family discards recordings of the ten words that are shorter than a second
    (34,975 remain), and fills them up for all words; here `short` says which, for both.
    There is no edit: nobody knows what in a sound makes the word.
    """

    words: Literal["ten", "all"] = "ten"
    """Ten of the words, or all 35."""
    stride: Annotated[int, Field(ge=1, le=NUM_SAMPLES)] = 1
    """n, where only every n-th sample is read, without a filter, as in S4: 2 halves the rate."""
    short: Literal["pad", "discard"] = "pad"
    """What becomes of recordings shorter than a second."""

    summary: ClassVar[str] = "tell which word is said from the samples of a recording"
    source: ClassVar[str] = "Speech Commands, arXiv:1804.03209; S4, arXiv:2111.00396, table 5"
    scoring: ClassVar[str] = "The word that is said in the recording, by the name of its folder."
    length_parameter: ClassVar[str | None] = "stride"

    @property
    def num_features(self) -> int:
        return 1

    @property
    def num_outputs(self) -> int:
        return len(WORDS[self.words])

    @property
    def input_length(self) -> int:
        return -(-NUM_SAMPLES // self.stride)

    def labels(self, split: Split) -> np.ndarray:
        index = self._index
        return index.labels[index.rows[split]]

    def files(self) -> tuple[Path, list[Path]]:
        lists = [self._index.root / name for name in LISTS.values()]
        return self._index.root, [*self._index.paths, *(lists if self.words == "all" else [])]

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        index = self._index
        mean, deviation = _statistics(self.folder, self.words, self.short)
        chosen = index.rows[SPLITS[role]][rows]
        samples = np.zeros((len(rows), self.input_length))
        lengths = np.empty(len(rows), dtype=np.int64)
        for row, recording in enumerate(chosen):
            sound = read_samples(index.paths[recording])
            lengths[row] = len(sound)
            heard = sound[:: self.stride]
            samples[row, : len(heard)] = heard
        samples = (samples / FULL_SCALE - mean) / (deviation + TINY)
        inputs = samples.astype(np.float32)[:, :, None]
        return whole_batch(inputs, index.labels[chosen], {"length": lengths})

    def drawing(self, batch: Batch, index: int) -> list[str]:
        """How loud it is from the beginning to the end."""
        pieces = np.array_split(np.abs(batch.inputs[index, :, 0]), min(COLUMNS, self.input_length))
        peaks = np.array([piece.max() for piece in pieces])
        heights = np.round(HEIGHT * peaks / max(peaks.max(), TINY))
        rows = np.where(heights >= np.arange(HEIGHT, 0, -1)[:, None], "#", " ")
        return ["".join(row).rstrip() or " " for row in rows]

    @property
    def output_names(self) -> list[str]:
        return list(WORDS[self.words])

    @property
    def _index(self) -> Index:
        return _index(self.folder, self.words, self.short)


class Index(NamedTuple):
    """The recordings of some words, and the numbers of those in each split."""

    root: Path
    paths: list[Path]
    labels: np.ndarray
    rows: dict[Split, np.ndarray]


def read_samples(path: Path) -> np.ndarray:
    """(n,) int16 samples of a recording."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, num_samples = file.getparams()[:4]
            data = file.readframes(num_samples)
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a part beyond the end
        raise HarnessError(
            f"expected a WAV file, got {str(error) or 'a file that ends too soon'}",
            where=str(path),
            fix="unpack the archive again",
        ) from None
    if (channels, width, rate) != (1, 2, RATE):
        raise HarnessError(
            f"expected 1 channel, 16 bits and {RATE} samples a second, got {channels} of "
            f"{8 * width} bits and {rate} samples a second",
            where=str(path),
            fix="convert the recording, or take the files of version 0.02",
        )
    if len(data) != width * num_samples:
        raise HarnessError(
            f"the file is cut short: expected {num_samples} samples, got {len(data) // width}",
            where=str(path),
            fix="unpack the archive again",
        )
    if num_samples > NUM_SAMPLES:
        raise HarnessError(
            f"expected {NUM_SAMPLES} samples at most, got {num_samples}",
            where=str(path),
            fix="cut the recording to a second",
        )
    return np.frombuffer(data, dtype="<i2")


@lru_cache(maxsize=8)
def _index(folder: str, words: str, short: str) -> Index:
    needed = list(WORDS[words]) + (list(LISTS.values()) if words == "all" else [])
    inner = ["SpeechCommands", "speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02"]
    root = find_folder(folder, inner, needed, LAYOUT)
    paths: list[Path] = []
    counts = []
    for word in WORDS[words]:
        found = sorted((root / word).glob("*.wav"))
        if not found:
            raise HarnessError(
                "there is no .wav file here", where=str(root / word), fix=f"need {LAYOUT}"
            )
        if short == "discard":
            found = [path for path in found if len(read_samples(path)) == NUM_SAMPLES]
        paths += found
        counts.append(len(found))
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = _listed(root, paths) if words == "all" else _stratified(labels)
    return Index(root, paths, labels, rows)


def _stratified(labels: np.ndarray) -> dict[Split, np.ndarray]:
    """70, 15 and 15 % of the rows of each class."""
    parts: list[list[np.ndarray]] = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = generator("speech_commands", int(label), len(rows)).permutation(rows)
        train = round(TRAIN_SHARE * len(rows))
        parts.append(np.split(order, [train, train + (len(rows) - train) // 2]))
    train, validation, test = (np.sort(np.concatenate(part)) for part in zip(*parts, strict=True))
    return {"train": train, "validation": validation, "test": test}


def _listed(root: Path, paths: list[Path]) -> dict[Split, np.ndarray]:
    """The splits as the official lists have them; what no list names is for training."""
    row_of = {f"{path.parent.name}/{path.name}": row for row, path in enumerate(paths)}
    split_of = np.full(len(paths), "train", dtype=object)
    for split, name in LISTS.items():
        lines = (root / name).read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            row = row_of.get(line.strip())
            if row is None and not (root / line.strip()).is_file():
                raise HarnessError(
                    f"the list names {shown(line)}, which is not here",
                    where=f"{root / name}:{number}",
                    fix="unpack the archive again, or remove the line",
                )
            if row is not None:  # else it was discarded
                split_of[row] = split
    return {split: np.flatnonzero(split_of == split) for split in (*LISTS, "train")}


@lru_cache(maxsize=8)
def _statistics(folder: str, words: str, short: str) -> tuple[float, float]:
    """Mean and standard deviation of the samples, zeros behind short recordings included, of the
    training split; sums are of whole numbers, and exact."""
    index = _index(folder, words, short)
    total = squares = 0
    for row in index.rows["train"]:
        sound = read_samples(index.paths[row]).astype(np.int64)
        total += int(sound.sum())
        squares += int((sound**2).sum())
    count = NUM_SAMPLES * len(index.rows["train"])
    mean = total / count
    return mean / FULL_SCALE, float(np.sqrt(max(0.0, squares / count - mean**2))) / FULL_SCALE
