"""What the members of a cohort are fed: streams of examples, cut into steps, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.foundation.seeding import generator
from harness.spec import RunSpec
from tasks.base import IGNORE, Batch, Form, Role, Task, is_scored, with_loss
from tasks.stream import Stream, held_out_hashes

# Evaluation sets do not depend on the seed: every run of a task is tested on the same examples.
EVALUATION_SEED = "evaluation"
NUMBERS_AHEAD = 2**18  # drawn at once for each seed


class Examples(NamedTuple):
    """inputs (..., B, L) tokens or (..., B, L, F) features, scored (..., B, Q) positions or None
    for all, targets (..., B, Q) classes or (..., B, Q, K) numbers.

    Where an example has fewer than Q scored positions, the spare targets are IGNORE or NaN.
    """

    inputs: Tensor
    scored: Tensor | None
    targets: Tensor

    @property
    def is_scored(self) -> Tensor:
        """(..., B, Q) bool: which targets count."""
        if self.targets.is_floating_point():
            return ~self.targets.isnan().any(-1)
        return self.targets != IGNORE

    def to(self, device: torch.device) -> Examples:
        """On a GPU the copy does not hold up the host: it leaves from locked memory."""
        if device.type == "cpu":
            return self
        parts = (t if t is None or t.is_cuda else t.pin_memory() for t in self)
        return Examples(*(t if t is None else t.to(device, non_blocking=True) for t in parts))


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
    """The training examples of all members; members of equal seed share their stream.

    A thread of its own draws the next examples while the last ones are trained on. What is drawn
    depends on the step alone, so the thread moves no number.
    """

    def __init__(self, specs: list[RunSpec]):
        self.spec = specs[0]
        exclude = held_out(self.spec)  # the same for every member
        sources = {spec.seed_key: spec for spec in specs}
        self._sources = {key: TrainingData(spec, exclude) for key, spec in sources.items()}
        self._keys = [spec.seed_key for spec in specs]
        self._num_ahead = num_ahead(self.spec)
        self._start, self._drawn = 0, []  # by step from _start on: seed key -> examples
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="examples")
        self._next: tuple[int, Future] | None = None
        self._draw_ahead(0)

    def step(self, index: int) -> Examples:
        """Inputs (S, B, L) and targets of a step for the members that are left."""
        place = index - self._start
        if not 0 <= place < len(self._drawn):
            if self._next is None or self._next[0] != index:
                self._draw_ahead(index)
            self._start, place = index, 0
            self._drawn = self._next[1].result()
            self._next = None
            if index + len(self._drawn) < self.spec.train.steps:
                self._draw_ahead(index + len(self._drawn))
        parts = [self._drawn[place][key] for key in self._keys]
        return Examples(
            *(None if each[0] is None else torch.stack(each) for each in zip(*parts, strict=True))
        )

    def keep(self, rows: list[int]) -> None:
        """Reduces the data to these members."""
        self._keys = [self._keys[row] for row in rows]

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _draw_ahead(self, start: int) -> None:
        steps = range(start, max(start + 1, min(start + self._num_ahead, self.spec.train.steps)))
        keys = tuple(dict.fromkeys(self._keys))
        work = self._thread.submit(lambda: [self._draw(step, keys) for step in steps])
        self._next = start, work

    def _draw(self, step: int, keys: Sequence[str]) -> dict[str, Examples]:
        return {key: examples(self.spec, self._sources[key].step(step)) for key in keys}


def num_ahead(spec: RunSpec) -> int:
    """Steps whose examples are drawn at once."""
    numbers = spec.task.input_length * max(1, spec.task.num_features)
    return max(1, min(64, NUMBERS_AHEAD // (spec.train.batch_size * numbers)))


def examples(spec: RunSpec, batch: Batch, form: Form | None = None) -> Examples:
    """A task's batch as tensors, under the loss mode of the run (or another `form`)."""
    form = form or spec.train.loss
    inputs, targets = with_loss(spec.task, batch, form)
    if form == "all":
        return Examples(torch.tensor(inputs), None, torch.tensor(targets))
    scored = scored_positions(targets, spec.task.max_scored)
    return Examples(torch.tensor(inputs), torch.tensor(scored), torch.tensor(pick(targets, scored)))


def evaluation_batch(task: Task, role: Role, size: int) -> Batch:
    """The first examples of an evaluation role, the same for every seed; all of them where the
    task has fewer."""
    return Stream(task, EVALUATION_SEED, role).first(size)


def scored_positions(targets: np.ndarray, most: int) -> np.ndarray:
    """(n, most) positions of the scored targets in order, filled up with unscored positions."""
    order = np.argsort(~is_scored(targets), axis=1, kind="stable")
    return order[:, :most]


def pick(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """values (n, L, ...) at positions (n, Q): (n, Q, ...)."""
    return values[np.arange(len(values))[:, None], positions]


def held_out(spec: RunSpec) -> np.ndarray | None:
    """Hashes of all inputs that the run, or one it is compared with, is evaluated on; None where
    the task is too small to hold any out."""
    train = spec.train
    if spec.task.too_small_to_hold_out:
        return None
    sizes = {
        "selection": train.validation_examples,
        "validation": train.validation_examples,
        "test": train.test_examples,
    }
    return held_out_hashes(spec.task, sizes, EVALUATION_SEED)
