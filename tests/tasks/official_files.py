"""Tiny files in the formats of the official archives, written byte by byte where it matters."""

from __future__ import annotations

import atexit
import csv
import shutil
import struct
import tempfile
import wave
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np


def temporary_folder() -> Path:
    """A folder that goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="official-files-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_reviews_as_tables(
    folder: Path, halves: Mapping[str, Sequence[tuple[int, str]]], columns=("label", "text")
) -> None:
    """{train,test}.csv from (label, text)."""
    for half, rows in halves.items():
        with (folder / f"{half}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows({"label": label, "text": text} for label, text in rows)


def write_reviews_as_files(folder: Path, halves: Mapping[str, Sequence[tuple[int, bytes]]]) -> None:
    """aclImdb/{train,test}/{neg,pos}/<number>_<stars>.txt from (label, text)."""
    for half, rows in halves.items():
        for number, (label, text) in enumerate(rows):
            place = folder / "aclImdb" / half / ("neg", "pos")[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:03}_{9 if label else 2}.txt").write_bytes(text)


def write_pairs(folder: Path, splits: Mapping[str, Sequence[tuple[str, bytes, bytes]]]) -> None:
    """new_aan_pairs.{train,eval,test}.tsv from (label, text, text)."""
    for split, rows in splits.items():
        lines = [
            b"\t".join([label.encode(), b"P%d" % row, b"Q%d" % row, one, other]) + b"\n"
            for row, (label, one, other) in enumerate(rows)
        ]
        (folder / f"new_aan_pairs.{split}.tsv").write_bytes(b"".join(lines))


def write_expressions(folder: Path, splits: Mapping[str, Sequence[tuple[str, int | str]]]) -> None:
    """basic_{train,val,test}.tsv from (expression as it is written there, value)."""
    for split, rows in splits.items():
        lines = ["Source\tTarget", *(f"{source}\t{target}" for source, target in rows)]
        (folder / f"basic_{split}.tsv").write_text("".join(f"{line}\n" for line in lines))


def as_it_is_written(expression: str) -> str:
    """'[MAX 2 9 ]' -> '( ( ( [MAX 2 ) 9 ) ] )', nested to the left as in the archive."""
    tokens = expression.split()

    def tree(place: int) -> tuple[str, int]:
        if not tokens[place].startswith("["):
            return tokens[place], place + 1
        text, place = tokens[place], place + 1
        while tokens[place] != "]":
            child, place = tree(place)
            text = f"( {text} {child} )"
        return f"( {text} ] )", place + 1

    return tree(0)[0]


def pickled_images(colours: np.ndarray, labels: Iterable[int]) -> bytes:
    """A batch of CIFAR-10 as Python 2 pickled it: protocol 2, byte strings, numpy's old names.

    colours: (n, 3072) uint8.
    """

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)  # BININT

    data = colours.tobytes()
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
    array += b"(" + number(0) + b"t" + text(b"b") + b"tR"
    shape = b"(" + number(colours.shape[0]) + number(colours.shape[1]) + b"t"
    state = b"(" + number(1) + shape + dtype + b"\x89"  # False: rows first
    state += b"T" + struct.pack("<i", len(data)) + data + b"t"  # BINSTRING
    listed = b"](" + b"".join(number(int(label)) for label in labels) + b"e"
    content = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + listed
    content += text(b"data") + array + state + b"b"
    content += text(b"filenames") + b"](" + text(b"leptodactylus_s_000004.png") + b"e"
    return b"\x80\x02}(" + content + b"u."


def write_images(
    folder: Path, batches: Mapping[str, tuple[np.ndarray, np.ndarray]], *, binary: bool = False
) -> None:
    """cifar-10-batches-{py,bin} from colours (n, 3072) uint8 and labels (n,)."""
    place = folder / f"cifar-10-batches-{'bin' if binary else 'py'}"
    place.mkdir()
    for name, (colours, labels) in batches.items():
        if binary:
            rows = np.concatenate([np.asarray(labels)[:, None], colours], axis=1)
            (place / f"{name}.bin").write_bytes(rows.astype(np.uint8).tobytes())
        else:
            (place / name).write_bytes(pickled_images(colours, labels))


def png(pixels: np.ndarray) -> bytes:
    """A grey image (rows, columns) uint8 as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows, columns = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def write_paths(
    folder: Path,
    images: Mapping[int, Sequence[tuple[np.ndarray, int]]],
    *,
    size: int = 32,
    difficulty: str = "curv_contour_length_14",
    as_array: bool = False,
) -> None:
    """pathfinder{size}/{difficulty}/{imgs,metadata} from folder number -> (pixels, label)."""
    place = folder / f"pathfinder{size}" / difficulty
    (place / "metadata").mkdir(parents=True)
    for number, entries in images.items():
        (place / "imgs" / str(number)).mkdir(parents=True)
        rows = []
        for index, (pixels, label) in enumerate(entries):
            name = f"sample_{index}.png"
            (place / "imgs" / str(number) / name).write_bytes(png(pixels))
            rows.append([f"imgs/{number}", name, index, label, 1.8, 14, 4, 5, 1.5, 3, 1])
        metadata = place / "metadata" / f"{number}.npy"
        if as_array:
            np.save(metadata, np.array([[str(field) for field in row] for row in rows]))
        else:
            lines = [" ".join(map(str, row)) for row in rows]
            metadata.write_text("".join(f"{line}\n" for line in lines))


def write_wav(path: Path, samples: np.ndarray, *, rate=16_000, channels=1, width=2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
