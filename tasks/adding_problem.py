"""The adding problem: of a long list of numbers two are marked, and their sum is asked for.

Hochreiter and Schmidhuber 1997 (Neural Computation 9(8), experiment 4), in the form of Le, Jaitly
and Hinton 2015 (arXiv:1504.00941, section 4.1) and of S4's code. Deviations: see `AddingProblem`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks.base import Batch, Edit, Task, circular_distance, facts_at, register

TOLERANCE = 0.04


@register("adding_problem")
class AddingProblem(Task):
    """The sum of two marked numbers.

    Rule: position t holds (u_t, m_t) with u_t uniform on [0, 1) and m_t = 1 at two positions, 0
    elsewhere: one uniform over the first half (rounded down), one over the rest. The target, at
    the last position, is the sum of the two marked u. Error: squared.

    Chance: 1 is the best constant; the sum has a triangular density on [0, 2], so it lies within
    the tolerance t of 1 with probability 1 - (1 - t)^2 = 7.84 %. The squared error is then 1/6.
    Facts: `distance`, from the last position back to the first marker; `circular_distance`, the
    shorter way round an input closed to a ring; `gap`, from the first marker to the second.

    Deviations: Hochreiter and Schmidhuber draw u from [-1, 1], mark both ends with -1, scale the
    sum to [0, 1], vary the length and mark the first number among the first ten. An answer is
    right here within their 0.04, of a sum that is not scaled: a stricter criterion.
    """

    length: Annotated[int, Field(ge=2)] = 1000
    """Numbers."""

    summary: ClassVar[str] = "add the two marked numbers of a long list"
    source: ClassVar[str] = (
        "Hochreiter and Schmidhuber 1997, experiment 4; form of arXiv:1504.00941, section 4.1"
    )
    group: ClassVar[str] = "long range"
    scoring: ClassVar[str] = "The sum of the two marked numbers; right within 0.04."
    next_token: ClassVar[bool] = False
    pooled: ClassVar[bool] = True
    real_targets: ClassVar[bool] = True

    @property
    def num_features(self) -> int:
        return 2

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def tolerance(self) -> float:
        return TOLERANCE

    @property
    def chance(self) -> float:
        return 1 - (1 - TOLERANCE) ** 2

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        half = self.length // 2
        inputs = np.zeros((n, self.length, 2), dtype=np.float32)
        inputs[..., 0] = rng.random((n, self.length))
        marked = np.stack([rng.integers(half, size=n), rng.integers(half, self.length, size=n)], 1)
        np.put_along_axis(inputs[..., 1], marked, 1, axis=1)
        distance = self.length - 1 - marked[:, 0]
        values = {
            "distance": distance,
            "circular_distance": circular_distance(distance, self.length),
            "gap": marked[:, 1] - marked[:, 0],
        }
        facts = facts_at(-1, values, (n, self.length))
        return Batch(inputs, self._at_end(_sums(inputs)), facts)

    def oracle(self, batch: Batch) -> np.ndarray:
        return self._at_end(_sums(batch.inputs))

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The mean of the target; the best line through the sum of all numbers (squared error
        1/6 (1 - 2 / length)); the second marked number plus the mean of the first (1/12)."""
        numbers, marks = batch.inputs[..., 0].astype(np.float64), batch.inputs[..., 1]
        second = numbers[np.arange(len(marks)), self.length - 1 - marks[:, ::-1].argmax(axis=1)]
        return {
            "constant 1": self._at_end(np.ones(len(marks))),
            "mean of all numbers": self._at_end(2 * numbers.mean(axis=1)),
            "second number": self._at_end(second + 0.5),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: one of the two marked numbers, either with equal probability, moves by more
        than twice the tolerance. distractor: all other numbers do."""
        inputs, n = batch.inputs, len(batch.inputs)
        marked = inputs[..., 1] == 1
        numbers = inputs[..., 0].astype(np.float64)
        # Round a ring of circumference 1 by a step that is far from both 0 and 1.
        moved = (numbers + rng.uniform(2.5 * TOLERANCE, 1 - 2.5 * TOLERANCE, numbers.shape)) % 1
        rank = marked.cumsum(axis=1)
        chosen = marked & (rank == rng.integers(1, 3, size=(n, 1)))
        evidence, distractor = inputs.copy(), inputs.copy()
        evidence[..., 0] = np.where(chosen, moved, numbers)
        distractor[..., 0] = np.where(marked, numbers, moved)
        return Edit(
            Batch(evidence, self._at_end(_sums(evidence)), batch.info),
            Batch(distractor, batch.targets, batch.info),
        )

    def drawing(self, batch: Batch, index: int) -> list[str]:
        """The marked numbers between their neighbours."""
        numbers, marks = batch.inputs[index].T
        around = np.flatnonzero(marks)[:, None] + np.arange(-1, 2)
        near = np.unique(around.clip(0, self.length - 1))
        lines, before = [], -1
        for position in near:
            if position > before + 1:
                lines.append("...")
            mark = "  marked" if marks[position] else ""
            lines.append(f"{position:>6}  {numbers[position]:.2f}{mark}")
            before = position
        return [*lines, "..."] if before < self.length - 1 else lines

    def _at_end(self, values: np.ndarray) -> np.ndarray:
        """(n, length, 1) targets with these values, (n,), at the last position."""
        targets = np.full((len(values), self.length, 1), np.nan, dtype=np.float32)
        targets[:, -1, 0] = values
        return targets


def _sums(inputs: np.ndarray) -> np.ndarray:
    """(n,) float64 sums of the marked numbers of inputs (n, L, 2)."""
    return np.where(inputs[..., 1] == 1, inputs[..., 0], 0).sum(axis=1, dtype=np.float64)
