"""Induction heads: what followed the trigger last time follows it again.

Two forms of one rule. The marked one is that of H3 (Fu et al. 2023, arXiv:2212.14052, section
3.1) as safari runs it: the trigger is always "=>". The unmarked one is this project's definition
of the pattern A B ... A -> B of Olsson et al. 2022 (arXiv:2209.11895): any token can be the
trigger, so the model must notice by itself which one came back.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import model_validator

from tasks.base import (
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
    last_occurrence,
    pick,
    register,
)
from tasks.distinct import one_of


@register("induction_heads")
class InductionHeads(Task):
    """Continuation of a sequence after a trigger that has occurred before.

    Rule: the body is `length` uniform tokens, with the trigger written over the token at a
    uniform position p in 0 .. length - 2 - induction_length. The `induction_length` tokens
    after p are the answer. After the body the trigger comes again, and then the answer, whose
    every token is scored. Input: length + induction_length tokens, without the last of them.
    The body's tokens are uniform over the vocab_size - 2 ordinary tokens (marked), or over
    those without the trigger, itself a uniform ordinary token (unmarked): so the trigger has
    exactly one earlier occurrence, and nothing else tells where.

    More triggers: with probability 1/2 there is one all the same; else `num_triggers` positions
    are drawn with replacement, from left to right those within induction_length of the last
    kept one are dropped, and the answer after the first is written after all.

    Tokens: 0 is "." (unused), vocab_size - 1 is "=>" (unused if unmarked).
    Chance: 1 / ordinary tokens, or 1 / (ordinary - 1) if unmarked (published "random": 1 / V).
    Facts: `distance`, from the scored position back to the last earlier copy of its answer;
    `circular_distance`, the shorter way round an input closed to a ring; `occurrences` of the
    trigger in the body.
    Deviation: with a longer answer all of its tokens are scored, not the last alone.
    """

    vocab_size: Count = 20
    """Tokens, "." and "=>" included."""
    length: Count = 30
    """Tokens in the body."""
    num_triggers: Count = 1
    """Triggers in the body, at most."""
    induction_length: Count = 1
    """Tokens in the answer."""
    marked: bool = True
    """Whether the trigger is always "=>"."""

    summary: ClassVar[str] = "repeat what followed the trigger last time"
    source: ClassVar[str] = "H3, arXiv:2212.14052, section 3.1; rule of safari's code"
    group: ClassVar[str] = "induction and copying"
    scoring: ClassVar[str] = (
        "What stood behind the trigger when it came before: it comes again at the end."
    )

    @model_validator(mode="after")
    def _possible(self):
        least = 4 if self.marked else 5
        if self.vocab_size < least:
            kind = "marked" if self.marked else "unmarked"
            raise ValueError(f"{kind} needs vocab_size >= {least}: {self.vocab_size} < {least}")
        if self.length < self.induction_length + 2:
            raise ValueError(
                "length must be >= induction_length + 2: "
                f"{self.length} < {self.induction_length + 2}"
            )
        if self.num_triggers > self.length:
            raise ValueError(f"num_triggers must be <= length: {self.num_triggers} > {self.length}")
        return self

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length + self.induction_length

    @property
    def max_scored(self) -> int:
        return self.induction_length

    @property
    def answers_in_inputs(self) -> bool:
        return self.induction_length > 1

    @property
    def num_answers(self) -> int:
        """Tokens that can follow a trigger."""
        return self.vocab_size - (2 if self.marked else 3)

    @property
    def chance(self) -> float:
        return 1 / self.num_answers

    @property
    def too_small_to_hold_out(self) -> str:
        # The inputs with one trigger. Exact for one answer token; beyond 64 the bound is passed.
        triggers = 1 if self.marked else self.num_answers + 1
        places = self.length - 1 - self.induction_length
        count = triggers * places * self.num_answers ** min(self.length - 1, 64)
        return few_inputs(count)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        trigger = np.full(n, self.vocab_size - 1)
        if not self.marked:
            trigger = rng.integers(1, self.vocab_size - 1, size=n)
        body = _ordinary(rng.integers(self.num_answers, size=(n, self.length)), trigger)
        places = self.length - 1 - self.induction_length
        positions = rng.integers(places, size=(n, self.num_triggers))
        if self.num_triggers > 1:
            single = rng.random((n, 1)) < 0.5
            positions = np.sort(np.where(single, positions[:, :1], positions), axis=1)

        offsets = np.arange(1, 1 + self.induction_length)
        answer = np.take_along_axis(body, positions[:, :1] + offsets, axis=1)
        kept = np.full(n, -1 - self.induction_length)
        for position in positions.T:
            rows = np.flatnonzero(position - kept > self.induction_length)
            kept[rows] = position[rows]
            body[rows, position[rows]] = trigger[rows]
            body[rows[:, None], position[rows, None] + offsets] = answer[rows]

        inputs = np.concatenate([body, trigger[:, None], answer[:, :-1]], axis=1)
        targets = np.full_like(inputs, IGNORE)
        targets[:, self.length :] = answer
        return Batch(inputs, targets, self._facts(inputs))

    def oracle(self, batch: Batch) -> np.ndarray:
        predictions = np.full_like(batch.inputs, IGNORE)
        before = last_occurrence(batch.inputs, self.length)
        for i in range(self.induction_length):
            predictions[:, self.length + i] = pick(batch.inputs, before + 1 + i)
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The body's most frequent token other than the trigger (of tied ones the smallest),
        and its last token."""
        body, trigger = batch.inputs[:, : self.length], batch.inputs[:, self.length]
        counts = count_tokens(body, self.num_tokens)
        counts[np.arange(len(body)), trigger] = 0
        shape = batch.inputs.shape
        return {
            "most frequent token": np.broadcast_to(counts.argmax(axis=1)[:, None], shape),
            "last token": np.broadcast_to(body[:, -1:], shape),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every token of the answer becomes another, wherever the answer stands.
        distractor: one token of the body that is neither trigger nor answer becomes another;
        unchanged where there is none."""
        inputs, trigger = batch.inputs, batch.inputs[:, self.length]
        is_trigger = inputs[:, : self.length] == trigger[:, None]
        evidence, targets = inputs.copy(), batch.targets.copy()
        free = ~is_trigger
        for i in range(self.induction_length):
            column = self.length + i
            targets[:, column] = self._other(batch.targets[:, column], trigger, rng)
            copies = np.zeros_like(is_trigger)
            copies[:, 1 + i :] = is_trigger[:, : self.length - 1 - i]
            evidence[:, : self.length][copies] = np.repeat(targets[:, column], copies.sum(axis=1))
            free &= ~copies
        evidence[:, self.length + 1 :] = targets[:, self.length : -1]

        chosen = one_of(rng, free)
        rows = np.flatnonzero(free.any(axis=1))
        cells = rows, chosen[rows]
        distractor = inputs.copy()
        distractor[cells] = self._other(inputs[cells], trigger[rows], rng)
        return Edit(
            Batch(evidence, targets, batch.info), Batch(distractor, batch.targets, batch.info)
        )

    @property
    def token_names(self) -> list[str]:
        return [".", *(str(i) for i in range(self.vocab_size - 2)), "=>"]

    def _other(self, tokens: np.ndarray, trigger: np.ndarray, rng: np.random.Generator):
        """Another ordinary token, but not the trigger, for each token; all are (n,)."""
        rank = tokens - 1 - (tokens > trigger)
        return _ordinary(change(rank, 0, self.num_answers, rng)[:, None], trigger)[:, 0]

    def _facts(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        distance = self.length - 1 - last_occurrence(inputs, self.length)
        body, trigger = inputs[:, : self.length], inputs[:, [self.length]]
        values = {
            "distance": distance[:, None],
            "circular_distance": circular_distance(distance, self.input_length)[:, None],
            "occurrences": (body == trigger).sum(axis=1)[:, None],
        }
        return facts_at(slice(self.length, None), values, inputs.shape)


def _ordinary(rank: np.ndarray, trigger: np.ndarray) -> np.ndarray:
    """(n, m) the ordinary token of each rank when the trigger, (n,), is left out."""
    token = 1 + rank
    return token + (token >= trigger[:, None])
