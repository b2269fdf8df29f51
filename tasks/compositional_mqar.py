"""MQAR whose keys are pairs of tokens, of which neither half tells the value.

The rule of Zoology's compositional variant (Arora et al. 2023, arXiv:2312.04927, published with
its code). Deviations: see `CompositionalMqar`.
"""

from __future__ import annotations

from math import comb
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tasks.base import IGNORE, Batch, Edit, circular_distance, few_inputs, register
from tasks.distinct import distinct, reordered, rotated
from tasks.history import arrays
from tasks.mqar import MultiQuery, in_order, look_up, ways


@register("compositional_mqar")
class CompositionalMqar(MultiQuery):
    """Recall of the value of each pair of half keys.

    Rule: g different first halves, g different second halves and g^2 different values, every
    ordered choice equally likely; the context holds all g^2 triples (first, second, value), in
    random order; then each pair of halves stands once more, as a query of two tokens, in the
    slot of three tokens that was drawn for it (see `MultiQuery`). Scored is its value, at the
    second half. A model that looks one half up finds g values.

    Tokens: 0 is the filler; the others fall into three ranges: 1 .. V/3 - 1 first halves,
    V/3 .. 2V/3 - 1 second halves, 2V/3 .. V - 1 values (V/3 rounded down).
    Chance: 1 / values; a guess among the values of the context: 1 / g^2; of one half: 1 / g.
    Facts: `distance`, from the scored position back to the value in the context;
    `circular_distance`, the shorter way round an input closed to a ring; `pair`, the place of the
    triple in the context.
    Edits: the evidence is the value of every triple, which moves to another one; the distractor
    is the order of the triples, since every pair of halves is asked.

    Deviations: filler is unambiguous unless asked for; length defaults to 96, since MQAR's 64
    leaves little room for slots of three.
    """

    length: Annotated[int, Field(ge=1)] = 96
    """Tokens of an input."""
    num_halves: Annotated[int, Field(ge=2)] = 3
    """g, the half keys of each kind; the context has g^2 triples."""

    slot_tokens: ClassVar[int] = 3
    summary: ClassVar[str] = "recall the value of every pair of half keys"
    source: ClassVar[str] = "rule of Zoology's code, published with arXiv:2312.04927"
    scoring: ClassVar[str] = (
        "At the second token of every pair that comes again the value of that pair, which stood "
        "behind it in the triples at the beginning; each half alone stands there several times."
    )

    @model_validator(mode="after")
    def _possible(self):
        third, pairs = self.vocab_size // 3, self.num_pairs
        if 6 * pairs > self.length:
            raise ValueError(
                "compositional_mqar needs 6 x num_halves^2 <= length: "
                f"6 x {self.num_halves}^2 > {self.length}"
            )
        if self.num_halves > third - 1:
            raise ValueError(
                f"num_halves must be <= vocab_size / 3 - 1: {self.num_halves} > {third - 1}"
            )
        if pairs > self.num_values:
            raise ValueError(f"num_halves^2 must be <= values: {pairs} > {self.num_values}")
        return self

    @property
    def num_pairs(self) -> int:
        """Triples of the context, and queries."""
        return self.num_halves**2

    @property
    def num_values(self) -> int:
        """Tokens that can be a value."""
        return self.vocab_size - 2 * (self.vocab_size // 3)

    @property
    def num_used(self) -> int:
        """Different tokens of an example that are no filler."""
        return 2 * self.num_halves + self.num_pairs

    @property
    def token_names(self) -> list[str]:
        third = self.vocab_size // 3
        firsts, seconds = ([f"{kind}{i}" for i in range(third)] for kind in "ab")
        return [".", *firsts[:-1], *seconds, *(f"v{i}" for i in range(self.num_values))]

    @property
    def context_tokens(self) -> int:
        return 3 * self.num_pairs

    @property
    def max_scored(self) -> int:
        return self.num_pairs

    @property
    def chance(self) -> float:
        return 1 / self.num_values

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self._num_inputs())

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        third, g, pairs = self.vocab_size // 3, self.num_halves, self.num_pairs
        firsts = distinct(rng, 1, third, n, g)
        seconds = distinct(rng, third, 2 * third, n, g)
        values = distinct(rng, 2 * third, self.vocab_size, n, pairs)
        order = distinct(rng, 0, pairs, n, pairs)
        first = np.take_along_axis(firsts, order // g, axis=1)
        second = np.take_along_axis(seconds, order % g, axis=1)
        queries = self._slots(rng, n, pairs)

        inputs, targets, distance, circular, place = arrays(5, n, self.length)
        inputs[:] = self._filler(rng, np.concatenate([firsts, seconds, values], axis=1))
        end, row = self.context_tokens, np.arange(n)[:, None]
        inputs[:, 0:end:3], inputs[:, 1:end:3], inputs[:, 2:end:3] = first, second, values
        inputs[row, queries], inputs[row, queries + 1] = first, second
        back = queries + 1 - (3 * np.arange(pairs) + 2)
        around = circular_distance(back, self.length)
        for out, unscored, found in (
            (targets, IGNORE, values),
            (distance, -1, back),
            (circular, -1, around),
            (place, -1, np.broadcast_to(np.arange(pairs), back.shape)),
        ):
            out.fill(unscored)
            out[row, queries + 1] = found
        facts = {"distance": distance, "circular_distance": circular, "pair": place}
        return Batch(inputs, targets, facts)

    def _num_inputs(self) -> int:
        """Number of different inputs; counting may stop beyond FEW_INPUTS."""
        third, g, pairs = self.vocab_size // 3, self.num_halves, self.num_pairs
        halves = comb(third - 1, g) * comb(third, g)
        contexts = halves * ways(pairs, pairs) * ways(self.num_values, pairs)
        return contexts * self._num_arrangements(pairs, 2, self.num_used)

    def oracle(self, batch: Batch) -> np.ndarray:
        return self._answers(batch.inputs)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """What one half alone says: the value of its last triple in the context; the last value;
        and for the i-th query the i-th value (see `mqar`)."""
        end, inputs = self.context_tokens, batch.inputs
        context = inputs[:, :end]
        before = np.roll(inputs, 1, axis=1)
        return {
            "second half alone": look_up(context[:, 1::3], context[:, 2::3], inputs),
            "first half alone": look_up(context[:, ::3], context[:, 2::3], before),
            "last value": np.broadcast_to(context[:, -1:], inputs.shape),
            "values in order": in_order(context[:, 2::3], batch.scored),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        end, n, pairs = self.context_tokens, len(batch.inputs), self.num_pairs
        evidence, distractor = batch.inputs.copy(), batch.inputs.copy()
        moved = rotated(rng, n, pairs)
        evidence[:, 2:end:3] = np.take_along_axis(batch.inputs[:, 2:end:3], moved, axis=1)
        order = reordered(rng, n, pairs)
        for part in range(3):
            cells = batch.inputs[:, part:end:3]
            distractor[:, part:end:3] = np.take_along_axis(cells, order, axis=1)
        said = np.where(batch.scored, self._answers(evidence), IGNORE)
        return Edit(
            Batch(evidence, said, batch.info),
            Batch(distractor, batch.targets, self._moved(batch, order)),
        )

    def _answers(self, inputs: np.ndarray) -> np.ndarray:
        """(n, L) the value of the pair that ends at each position."""
        context = inputs[:, : self.context_tokens]
        code = np.roll(inputs, 1, axis=1) * self.vocab_size + inputs
        keys = context[:, ::3] * self.vocab_size + context[:, 1::3]
        return look_up(keys, context[:, 2::3], code)
