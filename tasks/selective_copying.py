"""MAD's selective copying: tell the symbols from the blanks between them and repeat them.

Poli et al. 2024 (arXiv:2403.17844, section 3.1), as its code, MAD-Lab, runs it. Deviations: see
`SelectiveCopying`.
"""

from __future__ import annotations

from math import comb
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tasks.base import (
    FEW_INPUTS,
    IGNORE,
    Batch,
    Count,
    Edit,
    Task,
    change,
    circular_distance,
    count_tokens,
    few_inputs,
    register,
)
from tasks.history import arrays


@register("selective_copying")
class SelectiveCopying(Task):
    """Reproduction, in order, of symbols that are strewn among blanks.

    Rule: `num_to_copy` symbols, uniform with replacement; for each of length - 2 num_to_copy - 1
    blanks a uniformly drawn symbol, before which it stands; so the last symbol is followed by
    the copy token at once. After it come num_to_copy blanks, the i-th of which is answered by
    the i-th symbol. Input: `length` tokens; at the defaults the copy token is number 239 from 0.

    Tokens: 0 .. vocab_size - 3 the symbols, vocab_size - 2 the blank ".", vocab_size - 1 the
    copy token "=>".
    Chance: 1 / symbols. With few symbols to copy the most frequent one does better, see
    `shortcuts`.
    Facts: `distance`, from the scored blank back to the symbol that it asks for;
    `circular_distance`, the shorter way round an input closed to a ring; `position` of the symbol
    among those to copy, from 0; `gap`, the blanks right before it.
    Edits: the evidence is every symbol; the distractor is where the blanks stand.

    Deviation: the published code draws the blanks from a generator of its own that no seed sets.
    """

    vocab_size: Annotated[int, Field(ge=4)] = 16
    """Tokens, blank and copy token included."""
    length: Annotated[int, Field(ge=3)] = 256
    """Tokens of the input."""
    num_to_copy: Count = 16
    """Symbols to copy."""

    summary: ClassVar[str] = "repeat in order the symbols that stood among blanks"
    source: ClassVar[str] = "MAD, arXiv:2403.17844, section 3.1; rule of MAD-Lab's code"
    group: ClassVar[str] = "MAD"
    scoring: ClassVar[str] = (
        'The i-th blank after "=>" asks for the i-th symbol of those before it, blanks left out.'
    )
    next_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _possible(self):
        if self.num_blanks < 0:
            raise ValueError(
                f"length must be >= 2 x num_to_copy + 1: {self.length} < 2 x {self.num_to_copy} + 1"
            )
        return self

    @property
    def num_symbols(self) -> int:
        return self.vocab_size - 2

    @property
    def num_blanks(self) -> int:
        """Blanks before the copy token."""
        return self.length - 2 * self.num_to_copy - 1

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.num_to_copy

    @property
    def chance(self) -> float:
        return 1 / self.num_symbols

    @property
    def too_small_to_hold_out(self) -> str:
        count = self.num_symbols ** min(self.num_to_copy, 64)
        if count < FEW_INPUTS:
            count *= comb(self.num_blanks + self.num_to_copy - 1, self.num_to_copy - 1)
        return few_inputs(count)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        symbols = rng.integers(self.num_symbols, size=(n, self.num_to_copy))
        return self._written(symbols, self._places(rng, n))

    def oracle(self, batch: Batch) -> np.ndarray:
        predictions = np.full_like(batch.inputs, IGNORE)
        predictions[:, -self.num_to_copy :] = self._read(batch.inputs)[0]
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent symbol (of tied ones the smallest), and the last one."""
        symbols, _ = self._read(batch.inputs)
        shape = batch.inputs.shape
        frequent = count_tokens(symbols, self.num_tokens).argmax(axis=1)
        return {
            "most frequent symbol": np.broadcast_to(frequent[:, None], shape),
            "last symbol": np.broadcast_to(symbols[:, -1:], shape),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every symbol becomes another one. distractor: the blanks are drawn anew, so
        that the symbols stand elsewhere, in the same order."""
        symbols, places = self._read(batch.inputs)
        evidence = self._written(change(symbols, 0, self.num_symbols, rng), places)
        return Edit(evidence, self._written(symbols, self._places(rng, len(symbols))))

    @property
    def token_names(self) -> list[str]:
        return [*(str(symbol) for symbol in range(self.num_symbols)), ".", "=>"]

    def _places(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, num_to_copy) ascending positions of the symbols."""
        before = np.full(self.num_to_copy, 1 / self.num_to_copy)
        gaps = rng.multinomial(self.num_blanks, before, size=n)
        return gaps.cumsum(axis=1) + np.arange(self.num_to_copy)

    def _read(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The symbols of each input in order, and where they stand; both (n, num_to_copy)."""
        rows, places = np.nonzero(inputs < self.num_symbols)
        shape = (len(inputs), self.num_to_copy)
        return inputs[rows, places].reshape(shape), places.reshape(shape)

    def _written(self, symbols: np.ndarray, places: np.ndarray) -> Batch:
        """The examples with these symbols at these places, both (n, num_to_copy)."""
        order, copied = np.arange(self.num_to_copy), slice(-self.num_to_copy, None)
        distance = self.length - self.num_to_copy + order - places
        values = {
            "distance": distance,
            "circular_distance": circular_distance(distance, self.length),
            "position": order,
            "gap": np.diff(places, axis=1, prepend=-1) - 1,
        }
        inputs, targets, *facts = arrays(2 + len(values), len(symbols), self.length)
        inputs[:] = self.vocab_size - 2
        np.put_along_axis(inputs, places, symbols, axis=1)
        inputs[:, -self.num_to_copy - 1] = self.vocab_size - 1
        targets[:] = IGNORE
        targets[:, copied] = symbols
        for fact, value in zip(facts, values.values(), strict=True):
            fact[:] = -1
            fact[:, copied] = value
        return Batch(inputs, targets, dict(zip(values, facts, strict=True)))
