"""Copying memory: a few tokens, a long silence, then markers that ask for the tokens again.

Arjovsky, Shah and Bengio 2016 (arXiv:1511.06464, section 4.1), after Hochreiter and Schmidhuber
1997. With `variable` the tokens are scattered over the silence, so that the model must tell them
from it (selective copying). Deviations: see `DelayedCopy`.
"""

from __future__ import annotations

from math import comb
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

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
    facts_at,
    few_inputs,
    register,
)

BLANK = 0  # "."; the marker "?" is the last token


@register("delayed_copy")
class DelayedCopy(Task):
    """Reproduction of a few tokens after a delay.

    Rule: `num_to_copy` tokens, uniform over the vocab_size - 2 symbols with replacement; then
    `delay` blanks; then num_to_copy markers, the i-th of which is answered by the i-th token.
    With `variable` the tokens stand, in order, at uniformly drawn positions among the first
    num_to_copy + delay. Input: 2 * num_to_copy + delay tokens.

    Tokens: 0 is the blank ".", 1 .. vocab_size - 2 the symbols, vocab_size - 1 the marker "?".
    Chance: 1 / symbols. A single token to copy is its own most frequent one, see `shortcuts`.
    Facts: `distance`, from the marker back to the token that it asks for (num_to_copy + delay
    unless `variable`); `circular_distance`, the shorter way round an input closed to a ring;
    `position` of the token among those to copy, from 0.

    Deviations: the paper has one marker and then blanks, and one blank less before it; here, as
    in S4's code, each answer has a marker. Blanks are not scored (in the paper they are, and
    predicting them right costs nothing).
    """

    vocab_size: Annotated[int, Field(ge=4)] = 10
    """Tokens, blank and marker included."""
    num_to_copy: Count = 10
    """Tokens to remember."""
    delay: Annotated[int, Field(ge=0)] = 100
    """Blanks."""
    variable: bool = False
    """Whether the blanks stand between the tokens too."""

    summary: ClassVar[str] = "repeat the first tokens after a long silence"
    source: ClassVar[str] = "Arjovsky et al. 2016, arXiv:1511.06464, section 4.1; markers as S4"
    group: ClassVar[str] = "long range"
    scoring: ClassVar[str] = (
        'The i-th "?" asks for the i-th of the tokens that are neither blank nor "?".'
    )
    next_token: ClassVar[bool] = False
    length_parameter: ClassVar[str | None] = "delay"

    @property
    def num_symbols(self) -> int:
        return self.vocab_size - 2

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.memory_length + self.num_to_copy

    @property
    def memory_length(self) -> int:
        """Tokens before the markers."""
        return self.num_to_copy + self.delay

    @property
    def max_scored(self) -> int:
        return self.num_to_copy

    @property
    def chance(self) -> float:
        return 1 / self.num_symbols

    @property
    def too_small_to_hold_out(self) -> str:
        count = self.num_symbols ** min(self.num_to_copy, 64)
        if self.variable and count < FEW_INPUTS:
            count *= comb(self.memory_length, self.num_to_copy)
        return few_inputs(count)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        symbols = rng.integers(1, self.vocab_size - 1, size=(n, self.num_to_copy))
        places = np.broadcast_to(np.arange(self.num_to_copy), symbols.shape)
        if self.variable:
            places = self._places(rng, n)
        return self._written(symbols, places)

    def oracle(self, batch: Batch) -> np.ndarray:
        predictions = np.full_like(batch.inputs, IGNORE)
        predictions[:, self.memory_length :] = self._read(batch.inputs)[0]
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
        """evidence: every symbol becomes another one. distractor: with `variable` the symbols
        move to other positions, their order kept; unchanged without, where nothing is
        irrelevant."""
        symbols, places = self._read(batch.inputs)
        evidence = self._written(change(symbols, 1, self.num_symbols, rng), places)
        moved = self._places(rng, len(symbols)) if self.variable else places
        return Edit(evidence, self._written(symbols, moved))

    @property
    def token_names(self) -> list[str]:
        return [".", *(str(symbol) for symbol in range(self.num_symbols)), "?"]

    def _places(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, num_to_copy) ascending positions, uniform over all sets of that size."""
        order = np.argpartition(rng.random((n, self.memory_length)), self.num_to_copy - 1, axis=1)
        return np.sort(order[:, : self.num_to_copy], axis=1)

    def _read(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The symbols of each input in order, and where they stand; both (n, num_to_copy)."""
        rows, places = np.nonzero(inputs[:, : self.memory_length] != BLANK)
        shape = (len(inputs), self.num_to_copy)
        return inputs[rows, places].reshape(shape), places.reshape(shape)

    def _written(self, symbols: np.ndarray, places: np.ndarray) -> Batch:
        """The examples with these symbols at these places, both (n, num_to_copy)."""
        inputs = np.full((len(symbols), self.input_length), BLANK, dtype=np.int64)
        np.put_along_axis(inputs, places, symbols, axis=1)
        answers = slice(self.memory_length, None)
        inputs[:, answers] = self.vocab_size - 1
        targets = np.full_like(inputs, IGNORE)
        targets[:, answers] = symbols
        order = np.arange(self.num_to_copy)
        distance = self.memory_length + order - places
        values = {
            "distance": distance,
            "circular_distance": circular_distance(distance, self.input_length),
            "position": order,
        }
        return Batch(inputs, targets, facts_at(answers, values, inputs.shape))
