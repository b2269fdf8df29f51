"""ListOps of Long Range Arena from its own files; `listops` draws expressions by the same rule.

Nangia and Bowman 2018 (arXiv:1804.06028); the files are those of Tay et al. 2021
(arXiv:2011.04006, section 2.2.1). Deviations: see `LraListOps`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from harness.foundation.errors import HarnessError
from tasks.base import Batch, Count, Role, register
from tasks.files import (
    SPLITS,
    FileTask,
    Lines,
    Split,
    find_folder,
    index_lines,
    majority,
    shown,
    whole_batch,
)
from tasks.listops import CLOSE, OPERATOR, PAD, ListOps

FILES: dict[Split, str] = {
    "train": "basic_train.tsv",
    "validation": "basic_val.tsv",
    "test": "basic_test.tsv",
}
LAYOUT = "basic_{train,val,test}.tsv, in lra_release/listops-1000 of the archive lra_release.gz"
FIX = "mend the line: an expression such as ( ( ( [MAX 2 ) 9 ) ] ), a tab, and its value"
DRAWN = ListOps()  # the task whose tokens, names and oracle these are


@register("lra_listops")
class LraListOps(FileTask):
    """The value, 0 to 9, of an expression of MIN, MAX, MED and SM that a file gives.

    Input: the expression's tokens, as in `listops`, padded on the right to `length`; the label
    is the target at the last position.

    Files: basic_{train,val,test}.tsv with the header `Source<tab>Target`: 96,000, 2,000 and
    2,000 expressions, the official splits. Brackets [ ] are tokens; the parentheses ( ), which
    carry nothing, are left out. (The benchmark's first tokenizer dropped both kinds, which makes
    the task impossible; the table in its paper is likely from then.)
    Every label that is read is checked against the value of its expression.

    Tokens: 0 is padding, 1..10 the digits, 11..14 the operators, 15 is "]".
    Chance: 1/10. Knowing the operator at the root alone gives 36 %, where several published
    models stand; always guessing the most frequent label gives 17 %: see `shortcuts`.
    Facts: `depth`, how deep operators are nested; `length` in tokens; `operators`, their number.

    Deviations: the official code also keeps two ids unused (one for unknown words); nothing is
    ever cut: an expression longer than `length` is refused.
    There is no edit: the expression is all there is, and it is evaluated as a whole.
    """

    length: Count = 2000
    """Tokens of an input; the official expressions have 501 to 1,999."""

    summary: ClassVar[str] = "evaluate a long nested expression of the benchmark's own files"
    source: ClassVar[str] = "Long Range Arena, arXiv:2011.04006, section 2.2.1"
    scoring: ClassVar[str] = ListOps.scoring
    pad_token: ClassVar[int | None] = PAD

    @property
    def num_tokens(self) -> int:
        return DRAWN.num_tokens

    @property
    def num_outputs(self) -> int:
        return DRAWN.num_outputs

    @property
    def input_length(self) -> int:
        return self.length

    def labels(self, split: Split) -> np.ndarray:
        return _expressions(self.folder, split).labels

    def files(self) -> tuple[Path, list[Path]]:
        root = _root(self.folder)
        return root, [root / name for name in FILES.values()]

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        lines = _expressions(self.folder, SPLITS[role])
        inputs = np.full((len(rows), self.length), PAD, dtype=np.int64)
        for line, row, out in zip(lines.read(rows), rows, inputs, strict=True):
            tokens = _tokens(line, lines.where(row))
            if len(tokens) > self.length:
                raise HarnessError(
                    f"the expression has {len(tokens)} tokens, length is {self.length}",
                    where=lines.where(row),
                    fix="set length to 2000, or more for expressions of your own",
                )
            out[: len(tokens)] = tokens
        facts = _facts(inputs)
        for row in rows[_is_malformed(inputs)][:1]:
            raise HarnessError(
                "the brackets do not form one expression", where=lines.where(row), fix=FIX
            )
        batch = whole_batch(inputs, lines.labels[rows], facts)
        values = self.oracle(batch)[:, -1]
        for index in np.flatnonzero(values != batch.targets[:, -1])[:1]:
            raise HarnessError(
                f"the label is {batch.targets[index, -1]}, the expression's value {values[index]}",
                where=lines.where(rows[index]),
                fix="unpack the archive again, or mend the line",
            )
        return batch

    def oracle(self, batch: Batch) -> np.ndarray:
        return DRAWN.oracle(batch)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent label, and the most frequent one given the token at the root, as
        counted in the training file."""
        root, shape = batch.inputs[:, :1], batch.inputs.shape
        by_root = np.broadcast_to(_frequent_labels(self)[root], shape)
        return {"root operator": by_root} | super().shortcuts(batch)

    @property
    def token_names(self) -> list[str]:
        return DRAWN.token_names

    @property
    def output_names(self) -> list[str]:
        return DRAWN.output_names


def _root(folder: str) -> Path:
    inner = ["listops-1000", "lra_release/listops-1000", "lra_release/lra_release/listops-1000"]
    return find_folder(folder, inner, list(FILES.values()), LAYOUT)


@lru_cache(maxsize=8)
def _expressions(folder: str, split: Split) -> Lines:
    """Label and root of every expression."""
    path = _root(folder) / FILES[split]
    return index_lines(path, _label_and_root, header=b"Source\tTarget", fix=FIX)


def _label_and_root(line: bytes) -> tuple[int, int]:
    source, tab, label = line.partition(b"\t")
    if not tab or b"\t" in label:
        columns = line.count(b"\t") + 1
        raise ValueError(f"expected 2 columns, got {columns}: {shown(line)}")
    if len(label) != 1 or not label.isdigit():
        raise ValueError(f"the label should be 0 .. 9, got {shown(label)}")
    root = source.lstrip(b"( ")[:8].split()[:1]
    if not root or root[0].rstrip(b")") not in NUMBERS:
        raise ValueError(f"the expression should begin with a token, got {shown(source)}")
    return int(label), NUMBERS[root[0].rstrip(b")")]


NUMBERS = {name.encode(): number for number, name in enumerate(DRAWN.token_names) if number != PAD}


def _tokens(line: bytes, where: str) -> list[int]:
    words = line[: line.index(b"\t")].translate(None, b"()").split()
    try:
        return [NUMBERS[word] for word in words]
    except KeyError as error:
        raise HarnessError(
            f"unknown token {shown(error.args[0])}, expected {b' '.join(NUMBERS).decode()}",
            where=where,
            fix=FIX,
        ) from None


def _levels(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, L) bool, whether an operator; (n, L) brackets that are open after each token."""
    is_operator = (inputs >= OPERATOR) & (inputs < CLOSE)
    return is_operator, np.cumsum(is_operator.astype(np.int64) - (inputs == CLOSE), axis=1)


def _facts(inputs: np.ndarray) -> dict[str, np.ndarray]:
    is_operator, level = _levels(inputs)
    return {
        "depth": level.max(axis=1),
        "length": (inputs != PAD).sum(axis=1),
        "operators": is_operator.sum(axis=1),
    }


def _is_malformed(inputs: np.ndarray) -> np.ndarray:
    """(n,) whether tokens are no single expression in which every operator has an argument."""
    is_operator, level = _levels(inputs)
    last = (inputs != PAD).sum(axis=1, keepdims=True) - 1
    place = np.arange(inputs.shape[1])
    closed_early = ((level <= 0) & (place < last)).any(axis=1)
    left_open = level[:, -1] != 0
    empty = (is_operator[:, :-1] & (inputs[:, 1:] == CLOSE)).any(axis=1)
    return closed_early | left_open | empty | (inputs[:, 0] == CLOSE)


@lru_cache(maxsize=32)
def _frequent_labels(task: LraListOps) -> np.ndarray:
    """(num_tokens,) the most frequent label given each token as the root."""
    labels, roots = _expressions(task.folder, "train").parsed.T
    counts = np.zeros((task.num_tokens, task.num_outputs), dtype=np.int64)
    np.add.at(counts, (roots, labels), 1)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), majority(task))
