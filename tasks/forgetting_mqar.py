"""MQAR in which some keys are bound anew: the last value counts, the first must be forgotten.

The rule of Zoology's forgetting variant (Arora et al. 2023, arXiv:2312.04927, published with its
code). Deviations: see `ForgettingMqar`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tasks.base import Batch, register
from tasks.distinct import distinct, reordered
from tasks.mqar import Mqar, look_up, ways


@register("forgetting_mqar")
class ForgettingMqar(Mqar):
    """Recall of the last value of each key.

    Rule: MQAR's, but after the num_pairs pairs of the context come num_updates pairs more, whose
    keys are different keys of the context, every ordered choice equally likely, with new values.
    Queries ask for the last value. 4 x num_pairs + 2 x num_updates <= length.

    Tokens and chance: as `mqar`. Edits: the evidence moves every value of the context,
    new ones included, to another pair; the distractor is the order of the pairs before the
    updates, and of the updates.
    Facts: those of `mqar`, where `pair` counts the updates after the pairs; `updated`, 1 where
    the key has two values, else 0.

    Deviations: all values of an example differ, so a new value is never the old one (the
    published code compares with another pair's value, so that an update may change nothing).
    """

    num_updates: Annotated[int, Field(ge=1)] = 2
    """Keys that are bound a second time."""

    summary: ClassVar[str] = "recall the last value of every key, some of which were bound twice"
    source: ClassVar[str] = "rule of Zoology's code, published with arXiv:2312.04927"
    scoring: ClassVar[str] = (
        "At every key that comes again after the pairs its last value; the first one of a key "
        "that was bound twice is out of date."
    )

    def _too_long(self) -> str:
        return (
            "forgetting_mqar needs 4 x num_pairs + 2 x num_updates <= length: "
            f"4 x {self.num_pairs} + 2 x {self.num_updates} > {self.length}"
        )

    @model_validator(mode="after")
    def _updates_possible(self):
        if self.num_updates > self.num_pairs:
            raise ValueError(
                f"num_updates must be <= num_pairs: {self.num_updates} > {self.num_pairs}"
            )
        if self.num_pairs + self.num_updates > self.num_values:
            raise ValueError(
                "num_pairs + num_updates must be <= values: "
                f"{self.num_pairs} + {self.num_updates} > {self.num_values}"
            )
        return self

    @property
    def num_used(self) -> int:
        return 2 * self.num_pairs + self.num_updates

    @property
    def context_tokens(self) -> int:
        return 2 * (self.num_pairs + self.num_updates)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        half, pairs, updates = self.vocab_size // 2, self.num_pairs, self.num_updates
        keys = distinct(rng, 1, half, n, pairs)
        values = distinct(rng, half, self.vocab_size, n, pairs + updates)
        updated = distinct(rng, 0, pairs, n, updates)
        first = np.broadcast_to(np.arange(pairs), (n, pairs))
        answers = values[:, :pairs].copy()
        np.put_along_axis(answers, updated, values[:, pairs:], axis=1)
        order = np.concatenate([first, updated], axis=1)
        return self._with_updates(self._batch(rng, keys, values, order, answers))

    def _num_inputs(self) -> int:
        pairs, updates = self.num_pairs, self.num_updates
        keys = ways(self.num_keys, pairs) * ways(pairs, updates)
        contexts = keys * ways(self.num_values, pairs + updates)
        return contexts * self._num_arrangements(pairs, 1, self.num_used)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """Those of MQAR, and the value that a key had first."""
        first = batch.inputs[:, : 2 * self.num_pairs]
        return super().shortcuts(batch) | {
            "first value of the key": look_up(first[:, ::2], first[:, 1::2], batch.inputs)
        }

    def _reordered(self, n: int, rng: np.random.Generator) -> np.ndarray:
        pairs = super()._reordered(n, rng)
        updates = reordered(rng, n, self.num_updates)
        return np.concatenate([pairs, self.num_pairs + updates], axis=1)

    def _moved(self, batch: Batch, order: np.ndarray) -> dict[str, np.ndarray]:
        return super()._moved(batch, order) | {"updated": batch.info["updated"]}

    def _with_updates(self, batch: Batch) -> Batch:
        pair = batch.info["pair"]
        updated = np.where(batch.scored, (pair >= self.num_pairs).astype(np.int64), -1)
        return batch._replace(info=batch.info | {"updated": updated})
