"""Retrieval of Long Range Arena: do two papers belong together? Read byte by byte.

Radev et al. 2013 (ACL Anthology Network); the task is that of Tay et al. 2021 (arXiv:2011.04006,
section 2.2.3). Reads the tables of pairs of the benchmark's own release.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from tasks.base import Batch, Count, Role, register
from tasks.files import (
    NUM_BYTE_TOKENS,
    PAD,
    SPLITS,
    FileTask,
    Lines,
    Split,
    byte_names,
    drawn_bytes,
    encode_bytes,
    find_folder,
    index_lines,
    shown,
    whole_batch,
)

FILES: dict[Split, str] = {
    "train": "new_aan_pairs.train.tsv",
    "validation": "new_aan_pairs.eval.tsv",
    "test": "new_aan_pairs.test.tsv",
}
LAYOUT = (
    "new_aan_pairs.{train,eval,test}.tsv, in lra_release/tsv_data of the archive lra_release.gz"
)
COLUMNS = 5


@register("lra_retrieval")
class LraRetrieval(FileTask):
    """Whether a citation links two papers (1) or not (0), from their texts.

    Input: the first `length` bytes of one paper, padded on the right, then those of the other,
    likewise. Each is encoded by itself, and a classifier sees the two codes: no position of one
    reads the other. The label is the target at the last position.

    Files: tables without header and without quoting, columns (tab separated) label, two numbers
    of papers, two texts; the label as 0, 1, 0.0 or 1.0. The official splits are the three files.

    Tokens: 0 is padding, 1 + b the byte b.
    Chance: 1/2.
    Facts: `shorter` and `longer`, the bytes of the two texts, before they are cut.

    Deviations from the official code: a token is its byte plus 1, and no ids are left unused.
    The S4 family reads characters, 97 of them, and an end token.
    There is no edit: what makes papers related is not a rule that could be changed.
    """

    length: Count = 4000
    """Bytes of each document that are read, at most."""

    summary: ClassVar[str] = "tell whether two papers are related, each encoded by itself"
    source: ClassVar[str] = "Long Range Arena, arXiv:2011.04006, section 2.2.3"
    scoring: ClassVar[str] = "Whether a citation links the two papers."
    num_documents: ClassVar[int] = 2
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
        return self.num_documents * self.length

    def labels(self, split: Split) -> np.ndarray:
        return _pairs(self.folder, split).labels

    def files(self) -> tuple[Path, list[Path]]:
        root = _root(self.folder)
        return root, [root / name for name in FILES.values()]

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        pairs = _pairs(self.folder, SPLITS[role])
        texts = [text for line in pairs.read(rows) for text in line.split(b"\t")[-2:]]
        sizes = np.array([len(text) for text in texts]).reshape(-1, 2)
        inputs = encode_bytes(texts, self.length).reshape(-1, self.input_length)
        facts = {"shorter": sizes.min(axis=1), "longer": sizes.max(axis=1)}
        return whole_batch(inputs, pairs.labels[rows], facts)

    def drawing(self, batch: Batch, index: int) -> list[str]:
        one, other = batch.inputs[index].reshape(2, -1)
        return ["one paper:", *drawn_bytes(one), "the other:", *drawn_bytes(other)]

    @property
    def token_names(self) -> list[str]:
        return byte_names()

    @property
    def output_names(self) -> list[str]:
        return ["unrelated", "related"]


def _root(folder: str) -> Path:
    inner = ["tsv_data", "lra_release/tsv_data", "lra_release/lra_release/tsv_data"]
    return find_folder(folder, inner, list(FILES.values()), LAYOUT)


@lru_cache(maxsize=8)
def _pairs(folder: str, split: Split) -> Lines:
    fix = "mend the line: label, two numbers and two texts with tabs between, no quotes"
    return index_lines(_root(folder) / FILES[split], _label, fix=fix)


def _label(line: bytes) -> tuple[int]:
    columns = line.count(b"\t") + 1
    if columns != COLUMNS:
        raise ValueError(f"expected {COLUMNS} columns, got {columns}: {shown(line)}")
    label = line[: line.index(b"\t")]
    if label not in (b"0", b"1", b"0.0", b"1.0"):
        raise ValueError(f"the label should be 0 or 1 (or 0.0, 1.0), got {shown(label)}")
    return (int(label[:1]),)
