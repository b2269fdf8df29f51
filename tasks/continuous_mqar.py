"""MQAR in embedding space: each position already holds a key's vector and its value's.

The rule of Zoology's stacked variant (Arora et al. 2023, arXiv:2312.04927, published with its
code). One mixer layer without a shift can solve it, so it isolates recall from the shift that
brings a value to its key. Deviations: see `ContinuousMqar`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.seeding import generator
from tasks.base import Batch, Count, Edit, Task, circular_distance, few_inputs, register
from tasks.distinct import distinct, race, reordered, rotated
from tasks.mqar import in_order, ways

MIN_DISTANCE = 0.01  # of two codes; float32 tells them apart with certainty


@register("continuous_mqar")
class ContinuousMqar(Task):
    """Recall of the vector that stood beside a key's.

    Rule: num_pairs different keys and different values, every choice equally likely; the first
    num_pairs positions hold (key vector, value vector); of the other positions num_pairs, drawn
    by MQAR's law of slots, hold (key vector, 0) as queries, the rest 0. Scored is the value's
    vector at each query.

    Vectors: num_codes keys and as many values, each of unit length and dims numbers, fixed by
    the parameters alone. A prediction is right within half the smallest distance of two values'
    vectors (a millionth less), so that the right one is certainly the nearest.
    Chance: that of the best constant, which is right about one value at most: 1 / num_codes.
    Facts: `distance`, from the query back to its pair; `circular_distance`, the shorter way
    round an input closed to a ring; `pair`, the place of the pair in the context.
    Edits: the evidence is the value of every key, which moves to another key; the distractor is
    the order of the pairs, since every key is asked.

    This project's own: MQAR's law of slots, with zeros where no query is. In the published code
    queries follow the pairs at once, in uniform order: length 2 x num_pairs and power 1. Its
    vectors are given, here they are of unit length.
    """

    num_codes: Annotated[int, Field(ge=2, le=2048)] = 128
    """Number of keys, and of values."""
    dims: Annotated[int, Field(ge=2, le=4096)] = 32
    """Numbers of a key's vector, and of a value's."""
    length: Count = 32
    """Positions."""
    num_pairs: Annotated[int, Field(ge=2)] = 4
    """Keys, each with a value and asked once."""
    power: Annotated[float, Field(gt=0, le=8)] = 0.01
    """a, where slot i is drawn in proportion to i^(a - 1): 1 is uniform; near 0 most queries come
    early."""

    summary: ClassVar[str] = "recall the vector that stood beside a key's vector"
    source: ClassVar[str] = "rule of Zoology's code, published with arXiv:2312.04927"
    group: ClassVar[str] = "recall"
    scoring: ClassVar[str] = (
        "At every key that stands alone, its second half zero, the value's vector that stood "
        "beside that key at the beginning."
    )
    next_token: ClassVar[bool] = False
    real_targets: ClassVar[bool] = True

    @model_validator(mode="after")
    def _possible(self):
        if 2 * self.num_pairs > self.length:
            raise ValueError(
                "continuous_mqar needs 2 x num_pairs <= length: "
                f"2 x {self.num_pairs} > {self.length}"
            )
        if self.num_pairs > self.num_codes:
            raise ValueError(f"num_pairs must be <= num_codes: {self.num_pairs} > {self.num_codes}")
        distance = min(_smallest_distance(self.num_codes, self.dims))
        if distance < MIN_DISTANCE:
            raise ValueError(
                f"num_codes {self.num_codes} are too many for dims {self.dims}: two vectors are "
                f"{distance:.2g} < {MIN_DISTANCE} apart"
            )
        return self

    @property
    def num_features(self) -> int:
        return 2 * self.dims

    @property
    def num_outputs(self) -> int:
        return self.dims

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.num_pairs

    @property
    def chance(self) -> float:
        return 1 / self.num_codes

    @property
    def tolerance(self) -> float:
        return _smallest_distance(self.num_codes, self.dims)[1] / 2 * (1 - 1e-6)

    @property
    def too_small_to_hold_out(self) -> str:
        codes, pairs = self.num_codes, self.num_pairs
        return few_inputs(ways(codes, pairs) ** 2 * ways(self.length - pairs, pairs))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        pairs, row = self.num_pairs, np.arange(n)[:, None]
        keys = distinct(rng, 0, self.num_codes, n, pairs)
        values = distinct(rng, 0, self.num_codes, n, pairs)
        slots = np.arange(1, self.length - pairs + 1)
        queries = pairs + race(rng, slots ** (self.power - 1.0), n, pairs)
        key_codes, value_codes = _codes(self.num_codes, self.dims)
        inputs = np.zeros((n, self.length, self.num_features), dtype=np.float32)
        inputs[:, :pairs, : self.dims] = key_codes[keys]
        inputs[:, :pairs, self.dims :] = value_codes[values]
        inputs[row, queries, : self.dims] = key_codes[keys]
        targets = np.full((n, self.length, self.dims), np.nan, dtype=np.float32)
        targets[row, queries] = value_codes[values]
        place = np.broadcast_to(np.arange(pairs), keys.shape)
        return Batch(inputs, targets, self._facts(queries, place))

    def oracle(self, batch: Batch) -> np.ndarray:
        """The value beside the context's key with the largest inner product."""
        keys, values = self._context(batch.inputs)
        asked = batch.inputs[:, :, : self.dims]
        nearest = np.einsum("nld,npd->nlp", asked, keys).argmax(axis=2)
        return np.take_along_axis(values, nearest[:, :, None], axis=1)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The mean and the last of the context's values; for the i-th query the i-th value (see
        `mqar`); and no prediction at all."""
        _, values = self._context(batch.inputs)
        shape = batch.targets.shape
        return {
            "mean value of the context": np.broadcast_to(values.mean(axis=1, keepdims=True), shape),
            "last value": np.broadcast_to(values[:, -1:], shape),
            "values in order": in_order(values, batch.scored),
            "zero": np.zeros(shape, dtype=np.float32),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        n, pairs = len(batch.inputs), self.num_pairs
        moved = rotated(rng, n, pairs)
        evidence, distractor = batch.inputs.copy(), batch.inputs.copy()
        _, values = self._context(batch.inputs)
        evidence[:, :pairs, self.dims :] = np.take_along_axis(values, moved[:, :, None], axis=1)
        order = reordered(rng, n, pairs)
        distractor[:, :pairs] = np.take_along_axis(
            batch.inputs[:, :pairs], order[:, :, None], axis=1
        )
        said = self.oracle(batch._replace(inputs=evidence))
        targets = np.where(batch.scored[:, :, None], said, np.float32(np.nan))
        queries = np.nonzero(batch.scored)[1].reshape(n, pairs)
        before = np.take_along_axis(batch.info["pair"], queries, axis=1)
        facts = self._facts(queries, np.take_along_axis(np.argsort(order, axis=1), before, axis=1))
        return Edit(Batch(evidence, targets, batch.info), Batch(distractor, batch.targets, facts))

    def drawing(self, batch: Batch, index: int) -> list[str]:
        """The number of the key, and of its value, at each position that holds any."""
        features = batch.inputs[index]
        key, value = (
            (half @ codes.T).argmax(axis=1)
            for half, codes in zip(
                np.split(features, 2, axis=1), _codes(self.num_codes, self.dims), strict=True
            )
        )
        lines, before = [], -1
        for position in np.flatnonzero(features.any(axis=1)):
            if position > before + 1:
                lines.append("...")
            said = value[position] if position < self.num_pairs else "?"
            lines.append(f"{position:>6}  key {key[position]}, value {said}")
            before = position
        return [*lines, "..."] if before < self.length - 1 else lines

    def _context(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, num_pairs, dims) keys and values."""
        context = inputs[:, : self.num_pairs]
        return context[:, :, : self.dims], context[:, :, self.dims :]

    def _facts(self, queries: np.ndarray, place: np.ndarray) -> dict[str, np.ndarray]:
        """Facts of queries that stand at `queries` and ask for the pair at `place`, (n, pairs)."""
        n, back = len(queries), queries - place
        facts = {
            "distance": back,
            "circular_distance": circular_distance(back, self.length),
            "pair": place,
        }
        out = {}
        for name, found in facts.items():
            out[name] = np.full((n, self.length), -1)
            np.put_along_axis(out[name], queries, found, axis=1)
        return out


@lru_cache(maxsize=16)
def _codes(num: int, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of all keys and of all values, (num, dims) each."""
    codes = generator("continuous_mqar", num, dims).standard_normal((2, num, dims))
    codes /= np.linalg.norm(codes, axis=2, keepdims=True)
    codes = codes.astype(np.float32)
    codes.flags.writeable = False
    return codes[0], codes[1]


@lru_cache(maxsize=16)
def _smallest_distance(num: int, dims: int) -> tuple[float, float]:
    """Between the vectors of two keys, and of two values."""
    found = []
    for codes in _codes(num, dims):
        inner = codes.astype(np.float64) @ codes.T.astype(np.float64)
        square = np.diagonal(inner)  # about 1: codes are rounded to float32
        squared = square[:, None] + square - 2 * inner
        np.fill_diagonal(squared, np.inf)
        found.append(float(np.sqrt(max(0.0, squared.min()))))
    return found[0], found[1]
