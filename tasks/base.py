"""What a task is: a distribution over (inputs, targets) that comes with its own yardsticks.

A task is a frozen configuration whose fields are its parameters. It draws batches, solves them
exactly (`oracle`), and states what guessing achieves (`chance`, `shortcuts`), so that no score
stands without the number it has to beat. numpy only; never torch.

Most tasks map tokens to tokens. Inputs may be real vectors instead (`num_features`), and so may
targets (`real_targets`); targets may be drawn rather than determined (`stochastic`); and examples
may be given rather than drawn (`tasks.dataset`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.config import At, Component, parse_component, to_data
from harness.foundation.errors import HarnessError
from harness.foundation.registry import Registry

IGNORE = -100  # a target that is not scored

TASKS: Registry[Task] = Registry("task")
register = TASKS.register

Count = Annotated[int, Field(ge=1, lt=2**31)]
Role = Literal["train", "selection", "validation", "test"]
Form = Literal["answers", "all", "masked"]

GROUPS = (  # headings of `orchid list tasks`, in this order
    "recall",
    "MAD",
    "induction and copying",
    "in-context statistics",
    "state tracking",
    "long range",
    "long range, files of your own",
)
OTHER = "others"  # plug-ins that name no group

FEW_INPUTS = 10**5  # a task with fewer different inputs does not hold evaluation inputs out


class Batch(NamedTuple):
    """n examples of length L.

    inputs: (n, L) int64 tokens, or (n, L, F) float32 features.
    targets: (n, L) int64 classes, IGNORE where nothing is scored; or (n, L, K) float32 numbers,
        NaN where nothing is scored.
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
        return is_scored(self.targets)

    @property
    def arrays(self) -> list[np.ndarray]:
        """Inputs, targets and the facts in the order of their names."""
        return [self.inputs, self.targets, *(self.info[name] for name in sorted(self.info))]


def is_scored(targets: np.ndarray) -> np.ndarray:
    """Targets (n, L) or (n, L, K) -> (n, L) bool."""
    return targets != IGNORE if targets.ndim == 2 else ~np.isnan(targets).any(axis=-1)


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
        source: where the rule comes from; what is not from there says so.
        group: one of GROUPS, the heading under which it is listed.
        scoring: what is scored and why that is the answer, in a sentence or two for a reader of
            an example.
        next_token: the target at position t is the token that follows it in the sequence, so
            the losses `all` and `masked` are defined.
        pooled: one target for the whole sequence, scored at the last position and predicted from
            a pooled representation.
        bottleneck: every scored position is predicted from the representation of the last
            position alone.
        num_documents: the input is that many sequences of equal length one after another, each
            read by itself; more than one only for pooled tasks.
        pad_token: the token that fills up an input, left out when pooling and never learned.
        real_targets: targets are num_outputs numbers, predicted with squared error.
        stochastic: targets are drawn from `distribution`, so that the oracle is the best
            predictor and not an exact one.
        length_parameter: the field that `at_length` sets; None where there is none.
        version: bump it when the same parameters give other examples; part of every run_id.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    group: ClassVar[str] = OTHER
    scoring: ClassVar[str] = ""
    next_token: ClassVar[bool] = True
    pooled: ClassVar[bool] = False
    bottleneck: ClassVar[bool] = False
    num_documents: ClassVar[int] = 1
    pad_token: ClassVar[int | None] = None
    real_targets: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False
    length_parameter: ClassVar[str | None] = "length"

    @model_validator(mode="before")
    @classmethod
    def _countable(cls, data: Any) -> Any:
        """Whole numbers that no array can be sized by are refused before anything computes."""
        for name, value in data.items() if isinstance(data, dict) else ():
            if isinstance(value, int) and abs(value) >= 2**31:
                raise At(f"should be less than 2^31, got {value:.3g}", name)
        return data

    @property
    def num_tokens(self) -> int:
        """Number of different input tokens, special ones included; 0 where inputs are features."""
        return 0

    @property
    def num_features(self) -> int:
        """F, the numbers at each position of the input; 0 where inputs are tokens."""
        return 0

    @property
    def num_outputs(self) -> int:
        """Number of classes, or of numbers (`real_targets`), predicted at a scored position."""
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
        """Accuracy of a uniform guess among the tokens that can be an answer, in [0, 1]; for
        real targets the accuracy of the best constant."""

    @property
    def tolerance(self) -> float:
        """Real targets: the largest distance (Euclidean) from the target that counts as right."""
        return 0.0

    @property
    def too_small_to_hold_out(self) -> str:
        """Why training examples may also stand in an evaluation set; empty when none may."""
        return ""

    @property
    def forms(self) -> tuple[Form, ...]:
        """The loss modes that the task has; see `with_loss`."""
        return ("answers", "all", "masked") if self.next_token else ("answers",)

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        """Draws n examples. Pure in (parameters, rng); no Python loop over examples."""

    def sample_for(self, role: Role, rng: np.random.Generator, n: int) -> Batch:
        """`sample`, unless the rule itself trains on other examples than it tests on."""
        return self.sample(rng, n)

    @property
    def determined(self) -> bool:
        """Whether an input leaves but one answer, so that an oracle is always right."""
        return not self.stochastic

    @abstractmethod
    def oracle(self, batch: Batch) -> np.ndarray | None:
        """Predictions of an exact solver that reads the inputs alone, shaped as the targets; of
        the best predictor where they are not `determined`; None where nobody knows one."""

    @abstractmethod
    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """Predictions of trivial rules that do not solve the task, by name, shaped likewise."""

    def distribution(self, batch: Batch) -> np.ndarray | None:
        """Stochastic tasks: (n, L, num_outputs) float64, what the best predictor that reads the
        inputs alone says of each scored target; None for all others."""
        return None

    def simple_distributions(self, batch: Batch) -> dict[str, np.ndarray]:
        """Stochastic tasks: what simpler predictors than the best say, by name, each shaped as
        `distribution` and nowhere 0 where a target can be."""
        return {}

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit | None:
        """Counterfactual versions of the batch; None where the task is not an in-context one."""
        return None

    def at_length(self, length: int) -> Task:
        """The same task at another length. Raises HarnessError where there is none."""
        if self.length_parameter is None:
            raise HarnessError(f"{self.name} has one length only")
        return parse_component(TASKS, to_data(self) | {self.length_parameter: length})

    def drawing(self, batch: Batch, index: int) -> list[str] | None:
        """One input as lines of text where its tokens or numbers would say little."""
        return None

    @property
    def token_names(self) -> list[str]:
        """How each token is written when an example is shown; num_tokens strings."""
        return [str(token) for token in range(self.num_tokens)]

    @property
    def output_names(self) -> list[str]:
        """How each class is written; num_outputs strings."""
        if self.num_outputs == self.num_tokens:
            return self.token_names
        return [str(output) for output in range(self.num_outputs)]


def hits(predictions: np.ndarray, batch: Batch, tolerance: float = 0.0) -> np.ndarray:
    """(n, L) bool: where a prediction is right; real ones within the tolerance. False where
    nothing is scored."""
    if batch.targets.ndim == 3:
        error = np.asarray(predictions, dtype=np.float64) - batch.targets
        return np.sqrt((error**2).sum(axis=-1)) <= tolerance
    return (predictions == batch.targets) & batch.scored


def accuracy(predictions: np.ndarray, batch: Batch, tolerance: float = 0.0) -> float:
    """Share of the scored positions that are predicted correctly."""
    return float(hits(predictions, batch, tolerance)[batch.scored].mean())


def surprise(probabilities: np.ndarray, batch: Batch) -> float:
    """Nats a target: the mean of -log of the probability (n, L, K) that was given to it."""
    scored = batch.scored
    given = probabilities[scored][np.arange(scored.sum()), batch.targets[scored]]
    return float(-np.log(given).mean())


def squared_error(predictions: np.ndarray, batch: Batch) -> float:
    """Mean over scored positions and outputs; real targets only."""
    return float(((predictions - batch.targets)[batch.scored].astype(np.float64) ** 2).mean())


def count_tokens(tokens: np.ndarray, num_tokens: int) -> np.ndarray:
    """(n, num_tokens) how often each token occurs in each row of tokens (n, ...)."""
    n = len(tokens)
    flat = tokens.reshape(n, -1) + num_tokens * np.arange(n)[:, None]
    return np.bincount(flat.ravel(), minlength=n * num_tokens).reshape(n, num_tokens)


def last_occurrence(tokens: np.ndarray, position: int) -> np.ndarray:
    """(n,) the last position before this one that holds the same token, in tokens (n, L).

    The token must occur earlier; a row in which it does not gets position - 1.
    """
    same = tokens[:, :position][:, ::-1] == tokens[:, [position]]
    return position - 1 - same.argmax(axis=1)


def pick(tokens: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(n,) the token of each row of tokens (n, L) in that row's column."""
    return np.take_along_axis(tokens, columns[:, None], axis=1)[:, 0]


def change(tokens: np.ndarray, first: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Other tokens in place of these: all are in first .. first + count - 1, and each becomes one
    of the others there, all equally likely."""
    step = rng.integers(1, count, size=tokens.shape)
    return first + (tokens - first + step) % count


def circular_distance(distance: np.ndarray, length: int) -> np.ndarray:
    """The shorter way between two positions when an input of this length is closed to a ring."""
    return np.minimum(distance, length - distance)


def facts_at(
    columns: int | slice, values: Mapping[str, np.ndarray | int], shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Facts of this shape (n, L): the values in these columns, -1 in all others."""
    facts = {name: np.full(shape, -1) for name in values}
    for name, value in values.items():
        facts[name][:, columns] = value
    return facts


def few_inputs(count: int) -> str:
    """What `too_small_to_hold_out` says about a task with this many different inputs."""
    if count >= FEW_INPUTS:
        return ""
    return f"there are only {count:,} different inputs (fewer than {FEW_INPUTS:,})"


def with_loss(task: Task, batch: Batch, form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets as training sees them under a loss mode (see `train.loss`).

    answers: the batch as it is.
    all: the target of every position is the token that follows it, unless that is padding; the
        scored answers stay where they are.
    masked: every answer is written into the sequence at its own position, but hidden by an extra
        token (number `task.num_tokens`), and predicted there. The sequence gets one position
        more; if no answer belongs there, it holds a pad, or the extra token without a target.
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
    if task.pad_token is not None:
        following[following == task.pad_token] = IGNORE
    following = np.where(batch.scored, batch.targets, following)
    if form == "all":
        return batch.inputs, following
    rows = len(batch.inputs)
    blank = np.full((rows, 1), IGNORE, dtype=batch.targets.dtype)
    targets = np.concatenate([blank, batch.targets], axis=1)
    spare = task.num_tokens if task.pad_token is None else task.pad_token
    last = np.where(batch.scored[:, -1:], task.num_tokens, spare)
    inputs = np.concatenate([batch.inputs, last], axis=1)
    return np.where(targets != IGNORE, task.num_tokens, inputs), targets
