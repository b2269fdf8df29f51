"""Multi-hop induction: follow an induction head several times over, and say where it ends.

After the task hop_k of Sanford, Hsu and Telgarsky 2024 (arXiv:2402.09268), made to measure what
depth is good for. The rule is defined here, from a description of theirs that was not checked
against the paper. With one hop it is an induction head that no token marks, asked at every
position.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tasks.base import (
    IGNORE,
    Batch,
    Count,
    Edit,
    Task,
    change,
    circular_distance,
    few_inputs,
    register,
)
from tasks.history import earlier_equal, frequent_so_far

PROPOSALS = 64  # changes of one token that are tried for a distractor


@register("multi_hop_induction")
class MultiHopInduction(Task):
    """The token at the end of a chain of hops.

    Rule: `length` independent uniform tokens x. From a position a hop leads to the latest
    earlier position whose previous token equals the token here: from t to the largest j < t with
    x_{j-1} = x_t. The target at t is the token that `hops` such hops from t lead to. Positions
    that have fewer hops are not scored; an example without a scored one is drawn again (of the
    first `hops` + 1 positions none can be scored).

    Tokens: 0 .. vocab_size - 1.
    Chance: 1 / vocab_size.
    Facts: `distance`, from the scored position back to the one where the hops end;
    `circular_distance`, the shorter way round an input closed to a ring; `occurrences` of the
    current token before it; `position`.

    This project's own: a hop leads to an earlier position always, also where the previous token
    is the current one; what has no answer is not scored; examples are drawn again.
    """

    vocab_size: Annotated[int, Field(ge=2)] = 10
    """Tokens."""
    length: Count = 100
    """Tokens in the input."""
    hops: Count = 2
    """Hops; 1 is an induction head."""

    summary: ClassVar[str] = "repeat what followed a token, and what followed that, several hops"
    source: ClassVar[str] = (
        "after Sanford et al. 2024, arXiv:2402.09268; the rule as defined here is unverified"
    )
    group: ClassVar[str] = "induction and copying"
    scoring: ClassVar[str] = (
        "The token that `hops` hops lead to, at each position that has them. A hop leads to the "
        "latest earlier position that comes right after a copy of the current token."
    )
    next_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _possible(self):
        # A hop goes back about vocab_size tokens, so that most examples have a scored position.
        least = self.hops * self.vocab_size + 2
        if self.length < least:
            raise ValueError(
                "length must be >= hops x vocab_size + 2: "
                f"{self.length} < {self.hops} x {self.vocab_size} + 2"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.length - 1 - self.hops

    @property
    def chance(self) -> float:
        return 1 / self.vocab_size

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self.vocab_size ** min(self.length, 64))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        inputs = rng.integers(self.vocab_size, size=(n, self.length))
        ends = _ends(inputs, self.hops)
        while len(rows := np.flatnonzero((ends < 0).all(axis=1))):
            inputs[rows] = rng.integers(self.vocab_size, size=(len(rows), self.length))
            ends[rows] = _ends(inputs[rows], self.hops)
        return self._written(inputs, ends)

    def oracle(self, batch: Batch) -> np.ndarray:
        return _tokens_at(batch.inputs, _ends(batch.inputs, self.hops))

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """Where one hop less leads to (with one hop: the current token), the token before the
        current one, and the most frequent token so far (of tied ones the smallest)."""
        inputs = batch.inputs
        fewer = {1: "current token", 2: "1 hop"}.get(self.hops, f"{self.hops - 1} hops")
        everywhere = np.ones(inputs.shape, dtype=bool)
        return {
            fewer: _tokens_at(inputs, _ends(inputs, self.hops - 1)),
            "previous token": np.roll(inputs, 1, axis=1),
            "most frequent token": frequent_so_far(inputs, everywhere, self.vocab_size),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every token is renamed, by a rotation of the vocabulary, so that hops lead
        where they led and all answers change. distractor: one token before the first scored
        position becomes another, such that no answer changes and none appears; unchanged where
        64 tries do not find one (half of the examples at the defaults: hardly a token is
        irrelevant to all)."""
        inputs, scored = batch.inputs, batch.scored
        step = rng.integers(1, self.vocab_size, size=(len(inputs), 1))
        renamed = (inputs + step) % self.vocab_size
        targets = np.where(scored, (batch.targets + step) % self.vocab_size, IGNORE)

        changed, first = inputs.copy(), scored.argmax(axis=1)
        rows = np.arange(len(inputs))
        for _ in range(PROPOSALS):
            proposal = inputs[rows]
            place = rng.integers(first[rows])
            row = np.arange(len(rows))
            proposal[row, place] = change(proposal[row, place], 0, self.vocab_size, rng)
            answers = _tokens_at(proposal, _ends(proposal, self.hops))
            same = (answers == batch.targets[rows]).all(axis=1)
            changed[rows[same]] = proposal[same]
            rows = rows[~same]
            if not len(rows):
                break
        distractor = self._written(changed, _ends(changed, self.hops))
        return Edit(Batch(renamed, targets, batch.info), distractor)

    def _written(self, inputs: np.ndarray, ends: np.ndarray) -> Batch:
        """The examples with these ends (n, L) of the chains."""
        position = np.arange(self.length)
        distance = position - ends
        values = {
            "distance": distance,
            "circular_distance": circular_distance(distance, self.length),
            "occurrences": earlier_equal(inputs).count,
            "position": position,
        }
        facts = {name: np.where(ends < 0, -1, value) for name, value in values.items()}
        return Batch(inputs, _tokens_at(inputs, ends), facts)


def _hop(tokens: np.ndarray) -> np.ndarray:
    """(n, L) where one hop from each position leads to; -1 where there is none."""
    last = earlier_equal(tokens).last
    here = np.arange(tokens.shape[1])
    # A copy right before is too near: what follows it is the position itself.
    before = np.take_along_axis(last, np.maximum(last, 0), axis=1)
    last = np.where((last == here - 1) & (last >= 0), before, last)
    return np.where(last < 0, -1, last + 1)


def _ends(tokens: np.ndarray, hops: int) -> np.ndarray:
    """(n, L) where so many hops from each position lead to; -1 where there are fewer."""
    hop = _hop(tokens)
    ends = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    for _ in range(hops):
        ends = np.where(ends < 0, -1, np.take_along_axis(hop, np.maximum(ends, 0), axis=1))
    return ends


def _tokens_at(tokens: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The tokens there; IGNORE at -1."""
    found = np.take_along_axis(tokens, np.maximum(ends, 0), axis=1)
    return np.where(ends < 0, IGNORE, found)
