"""ListOps, long-range version: evaluate a nested expression such as [MAX 2 9 [MIN 4 7 ] 0 ].

Nangia and Bowman 2018 (arXiv:1804.06028); the long version and its rule are those of Long Range
Arena (Tay et al. 2021, arXiv:2011.04006, section 2.2.1). Deviations: see `ListOps`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.config import parse_component, to_data
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks.base import FEW_INPUTS, IGNORE, TASKS, Batch, Task, register

PAD, DIGIT, OPERATOR, CLOSE = 0, 1, 11, 15  # a digit d is DIGIT + d
MIN, MAX, MED, SM = range(4)  # an operator is OPERATOR + one of these

CHUNK = 8192  # trees grown at once, at most
MAX_TREES = 100_000, 2_000  # drawn at most: in all, and more for each example
FIT_EXAMPLES = 4_000  # behind the shortcuts


class Level(NamedTuple):
    """All nodes of one depth, in reading order; the children of a node are contiguous."""

    tree: np.ndarray  # (m,) the tree a node belongs to, ascending
    arity: np.ndarray  # (m,) number of children; 0 for a digit


@register("listops")
class ListOps(Task):
    """The value, 0 to 9, of a random expression of MIN, MAX, MED and SM (sum modulo 10).

    Rule: a node above depth max_depth (the root has depth 1) is an operator with probability
    1/4, else, as at max_depth, a uniform digit. An operator is uniform over the four and has
    2 .. max_args (uniform) children. MED is the median, rounded down. An expression has one
    token a digit and two an operator ("[MAX" and "]"); it is accepted if its number of tokens
    is strictly between min_length and max_length, which 8.3 % of the official ones are.

    Tokens: 0 is padding, 1..10 the digits, 11..14 the operators, 15 is "]". Inputs are padded
    on the right to max_length - 1 tokens; the label is the target at the last position.
    Chance: 1/10. Knowing the operator at the root alone gives 36 %, where several published
    models stand; always guessing the most frequent label gives 17 %: see `shortcuts`.
    Facts: `depth`, how deep operators are nested (9 in all official examples); `length` in
    tokens; `operators`, their number.

    Deviations: seeded, which the official generator is not; examples are not de-duplicated;
    no parentheses, which carry nothing (as in the official corrected tokenizer).
    """

    max_depth: Annotated[int, Field(ge=2)] = 10
    """Depth of the deepest digits."""
    max_args: Annotated[int, Field(ge=2)] = 10
    """Children of an operator, at most."""
    min_length: Annotated[int, Field(ge=0)] = 500
    """Expressions are longer than this many tokens."""
    max_length: Annotated[int, Field(ge=2)] = 2000
    """Expressions are shorter than this many tokens."""

    summary: ClassVar[str] = "evaluate a long nested expression"
    source: ClassVar[str] = "Long Range Arena, arXiv:2011.04006, section 2.2.1"
    group: ClassVar[str] = "long range"
    scoring: ClassVar[str] = (
        "The value of the whole expression, worked out from the innermost brackets outwards."
    )
    next_token: ClassVar[bool] = False
    pooled: ClassVar[bool] = True
    pad_token: ClassVar[int | None] = 0
    length_parameter: ClassVar[str | None] = "max_length"

    @model_validator(mode="after")
    def _possible(self):
        if self.min_length + 1 >= self.max_length:
            raise ValueError(
                "no length is strictly between min_length and max_length: "
                f"{self.min_length} + 1 >= {self.max_length}"
            )
        longest = 1
        for _ in range(self.max_depth - 1):
            longest = 2 + self.max_args * longest
            if longest > self.min_length:
                break
        if longest <= self.min_length:
            raise ValueError(
                f"max_depth {self.max_depth} and max_args {self.max_args} allow {longest} tokens "
                f"at most, min_length wants more: {longest} <= {self.min_length}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return 16

    @property
    def num_outputs(self) -> int:
        return 10

    @property
    def input_length(self) -> int:
        return self.max_length - 1

    @property
    def chance(self) -> float:
        return 0.1

    @property
    def too_small_to_hold_out(self) -> str:
        # An expression of m tokens has at least (m + 2) / 3 digits; the rest are operators in
        # pairs of tokens, each of 4 kinds: at least 2^m 5^((m + 2) / 3) fillings of any shape.
        shortest = min(self.min_length + 1, 64)
        if 2**shortest * 5 ** ((shortest + 2) // 3) >= FEW_INPUTS:
            return ""
        return f"expressions of {shortest} tokens have fewer than {FEW_INPUTS:,} different forms"

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        inputs = np.full((n, self.input_length), PAD, dtype=np.int64)
        targets = np.full_like(inputs, IGNORE)
        facts = {name: np.full_like(inputs, -1) for name in ("depth", "length", "operators")}
        done = drawn = 0
        while done < n:
            if drawn > MAX_TREES[0] + MAX_TREES[1] * n:
                raise HarnessError(
                    f"listops: only {done} of {drawn:,} random expressions had a length strictly "
                    f"between {self.min_length} and {self.max_length} (max_depth "
                    f"{self.max_depth}, max_args {self.max_args})",
                    fix="widen the range of lengths, or change max_depth or max_args",
                )
            trees = int(np.clip(16 * (n - done), 256, CHUNK))
            levels, lengths = self._grow(rng, trees, n - done)
            drawn += trees
            rows = slice(done, done + len(lengths))
            targets[rows, -1], values = _evaluate(levels, rng)
            _write(levels, values, inputs[rows])
            facts["length"][rows, -1] = lengths
            facts["depth"][rows, -1] = sum(
                np.bincount(tree[arity > 0], minlength=len(lengths)) > 0 for tree, arity in levels
            )
            facts["operators"][rows, -1] = sum(
                np.bincount(tree[arity > 0], minlength=len(lengths)) for tree, arity in levels
            )
            done = rows.stop
        return Batch(inputs, targets, facts)

    def oracle(self, batch: Batch) -> np.ndarray:
        """Evaluates from the tokens alone, innermost operators first."""
        tokens = batch.inputs.ravel()
        is_operator = (tokens >= OPERATOR) & (tokens < CLOSE)
        # Open brackets around a token, its own included; every row closes what it opens.
        level = np.cumsum(is_operator.astype(np.int64) - (tokens == CLOSE))
        around = level - is_operator
        values = np.where((tokens >= DIGIT) & (tokens < OPERATOR), tokens - DIGIT, -1)
        for depth in range(level.max(initial=0), 0, -1):
            operators = np.flatnonzero(is_operator & (level == depth))
            children = np.flatnonzero((values >= 0) & (around == depth))
            parent = np.searchsorted(operators, children) - 1
            counts = np.bincount(10 * parent + values[children], minlength=10 * len(operators))
            values[operators] = _apply(tokens[operators] - OPERATOR, counts.reshape(-1, 10))
        predictions = np.full_like(batch.inputs, IGNORE)
        predictions[:, -1] = values.reshape(batch.inputs.shape)[:, 0]
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent label, and the most frequent one given the operator at the root,
        as counted in a fixed sample of 4,000 examples with the same parameters."""
        majority, by_root = _frequent_labels(self)
        root, shape = batch.inputs[:, :1], batch.inputs.shape
        return {
            "root operator": np.broadcast_to(by_root[root], shape),
            "majority": np.full(shape, majority),
        }

    def at_length(self, length: int) -> Task:
        """Expressions shorter than `length` tokens. min_length keeps its ratio to max_length
        (rounded down), so that no more of a shorter input is padding than of a longer one."""
        least = self.min_length * length // self.max_length
        changes = {"min_length": least, "max_length": length}
        return parse_component(TASKS, to_data(self) | changes)

    @property
    def token_names(self) -> list[str]:
        return ["_", *self.output_names, "[MIN", "[MAX", "[MED", "[SM", "]"]

    @property
    def output_names(self) -> list[str]:
        return [str(digit) for digit in range(10)]

    def _grow(
        self, rng: np.random.Generator, trees: int, at_most: int
    ) -> tuple[list[Level], np.ndarray]:
        """Shapes of random trees, of which the first `at_most` of acceptable length are kept.

        Returns their levels from the root down, and their lengths in tokens.
        """
        levels, tree = [], np.arange(trees)
        lengths = np.ones(trees, dtype=np.int64)  # as if everything still to grow were a digit
        for depth in range(1, self.max_depth + 1):
            arity = np.zeros(len(tree), dtype=np.int64)
            levels.append(Level(tree, arity))
            if depth == self.max_depth:
                break
            operators = np.flatnonzero(rng.integers(4, size=len(tree), dtype=np.uint8) == 0)
            children = rng.integers(2, self.max_args + 1, size=len(operators))
            lengths += np.bincount(tree[operators], 1 + children, trees).astype(np.int64)
            growing = lengths[tree[operators]] < self.max_length
            arity[operators[growing]] = children[growing]
            tree = np.repeat(tree, arity)
            if not len(tree):
                break
        accepted = np.flatnonzero((self.min_length < lengths) & (lengths < self.max_length))
        accepted = accepted[:at_most]
        number = np.full(trees, -1)
        number[accepted] = np.arange(len(accepted))
        kept = []
        for tree, arity in levels:
            new = number[tree]
            kept.append(Level(new[new >= 0], arity[new >= 0]))
        return kept, lengths[accepted]


def _evaluate(levels: list[Level], rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draws digits and operators. Returns each tree's value, and per level the nodes' tokens."""
    below, tokens = np.zeros(0, dtype=np.int64), []
    for level in reversed(levels):
        values = rng.integers(10, size=len(level.tree))
        named = DIGIT + values
        is_operator = level.arity > 0
        arity = level.arity[is_operator]
        if len(arity):
            kind = rng.integers(4, size=len(arity))
            named[is_operator] = OPERATOR + kind
            first = np.cumsum(arity) - arity
            median = np.zeros_like(arity)
            is_median = kind == MED
            median[is_median] = _medians(below[np.repeat(is_median, arity)], arity[is_median])
            values[is_operator] = np.choose(
                kind,
                [
                    np.minimum.reduceat(below, first),
                    np.maximum.reduceat(below, first),
                    median,
                    np.add.reduceat(below, first) % 10,
                ],
            )
        tokens.append(named)
        below = values
    return below, tokens[::-1]


def _medians(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Medians, rounded down, of consecutive groups of digits with these sizes."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    ordered = np.sort(10 * group + values) % 10
    first = np.cumsum(sizes) - sizes
    return (ordered[first + (sizes - 1) // 2] + ordered[first + sizes // 2]) // 2


def _write(levels: list[Level], tokens: list[np.ndarray], out: np.ndarray) -> None:
    """Writes each tree into its row of out (n, L)."""
    sizes = [np.ones(len(level.tree), dtype=np.int64) for level in levels]
    for level, size, below in zip(levels[-2::-1], sizes[-2::-1], sizes[:0:-1], strict=True):
        is_operator = level.arity > 0
        arity = level.arity[is_operator]
        if len(arity):
            size[is_operator] = 2 + np.add.reduceat(below, np.cumsum(arity) - arity)

    cells, width = out.reshape(-1), out.shape[1]
    start = width * levels[0].tree  # in the flattened output
    for depth, (level, size) in enumerate(zip(levels, sizes, strict=True)):
        cells[start] = tokens[depth]
        is_operator = level.arity > 0
        arity = level.arity[is_operator]
        if not len(arity):
            return
        cells[start[is_operator] + size[is_operator] - 1] = CLOSE
        end = np.cumsum(sizes[depth + 1])
        before = end - sizes[depth + 1]
        first = np.cumsum(arity) - arity
        start = np.repeat(start[is_operator] + 1 - before[first], arity) + before


def _apply(operators: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(m,) values of m operators over arguments given by counts (m, 10) of each digit."""
    up_to = counts.cumsum(axis=1)
    number = up_to[:, -1:]
    lower = (up_to > (number - 1) // 2).argmax(axis=1)
    upper = (up_to > number // 2).argmax(axis=1)
    choices = [
        (counts > 0).argmax(axis=1),
        9 - (counts[:, ::-1] > 0).argmax(axis=1),
        (lower + upper) // 2,
        (counts @ np.arange(10)) % 10,
    ]
    return np.choose(operators, choices)


@lru_cache(maxsize=32)
def _frequent_labels(task: ListOps) -> tuple[int, np.ndarray]:
    """The most frequent label, and for each token as the root, (num_tokens,), given that one."""
    counts = np.zeros((task.num_tokens, 10), dtype=np.int64)
    rng = generator("listops", "shortcuts")
    for _ in range(FIT_EXAMPLES // 500):
        batch = task.sample(rng, 500)
        np.add.at(counts, (batch.inputs[:, 0], batch.targets[:, -1]), 1)
    majority = int(counts.sum(axis=0).argmax())
    return majority, np.where(counts.any(axis=1), counts.argmax(axis=1), majority)
