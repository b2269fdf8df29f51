"""Majority: which of the bits, or of several tokens, occurs most often.

The rule of Zoology's circuits, where it stands beside parity: the state is a count, which an
average over all positions gives at once. Facts and edits are this project's own.
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
    Edit,
    Task,
    count_tokens,
    facts_at,
    few_inputs,
    register,
)
from tasks.distinct import one_of


@register("majority")
class Majority(Task):
    """The most frequent token.

    Rule: `length` independent uniform tokens and then the end token, at which the most frequent
    token is the target. Two tokens: 1 if strictly more than half are ones, else 0, so that a tie
    counts as 0. More tokens: where several are equally frequent, the smallest of them wins by
    one change: a uniform one of the positions that hold the others gets the smallest.

    Tokens: 0 .. vocab_size - 1, then the end token "?".
    Chance: 1 / vocab_size. The smallest token wins somewhat more often, see `shortcuts`.
    Facts: `occurrences` of the answer; `margin`, by how many it leads the next most frequent
    token (0 for a tie).
    """

    vocab_size: Annotated[int, Field(ge=2)] = 2
    """Tokens that are counted."""
    length: Annotated[int, Field(ge=2)] = 40
    """Tokens in the input, without the end token."""

    summary: ClassVar[str] = "say which token is the most frequent one"
    source: ClassVar[str] = "Zoology's circuits (rule of its code)"
    group: ClassVar[str] = "state tracking"
    scoring: ClassVar[str] = (
        'The most frequent token, at "?"; of two tokens 0 if they occur equally often.'
    )
    next_token: ClassVar[bool] = False

    @property
    def num_tokens(self) -> int:
        return self.vocab_size + 1

    @property
    def num_outputs(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length + 1

    @property
    def chance(self) -> float:
        return 1 / self.vocab_size

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self._num_inputs())

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        tokens = rng.integers(self.vocab_size, size=(n, self.length))
        if self.vocab_size > 2:
            counts = count_tokens(tokens, self.vocab_size)
            tied = counts == counts.max(axis=1, keepdims=True)
            rows = np.flatnonzero(tied.sum(axis=1) > 1)
            smallest = tied[rows].argmax(axis=1)
            loses = np.take_along_axis(tied[rows], tokens[rows], axis=1)
            loses &= tokens[rows] != smallest[:, None]
            place = one_of(rng, loses)
            tokens[rows, place] = smallest
        return self._written(tokens)

    def oracle(self, batch: Batch) -> np.ndarray:
        predictions = np.full_like(batch.inputs, IGNORE)
        predictions[:, -1] = self._counts(batch.inputs).argmax(axis=1)
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The last token, the most frequent of the last quarter (of tied ones the smallest),
        and 0, the token that wins ties."""
        shape, quarter = batch.inputs.shape, max(self.length // 4, 1)
        late = batch.inputs[:, self.length - quarter :]
        guesses = {
            "last token": batch.inputs[:, self.length - 1],
            "most frequent of the last quarter": self._counts(late).argmax(axis=1),
            "always 0": np.zeros(len(batch.inputs), dtype=np.int64),
        }
        return {k: np.broadcast_to(guess[:, None], shape) for k, guess in guesses.items()}

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: just as many of the most frequent tokens as it takes, at uniform places,
        become the next most frequent one, so that it leads. distractor: the tokens are put in a
        random order."""
        tokens = batch.inputs[:, : self.length]
        counts = self._counts(tokens)
        rows, winner = np.arange(len(tokens)), counts.argmax(axis=1)
        most = counts[rows, winner]
        counts[rows, winner] = -1
        second = counts.argmax(axis=1)
        needed = (most - counts[rows, second]) // 2 + 1
        draw = np.where(tokens == winner[:, None], rng.random(tokens.shape), 2.0)
        rank = draw.argsort(axis=1).argsort(axis=1)
        edited = np.where(rank < needed[:, None], second[:, None], tokens)
        return Edit(self._written(edited), self._written(rng.permuted(tokens, axis=1)))

    @property
    def token_names(self) -> list[str]:
        return [*(str(token) for token in range(self.vocab_size)), "?"]

    @property
    def output_names(self) -> list[str]:
        return self.token_names[:-1]

    def _counts(self, inputs: np.ndarray) -> np.ndarray:
        """(n, vocab_size) how often each token occurs, the end token aside."""
        return count_tokens(inputs, self.num_tokens)[:, : self.vocab_size]

    def _written(self, tokens: np.ndarray) -> Batch:
        inputs = np.concatenate([tokens, np.full((len(tokens), 1), self.vocab_size)], axis=1)
        counts = np.sort(self._counts(tokens), axis=1)
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = self._counts(tokens).argmax(axis=1)
        values = {"occurrences": counts[:, -1], "margin": counts[:, -1] - counts[:, -2]}
        return Batch(inputs, targets, facts_at(-1, values, inputs.shape))

    def _num_inputs(self) -> int:
        """Number of different inputs; counting stops beyond FEW_INPUTS."""
        if self.vocab_size == 2:
            return 2 ** min(self.length, 64)
        total = 0
        for most in range(self.length, 0, -1):  # occurrences of the winner
            others = _arrangements(self.length - most, self.vocab_size - 1, most - 1)
            total += self.vocab_size * comb(self.length, most) * others
            if total > FEW_INPUTS:
                break
        return total


def _arrangements(length: int, tokens: int, most: int) -> int:
    """How many sequences of this length have none of so many tokens more than `most` times."""
    if length <= most:
        return tokens**length
    ways = [1] + [0] * length  # by length, with the tokens so far
    for _ in range(tokens):
        ways = [
            sum(comb(long, k) * ways[long - k] for k in range(min(long, most) + 1))
            for long in range(length + 1)
        ]
    return ways[length]
