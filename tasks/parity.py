"""Parity: whether the number of ones is odd, after all bits or after each of them.

The smallest task of state tracking: one bit of state that every one flips, so that no part of the
input tells anything without all the rest. Form with an end token as in Zoology's circuits. The
form with a target at every bit, and facts and edits, are this project's own.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from tasks.base import IGNORE, Batch, Edit, Task, few_inputs, register
from tasks.distinct import one_of

END = 2  # "?"
WINDOW = 3  # bits that the local shortcut reads


@register("parity")
class Parity(Task):
    """Parity of uniform bits.

    Rule: `length` independent uniform bits and then the end token, at which the parity of all
    bits is the target: 0 if the number of ones is even, 1 if it is odd. With `scored: all` there
    is no end token, and the target at each bit is the parity of the bits up to and including it.

    Tokens: the bits 0 and 1; with `scored: last`, 2 is the end token "?".
    Chance: 1 / 2. No rule that leaves out a single bit does better.
    Facts: `ones` among the bits that are counted; `position`, the place of the last of them,
    from 0.

    Edits: see `edit`; with `scored: all` nothing is irrelevant, since the targets determine all
    bits.
    """

    length: Annotated[int, Field(ge=2)] = 40
    """Bits in the input."""
    scored: Literal["all", "last"] = "last"
    """At every bit, or at an end token after all bits alone."""

    summary: ClassVar[str] = "tell whether the number of ones so far is odd"
    source: ClassVar[str] = "Zoology's circuits (rule of its code); `scored` is this project's own"
    group: ClassVar[str] = "state tracking"
    scoring: ClassVar[str] = (
        'Whether the number of ones is even or odd: of all bits at "?", or with `scored: all` of '
        "the bits so far, at each of them."
    )
    next_token: ClassVar[bool] = False

    @property
    def num_tokens(self) -> int:
        return 2 if self.scored == "all" else 3

    @property
    def num_outputs(self) -> int:
        return 2

    @property
    def input_length(self) -> int:
        return self.length + (self.scored == "last")

    @property
    def max_scored(self) -> int:
        return self.length if self.scored == "all" else 1

    @property
    def chance(self) -> float:
        return 1 / 2

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(2 ** min(self.length, 64))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        return self._written(rng.integers(2, size=(n, self.length)))

    def oracle(self, batch: Batch) -> np.ndarray:
        return self._answers(batch.inputs[:, : self.length].cumsum(axis=1) % 2)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The last bit, and the parity of the last few bits."""
        bits = batch.inputs[:, : self.length]
        width = min(WINDOW, self.length - 1)
        ones = bits.cumsum(axis=1)
        ones[:, width:] -= ones[:, :-width].copy()
        local = "last bit" if width == 1 else f"parity of the last {width} bits"
        return {"last bit": self._answers(bits), local: self._answers(ones % 2)}

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: one bit is flipped, with `scored: all` the first one, on which every target
        rests. distractor: a one and a zero change places; unchanged where all bits are equal, and
        with `scored: all`."""
        bits = batch.inputs[:, : self.length]
        rows = np.arange(len(bits))
        place = np.zeros(len(bits), dtype=np.int64)
        if self.scored == "last":
            place = rng.integers(self.length, size=len(bits))
        flipped = bits.copy()
        flipped[rows, place] ^= 1

        moved = bits.copy()
        if self.scored == "last":
            both = np.flatnonzero((bits.min(axis=1) == 0) & (bits.max(axis=1) == 1))
            for bit in (0, 1):
                drawn = one_of(rng, bits == bit)
                moved[both, drawn[both]] = 1 - bit
        return Edit(self._written(flipped), self._written(moved))

    @property
    def token_names(self) -> list[str]:
        return ["0", "1"] if self.scored == "all" else ["0", "1", "?"]

    @property
    def output_names(self) -> list[str]:
        return ["even", "odd"]

    def _answers(self, of_bits: np.ndarray) -> np.ndarray:
        """What is said at each bit (n, length), as predictions or facts of the whole input."""
        if self.scored == "all":
            return of_bits
        out = np.full((len(of_bits), self.input_length), IGNORE, dtype=np.int64)
        out[:, -1] = of_bits[:, -1]
        return out

    def _written(self, bits: np.ndarray) -> Batch:
        inputs = bits
        if self.scored == "last":
            inputs = np.concatenate([bits, np.full((len(bits), 1), END)], axis=1)
        ones = bits.cumsum(axis=1)
        targets = self._answers(ones % 2)
        position = np.broadcast_to(np.arange(self.length), bits.shape)
        facts = {
            name: np.where(targets == IGNORE, -1, self._answers(value))
            for name, value in {"ones": ones, "position": position}.items()
        }
        return Batch(inputs, targets, facts)
