"""What the members of a cohort are fed: streams of examples, cut into steps, as tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.foundation.seeding import generator
from harness.spec import RunSpec
from tasks.base import IGNORE, Batch, Form, Task, with_loss
from tasks.stream import Role, Stream, held_out_hashes

# Evaluation sets do not depend on the seed: every run of a task is tested on the same examples.
EVALUATION_SEED = "evaluation"
TOKENS_AHEAD = 2**18  # drawn at once for each member


class Examples(NamedTuple):
    """tokens (..., B, L), scored (..., B, Q) positions or None for all, targets (..., B, Q).

    Where an example has fewer than Q scored positions, the spare targets are IGNORE.
    """

    tokens: Tensor
    scored: Tensor | None
    targets: Tensor

    def to(self, device: torch.device) -> Examples:
        return Examples(*(t if t is None else t.to(device, non_blocking=True) for t in self))


class TrainingData:
    """The training examples of one member, step by step.

    exclude: hashes of the inputs of the evaluation sets, by default those of the specification.
    """

    def __init__(self, spec: RunSpec, exclude: np.ndarray | None = None):
        self.spec = spec
        exclude = held_out(spec) if exclude is None else exclude
        self.stream = Stream(spec.task, spec.seed_key, "train", exclude=exclude)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)
        self._fixed = None
        if spec.train.train_examples is not None:
            self._fixed = self.stream.take(0, spec.train.train_examples)

    def step(self, index: int) -> Batch:
        """The batch of a step (from 0); pure in the index."""
        size = self.spec.train.batch_size
        if self._fixed is None:
            return self.stream.take(index * size, size)
        epoch, place = divmod(index, len(self._fixed.inputs) // size)
        if epoch != self._epoch:
            rng = generator("epoch order", self.spec.seed_key, epoch)
            self._epoch, self._order = epoch, rng.permutation(len(self._fixed.inputs))
        return self._fixed[self._order[place * size : (place + 1) * size]]


class CohortData:
    """The training examples of all members; members of equal seed share their stream."""

    def __init__(self, specs: list[RunSpec]):
        self.spec = specs[0]
        exclude = held_out(self.spec)  # the same for every member
        sources = {spec.seed_key: spec for spec in specs}
        self._sources = {key: TrainingData(spec, exclude) for key, spec in sources.items()}
        self._keys = [spec.seed_key for spec in specs]
        self._start, self._ahead = 0, []
        per_step = self.spec.train.batch_size * self.spec.sequence_length
        self._num_ahead = max(1, min(64, TOKENS_AHEAD // per_step))

    def step(self, index: int) -> Examples:
        """Tokens (S, B, L) and targets of a step for the members that are left."""
        place = index - self._start
        if not 0 <= place < len(self._ahead):
            self._start, place = index, 0
            last = min(index + self._num_ahead, self.spec.train.steps)
            self._ahead = [self._draw(step) for step in range(index, max(last, index + 1))]
        return self._ahead[place]

    def keep(self, rows: list[int]) -> None:
        """Reduces the data to these members."""
        self._keys = [self._keys[row] for row in rows]
        self._ahead = [
            Examples(*(None if t is None else t[rows] for t in examples))
            for examples in self._ahead
        ]

    def _draw(self, step: int) -> Examples:
        drawn = {key: examples(self.spec, self._sources[key].step(step)) for key in set(self._keys)}
        parts = [drawn[key] for key in self._keys]
        return Examples(
            torch.stack([part.tokens for part in parts]),
            None if parts[0].scored is None else torch.stack([part.scored for part in parts]),
            torch.stack([part.targets for part in parts]),
        )


def examples(spec: RunSpec, batch: Batch, form: Form | None = None) -> Examples:
    """A task's batch as tensors, under the loss mode of the run (or another `form`)."""
    form = form or spec.train.loss
    inputs, targets = with_loss(spec.task, batch, form)
    tokens = torch.tensor(inputs)
    if form == "all":
        return Examples(tokens, None, torch.tensor(targets))
    scored = _scored_positions(targets, spec.task.max_scored)
    picked = np.take_along_axis(targets, scored, axis=1)
    return Examples(tokens, torch.tensor(scored), torch.tensor(picked))


def evaluation_batch(task: Task, role: Role, size: int) -> Batch:
    """The first examples of an evaluation role, the same for every seed."""
    return Stream(task, EVALUATION_SEED, role).take(0, size)


def _scored_positions(targets: np.ndarray, most: int) -> np.ndarray:
    """(n, most) positions of the scored targets in order, filled up with unscored positions."""
    order = np.argsort(targets == IGNORE, axis=1, kind="stable")
    return order[:, :most]


def held_out(spec: RunSpec) -> np.ndarray:
    """Hashes of all inputs that the run, or one it is compared with, is evaluated on."""
    train = spec.train
    sizes = {
        "selection": train.validation_examples,
        "validation": train.validation_examples,
        "test": train.test_examples,
    }
    return held_out_hashes(spec.task, sizes, EVALUATION_SEED)
