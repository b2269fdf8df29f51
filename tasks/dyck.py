"""Dyck languages: which bracket may come next.

Balanced brackets of several types whose nesting is bounded, as Hewitt et al. 2020
(arXiv:2010.07515) study them: with a bound the language is regular, but its states are stacks.
What is scored, the law of the brackets, facts and edits are defined here.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from tasks.base import (
    FEW_INPUTS,
    IGNORE,
    Batch,
    Edit,
    Task,
    change,
    circular_distance,
    few_inputs,
    register,
)
from tasks.distinct import one_of

BRACKETS = "()[]{}<>"


class Reading(NamedTuple):
    """After each token (n, L): depth, the open brackets; top, where the innermost of them
    stands, -1 where none is open. closes (n, L): at a closing bracket where its opening one
    stands, else -1."""

    depth: np.ndarray
    top: np.ndarray
    closes: np.ndarray


@register("dyck")
class Dyck(Task):
    """The set of brackets that may come next, in a prefix of a balanced string.

    Rule: at depth 0 a bracket opens, at depth max_depth the innermost one closes, and at any
    other depth a bracket opens with probability 1/2, else the innermost one closes; what opens
    is of a uniform type. The input is the first `length` brackets. The target at a position is
    the set of brackets that may follow, as one class: only opening ones, of any type (depth 0);
    the closing bracket of the innermost open one's type, or opening ones; that closing bracket
    alone (depth max_depth). That the input ends says nothing about what may follow. Where every
    position is scored the brackets further on tell much of it, so that mixers that see the whole
    sequence may be asked at the end alone.

    Tokens: types 0 .. num_types - 1 opening, then the same closing. Outputs: 0 opening ones
    only, then for each type its closing bracket or opening ones, then for each type its closing
    bracket alone.
    Chance: 1 / (the classes that occur). With `scored: last` the first does not occur, since a
    bracket is open at the end. The last num_types do not occur if no scored position can have
    depth max_depth: if max_depth is larger than the length or, with `scored: last`, even (the depth
    after an odd number of brackets is odd).
    Facts: `depth`; `distance`, from the scored position back to the bracket that may be closed,
    0 where it has just been opened, -1 at depth 0; `circular_distance`, the shorter way round
    an input closed to a ring.

    Edits: none with `scored: all`. Where no bracket is open only another nesting changes the
    answer, so no edit changes the answers of all positions. With `scored: last`: see `edit`.
    """

    num_types: Annotated[int, Field(ge=1)] = 2
    """Types of brackets."""
    max_depth: Annotated[int, Field(ge=2)] = 8
    """Most brackets that are open at once."""
    length: Annotated[int, Field(ge=3)] = 64
    """Brackets in the input."""
    scored: Literal["all", "last"] = "all"
    """Every position, or the last one alone; then length must be odd, so that a bracket is open
    there, and num_types at least 2."""

    summary: ClassVar[str] = "say which brackets may come next"
    source: ClassVar[str] = (
        "after Hewitt et al. 2020, arXiv:2010.07515; the rule as defined here is unverified"
    )
    group: ClassVar[str] = "state tracking"
    scoring: ClassVar[str] = (
        "The brackets that may come next: the one that closes the innermost open bracket, opening "
        'ones ("open") below the largest depth, or both.'
    )
    next_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _possible(self):
        if self.scored == "last" and self.length % 2 == 0:
            raise ValueError(
                f"scored: last needs an odd length, so that a bracket is open: {self.length}"
            )
        if self.scored == "last" and self.num_types == 1:
            raise ValueError("scored: last needs num_types >= 2: 1 < 2")
        return self

    @property
    def num_tokens(self) -> int:
        return 2 * self.num_types

    @property
    def num_outputs(self) -> int:
        return 2 * self.num_types + 1

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.length if self.scored == "all" else 1

    @property
    def answers_in_inputs(self) -> bool:
        return self.scored == "all"  # what closes a bracket further on tells its type

    @property
    def chance(self) -> float:
        full = self.max_depth <= self.length and (self.scored == "all" or self.max_depth % 2 == 1)
        return 1 / ((self.scored == "all") + self.num_types * (1 + full))

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self._num_inputs())

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        opens = rng.random((n, self.length)) < 0.5
        types = rng.integers(self.num_types, size=(n, self.length))
        inputs = np.empty((n, self.length), dtype=np.int64)
        stack = np.zeros((n, self._room), dtype=np.int64)  # of types, from 1 on
        depth, rows = np.zeros(n, dtype=np.int64), np.arange(n)
        for position in range(self.length):
            opening = (opens[:, position] | (depth == 0)) & (depth < self.max_depth)
            inputs[:, position] = np.where(
                opening, types[:, position], self.num_types + stack[rows, depth]
            )
            depth += np.where(opening, 1, -1)
            stack[rows[opening], depth[opening]] = types[opening, position]
        return self._written(inputs)

    def oracle(self, batch: Batch) -> np.ndarray:
        return self._answers(batch.inputs, self._read(batch.inputs))

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """By the last token alone: a bracket that has just been opened may be closed, or others
        opened; after a closing one nothing is open. By the last opening bracket, closed or not:
        it may be closed, or others opened. By that bracket and the exact depth, if there are
        several types."""
        inputs, place = batch.inputs, np.arange(self.length)
        is_open = inputs < self.num_types
        last = np.maximum.accumulate(np.where(is_open, place, 0), axis=1)
        close_last = 1 + np.take_along_axis(inputs, last, axis=1)
        out = {
            "last token": np.where(is_open, close_last, 0),
            "last opening bracket": close_last,
        }
        if self.num_types > 1:
            depth = np.where(is_open, 1, -1).cumsum(axis=1)
            out["last opening bracket and depth"] = self._sets(depth, close_last - 1)
        return {name: self._scored_only(guess) for name, guess in out.items()}

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit | None:
        """evidence: the innermost bracket that is open at the end becomes one of another type.
        distractor: two brackets of which one closes the other do; unchanged where there are
        none."""
        if self.scored == "all":
            return None
        inputs, reading = batch.inputs, self._read(batch.inputs)
        rows, top = np.arange(len(inputs)), reading.top[:, -1]
        evidence, distractor = inputs.copy(), inputs.copy()
        evidence[rows, top] = change(inputs[rows, top], 0, self.num_types, rng)

        closing = reading.closes >= 0
        chosen = one_of(rng, closing)
        rows = np.flatnonzero(closing.any(axis=1))
        end, start = chosen[rows], reading.closes[rows, chosen[rows]]
        other = change(inputs[rows, start], 0, self.num_types, rng)
        distractor[rows, start], distractor[rows, end] = other, self.num_types + other
        return Edit(self._written(evidence), self._written(distractor))

    @property
    def token_names(self) -> list[str]:
        if 2 * self.num_types <= len(BRACKETS):
            used = BRACKETS[: 2 * self.num_types]
            return [*used[::2], *used[1::2]]
        types = range(self.num_types)
        return [*(f"({i}" for i in types), *(f"{i})" for i in types)]

    @property
    def output_names(self) -> list[str]:
        closing = self.token_names[self.num_types :]
        return ["open", *(f"{name}|open" for name in closing), *closing]

    @property
    def _room(self) -> int:
        """Of a stack."""
        return min(self.max_depth, self.length) + 1

    def _read(self, inputs: np.ndarray) -> Reading:
        rows, depth = np.arange(len(inputs)), np.zeros(len(inputs), dtype=np.int64)
        stack = np.full((len(inputs), self._room), -1)  # of positions, from 1 on
        depths, top, closes = (np.full_like(inputs, -1) for _ in range(3))
        for position in range(self.length):
            opening = inputs[:, position] < self.num_types
            closes[:, position] = np.where(opening, -1, stack[rows, depth])
            depth += np.where(opening, 1, -1)
            stack[rows[opening], depth[opening]] = position
            depths[:, position], top[:, position] = depth, stack[rows, depth]
        return Reading(depths, top, closes)

    def _sets(self, depth: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """(n, L) the class of what may follow at this depth, the innermost bracket of a type."""
        full = self.num_types * (depth == self.max_depth)
        return np.where(depth == 0, 0, 1 + kind + full)

    def _scored_only(self, classes: np.ndarray) -> np.ndarray:
        if self.scored == "last":
            classes[:, :-1] = IGNORE
        return classes

    def _answers(self, inputs: np.ndarray, reading: Reading) -> np.ndarray:
        kind = np.take_along_axis(inputs, np.maximum(reading.top, 0), axis=1)
        return self._scored_only(self._sets(reading.depth, kind))

    def _written(self, inputs: np.ndarray) -> Batch:
        reading = self._read(inputs)
        targets = self._answers(inputs, reading)
        distance = np.arange(self.length) - reading.top
        known = (targets != IGNORE) & (reading.top >= 0)
        around = circular_distance(distance, self.length)
        facts = {
            "depth": np.where(targets == IGNORE, -1, reading.depth),
            "distance": np.where(known, distance, -1),
            "circular_distance": np.where(known, around, -1),
        }
        return Batch(inputs, targets, facts)

    def _num_inputs(self) -> int:
        """Number of different inputs; counting stops beyond FEW_INPUTS."""
        ways = {0: 1}  # by depth
        for _ in range(self.length):
            longer: dict[int, int] = {}
            for depth, count in ways.items():
                if depth < self.max_depth:
                    longer[depth + 1] = longer.get(depth + 1, 0) + count * self.num_types
                if depth > 0:
                    longer[depth - 1] = longer.get(depth - 1, 0) + count
            ways = longer
            if sum(ways.values()) > FEW_INPUTS:
                break
        return sum(ways.values())
