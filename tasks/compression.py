"""MAD's compression: the whole sequence from the representation of its last token alone.

Poli et al. 2024 (arXiv:2403.17844, section 3.1), as its code, MAD-Lab, runs it. Deviations: see
`Compression`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks.base import Batch, Task, circular_distance, count_tokens, few_inputs, register
from tasks.history import arrays, earlier_equal


@register("compression")
class Compression(Task):
    """Reconstruction of every token from the last position.

    Rule: length - 1 symbols, uniform with replacement, then the compression token. Every token
    is its own target, and all are predicted from the representation of the last position (see
    `bottleneck`); how the model decodes `length` tokens from it is up to the model. The last
    token is scored with the others, as in the published code, though it is always the same.

    Tokens: 0 .. vocab_size - 2 the symbols, vocab_size - 1 the compression token "=>".
    Chance: 1 / tokens. Knowing the last one alone is worth 1 / length.
    Facts: `distance`, from the last position back to the token; `circular_distance`, the shorter
    way round an input closed to a ring; `position` of the token; `occurrences` of it earlier.
    Edits: none, since the compression token can only ever be itself, and nothing is irrelevant.

    Deviation: the published code has parameters for noise and never applies them; left out.
    """

    vocab_size: Annotated[int, Field(ge=3)] = 16
    """Tokens, the compression token included."""
    length: Annotated[int, Field(ge=2)] = 32
    """Tokens of the input."""

    summary: ClassVar[str] = "reconstruct the sequence from its last representation"
    source: ClassVar[str] = "MAD, arXiv:2403.17844, section 3.1; rule of MAD-Lab's code"
    group: ClassVar[str] = "MAD"
    scoring: ClassVar[str] = (
        "Every token, in place; but the prediction is made from the last position's representation "
        "alone, which must therefore hold them all."
    )
    next_token: ClassVar[bool] = False
    bottleneck: ClassVar[bool] = True

    @property
    def num_symbols(self) -> int:
        return self.vocab_size - 1

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.length

    @property
    def chance(self) -> float:
        return 1 / self.num_tokens

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self.num_symbols ** min(self.length - 1, 64))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        names = ("distance", "circular_distance", "position", "occurrences")
        inputs, targets, *facts = arrays(2 + len(names), n, self.length)
        inputs[:, :-1] = rng.integers(self.num_symbols, size=(n, self.length - 1))
        inputs[:, -1] = self.num_symbols
        targets[:] = inputs
        position = np.arange(self.length)
        distance = position[::-1]
        values = (
            distance,
            circular_distance(distance, self.length),
            position,
            earlier_equal(inputs).count,
        )
        for fact, value in zip(facts, values, strict=True):
            fact[:] = value
        return Batch(inputs, targets, dict(zip(names, facts, strict=True)))

    def oracle(self, batch: Batch) -> np.ndarray:
        return batch.inputs

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """What holds one symbol of the sequence, and knows where the compression token stands:
        the most frequent one (of tied ones the smallest) everywhere, or the last one."""
        symbols = batch.inputs[:, :-1]
        frequent = count_tokens(symbols, self.num_tokens).argmax(axis=1)
        kept = {"most frequent symbol": frequent, "last symbol": symbols[:, -1]}
        return {name: self._everywhere(symbol) for name, symbol in kept.items()}

    @property
    def token_names(self) -> list[str]:
        return [*(str(symbol) for symbol in range(self.num_symbols)), "=>"]

    def _everywhere(self, symbol: np.ndarray) -> np.ndarray:
        """(n, length) the symbol (n,) of each example, and the compression token behind it."""
        predictions = np.repeat(symbol[:, None], self.length, axis=1)
        predictions[:, -1] = self.num_symbols
        return predictions
