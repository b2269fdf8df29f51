"""What a task is: a distribution over (inputs, targets) that comes with its own yardsticks.

A task is a frozen configuration whose fields are its parameters. It draws batches, solves them
exactly (`oracle`), and states what guessing achieves (`chance`, `shortcuts`), so that no score
stands without the number it has to beat. numpy only; never torch.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from harness.foundation.config import Component
from harness.foundation.errors import HarnessError
from harness.foundation.registry import Registry

IGNORE = -100  # a target that is not scored

TASKS: Registry[Task] = Registry("task")
register = TASKS.register

Count = Annotated[int, Field(ge=1, lt=2**31)]

FEW_INPUTS = 10**5  # a task with fewer different inputs does not hold evaluation inputs out


class Batch(NamedTuple):
    """n examples of length L.

    inputs: (n, L) int64 tokens.
    targets: (n, L) int64; IGNORE where nothing is scored.
    info: facts by which accuracy is broken down, each (n, L) int64, read at scored positions
        only (distance back to the evidence, number of occurrences, depth, ...); -1 where the
        fact has no value.
    """

    inputs: np.ndarray
    targets: np.ndarray
    info: dict[str, np.ndarray]

    def __getitem__(self, index) -> Batch:  # a slice of examples, not of the tuple
        return Batch(
            self.inputs[index], self.targets[index], {k: v[index] for k, v in self.info.items()}
        )

    @property
    def scored(self) -> np.ndarray:
        """(n, L) bool: where a target is scored."""
        return self.targets != IGNORE


class Edit(NamedTuple):
    """Counterfactual versions of a batch, for asking what a model's answer follows.

    evidence: the context says something else; the targets that must follow.
    distractor: something irrelevant is changed; the targets are those of the original.
    """

    evidence: Batch
    distractor: Batch


class Task(Component):
    """Base of all tasks. Subclasses declare parameters as fields and are `register`ed by name.

    Class attributes
        summary: one line for `orchid list`.
        source: where the rule comes from.
        next_token: the target at position t is the token that follows it in the sequence, so
            the losses `all` and `masked` are defined.
        pooled: one label for the whole sequence, scored at the last position and predicted from
            a pooled representation.
        pad_token: the token that fills up an input after its end, left out when pooling.
        version: bump it when the same parameters give other examples; part of every run_id.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    next_token: ClassVar[bool] = True
    pooled: ClassVar[bool] = False
    pad_token: ClassVar[int | None] = None

    @property
    @abstractmethod
    def num_tokens(self) -> int:
        """Number of different input tokens, special ones included."""

    @property
    def num_outputs(self) -> int:
        """Number of classes predicted at a scored position."""
        return self.num_tokens

    @property
    @abstractmethod
    def input_length(self) -> int:
        """L, the length of every input."""

    @property
    def max_scored(self) -> int:
        """The largest number of scored positions in one example."""
        return 1

    @property
    def answers_in_inputs(self) -> bool:
        """Whether an input contains, later on, the answer to one of its own queries."""
        return False

    @property
    @abstractmethod
    def chance(self) -> float:
        """Accuracy of a uniform guess among the tokens that can be an answer, in [0, 1]."""

    @property
    def too_small_to_hold_out(self) -> str:
        """Why training examples may also stand in an evaluation set; empty when none may."""
        return ""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        """Draws n examples. Pure in (parameters, rng); no Python loop over examples."""

    @abstractmethod
    def oracle(self, batch: Batch) -> np.ndarray:
        """(n, L) predictions of an exact solver that reads the inputs alone."""

    @abstractmethod
    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """Predictions (n, L) of trivial rules that do not solve the task, by name."""

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit | None:
        """Counterfactual versions of the batch; None where the task is not an in-context one."""
        return None

    @property
    def token_names(self) -> list[str]:
        """How each token is written when an example is shown; num_tokens strings."""
        return [str(token) for token in range(self.num_tokens)]

    @property
    def output_names(self) -> list[str]:
        """How each class is written; num_outputs strings."""
        return self.token_names


def accuracy(predictions: np.ndarray, batch: Batch) -> float:
    """Share of the scored positions that are predicted correctly."""
    scored = batch.scored
    return float((predictions == batch.targets)[scored].mean())


def count_tokens(tokens: np.ndarray, num_tokens: int) -> np.ndarray:
    """(n, num_tokens) how often each token occurs in each row of tokens (n, ...)."""
    n = len(tokens)
    flat = tokens.reshape(n, -1) + num_tokens * np.arange(n)[:, None]
    return np.bincount(flat.ravel(), minlength=n * num_tokens).reshape(n, num_tokens)


def last_occurrence(tokens: np.ndarray, position: int) -> np.ndarray:
    """(n,) where the token that stands at this position of tokens (n, L) stood last before it.

    The token must occur earlier; a row in which it does not gets position - 1.
    """
    same = tokens[:, :position][:, ::-1] == tokens[:, [position]]
    return position - 1 - same.argmax(axis=1)


def pick(tokens: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(n,) the token of each row of tokens (n, L) in that row's column."""
    return np.take_along_axis(tokens, columns[:, None], axis=1)[:, 0]


def change(tokens: np.ndarray, first: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Each token of first .. first + count - 1 becomes, uniformly, another one of them."""
    step = rng.integers(1, count, size=tokens.shape)
    return first + (tokens - first + step) % count


def few_inputs(count: int) -> str:
    """What `too_small_to_hold_out` says about a task with this many different inputs."""
    if count >= FEW_INPUTS:
        return ""
    return f"there are only {count:,} different inputs (fewer than {FEW_INPUTS:,})"


Form = Literal["answers", "all", "masked"]


def with_loss(task: Task, batch: Batch, form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets as training sees them under a loss mode (see `train.loss`).

    answers: the batch as it is.
    all: every next token is a target; the scored answers stay where they are.
    masked: each scored token is put into the sequence, hidden there behind an extra token
        (number `task.num_tokens`) and predicted in place; the sequence is one longer.
    """
    if form == "answers":
        return batch.inputs, batch.targets
    if not task.next_token:
        raise HarnessError(
            f"loss {form!r} needs a task whose targets are next tokens; {task.name} is not one",
            fix="use the loss 'answers'",
        )
    following = np.full_like(batch.targets, IGNORE)
    following[:, :-1] = batch.inputs[:, 1:]
    following = np.where(batch.scored, batch.targets, following)
    if form == "all":
        return batch.inputs, following
    rows = len(batch.inputs)
    blank = np.full((rows, 1), IGNORE, dtype=batch.targets.dtype)
    targets = np.concatenate([blank, batch.targets], axis=1)
    last = np.where(following[:, -1:] == IGNORE, task.num_tokens, following[:, -1:])
    inputs = np.concatenate([batch.inputs, last], axis=1)
    return np.where(targets != IGNORE, task.num_tokens, inputs), targets
