"""Trains a cohort: runs that differ in seed, learning rate and weight decay only, as one program.

On a CPU with one thread a member's numbers do not depend on its companions: not on how many
there are, their order, or whether one of them is NaN. That holds because no operation reduces
over the member dimension and every shape a member meets is fixed by its own specification.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from harness.foundation.config import identity
from harness.foundation.errors import HarnessError
from harness.foundation.plugins import source_digest
from harness.foundation.seeding import generator
from harness.mixers.orchid.intervention import applies
from harness.spec import RunSpec
from harness.training.clock import PARTS, TRAINING, Clock
from harness.training.data import (
    CohortData,
    Examples,
    evaluation_batch,
    examples,
    pick,
    scored_positions,
)
from harness.training.dropout import dropping
from harness.training.evaluation import (
    Scores,
    breakdown,
    compare_with_optimum,
    counterfactual,
    effective_kernel_lengths,
    evaluate,
    evaluate_under,
    exact_match,
)
from harness.training.events import Diverged, Event, Finished, Measured, Slice, Started
from harness.training.gradient import Gradients
from harness.training.metrics import EXACT_MATCH, UNDER, at_length
from harness.training.optimiser import AdamW, clip_, schedule_factor
from harness.training.precision import float32_products
from harness.training.stack import Stack
from harness.weights import member as member_weights
from tasks.base import Batch, Form, Role
from tasks.dataset import Dataset

Emit = Callable[[Event], None]
TakeWeights = Callable[[RunSpec, dict[str, Tensor]], None]


def train_cohort(
    specs: Sequence[RunSpec],
    emit: Emit,
    *,
    device: str = "cpu",
    take_weights: TakeWeights | None = None,
) -> None:
    """Trains every run and emits its events.

    take_weights: called with the state dict of each run that finishes (see `harness.weights`),
    before its Finished.
    Raises HarnessError if the runs are not one cohort or their precision is not the device's, and
    whatever training raises.
    """
    if len({spec.cohort_key for spec in specs}) != 1:
        raise HarnessError("runs of different shape cannot be trained as one cohort")
    place = torch.device(device)
    with float32_products(specs[0].train.precision, place):
        cohort = _Cohort(list(specs), emit, place, take_weights)
        try:
            with cohort.clock.on("steps"):
                cohort.train()
        finally:
            cohort.data.close()


@dataclass
class _Member:
    """What is known of a run while it trains."""

    spec: RunSpec
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    solved_in_a_row: int = 0
    first_of_row: int | None = None
    steps_to_solve: int | None = None
    provenance: dict = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return self.spec.run_id

    @property
    def wall_s(self) -> float:
        return sum(self.seconds[part] for part in TRAINING)

    def judge(self, step: int, accuracy: float) -> None:
        """Counts evaluations in a row at the threshold."""
        if self.steps_to_solve is not None:
            return
        if accuracy < self.spec.train.solve_threshold:
            self.solved_in_a_row = 0
            return
        if self.solved_in_a_row == 0:
            self.first_of_row = step
        self.solved_in_a_row += 1
        if self.solved_in_a_row >= self.spec.train.solve_patience:
            self.steps_to_solve = self.first_of_row

    def finished(self, steps: int, slices: tuple[Slice, ...]) -> Finished:
        return Finished(
            self.run_id,
            steps,
            self.wall_s,
            self.steps_to_solve,
            slices,
            self.provenance,
            self.seconds,
        )

    def diverged(self, step: int, message: str) -> Diverged:
        return Diverged(self.run_id, step, self.wall_s, message, self.provenance, self.seconds)


class _Cohort:
    """The members that still train, their stacked weights and what is measured of them."""

    def __init__(
        self,
        specs: list[RunSpec],
        emit: Emit,
        device: torch.device,
        take_weights: TakeWeights | None = None,
    ):
        self.spec, self.train_spec, self.emit, self.device = specs[0], specs[0].train, emit, device
        self.take_weights = take_weights
        self.clock = Clock("setup")
        for spec in specs:
            emit(Started(spec.run_id))
        self.members = [_Member(spec, provenance=self._provenance(specs)) for spec in specs]
        self.data, self.stack = self._begin(specs)
        self.optimiser = AdamW(
            self.stack,
            lr=[spec.train.lr for spec in specs],
            weight_decay=[spec.train.weight_decay for spec in specs],
            betas=self.train_spec.betas,
        )
        self.gradients = Gradients(self.stack)
        self.curve_role: Role = "selection" if self.spec.purpose == "selection" else "validation"
        size = self.train_spec.validation_examples
        self.curve = self._evaluation_set(self.spec, self.curve_role, size)[1]
        self._reset_sums()

    # `harness.training.memory` replaces the next four, to follow a cohort without numbers.

    def _begin(self, specs: list[RunSpec]) -> tuple[CohortData, Stack]:
        keys = [spec.seed_key for spec in specs]
        return CohortData(specs), Stack(self.spec, keys, self.device)

    def _provenance(self, specs: list[RunSpec]) -> dict:
        return _provenance(specs, self.device)

    def _evaluation_set(self, spec: RunSpec, role: Role, size: int) -> tuple[Batch, Examples]:
        """Scored at the answers alone, also where training scores every token."""
        batch = evaluation_batch(spec.task, role, size)
        return batch, examples(spec, batch, self._form).to(self.device)

    def _truth(self, batch: Batch, rows: slice) -> np.ndarray:
        """What the best predictor says where targets are drawn: (b, Q, V) probabilities."""
        task, part = self.spec.task, batch[rows]
        return pick(task.distribution(part), scored_positions(part.targets, task.max_scored))

    def train(self) -> None:
        train = self.train_spec
        for step in range(train.steps):
            self._update(step)
            done = step + 1
            if done % train.eval_every == 0 or done == train.steps:
                self._measure(done)
                self._charge(self.members)
                self._dismiss(done)
                if not self.members:
                    return

    def _charge(self, members: Sequence[_Member]) -> None:
        """Divides the time since the last call among these members."""
        for part, seconds in self.clock.take().items():
            for member in members:
                member.seconds[part] += seconds / len(members)

    def _update(self, step: int) -> None:
        with self.clock.on("data"):
            batch = self.data.step(step)
        with dropping(self.stack.model, [m.spec.seed_key for m in self.members], step):
            losses, grads = self.gradients(batch)
        if self.train_spec.clip_norm is not None:
            clip_(grads, self.train_spec.clip_norm)
        self.optimiser.step(self.stack, grads, schedule_factor(self.train_spec, step))
        self._loss_sum += losses
        self._steps_summed += 1
        self._still_finite &= torch.isfinite(losses)
        self._finite_steps += self._still_finite

    def _measure(self, step: int) -> None:
        """Evaluates all members after this step; `_dismiss` reads what is kept here."""
        self._train_loss = (self._loss_sum / self._steps_summed).tolist()  # waits for a GPU
        self._num_finite = self._finite_steps.tolist()
        with self.clock.on("evaluation"):
            self._scores = self._evaluate(self.curve)
        for index, member in enumerate(self.members):
            values = _values(self._scores, index)
            if all(map(np.isfinite, values.values())) and np.isfinite(self._train_loss[index]):
                train_values = {"loss": self._train_loss[index]}
                self.emit(Measured(member.run_id, step, "train", train_values))
                self.emit(Measured(member.run_id, step, self.curve_role, values))
                member.judge(step, values["accuracy"])

    def _dismiss(self, step: int) -> None:
        """Removes the members that diverged, solved the task or are at their last step."""
        train, leaving = self.train_spec, []
        for index, member in enumerate(self.members):
            lost = self._num_finite[index] < self._steps_summed
            if lost or not np.isfinite(self._scores.loss[index]):
                first = step - self._steps_summed + self._num_finite[index]
                leaving.append(index)
                what = f"the training loss stopped being finite at step {first + 1}"
                if not lost:
                    what = f"the validation loss is not finite after step {step}"
                self.emit(member.diverged(first, what))
        ending = [
            index
            for index, member in enumerate(self.members)
            if index not in leaving
            and (
                step == train.steps
                or (train.stop_when_solved and member.steps_to_solve is not None)
            )
        ]
        if ending:
            with self.clock.on("test"):
                self._finish(ending, step)
        self._keep([i for i in range(len(self.members)) if i not in {*leaving, *ending}])
        self._reset_sums()

    def _finish(self, ending: list[int], step: int) -> None:
        """Tests these members and emits their last events."""
        batch, data = self._evaluation_set(self.spec, "test", self.train_spec.test_examples)
        members = [self.members[index] for index in ending]
        with self.stack.only(torch.tensor(ending, device=self.device)):
            scores = self._evaluate(data, details=True)
            extra = self._after_training(batch, data, scores)
        self._charge(members)
        for row, (index, member) in enumerate(zip(ending, members, strict=True)):
            values = _values(scores, row)
            if not all(map(np.isfinite, values.values())):
                what = f"the test loss is not finite after step {step}"
                self.emit(member.diverged(step, what))
                continue
            values |= {name: float(found[row]) for name, found in extra.items()}
            values = {name: value for name, value in values.items() if np.isfinite(value)}
            self.emit(Measured(member.run_id, step, "test", values))
            details = scores.details
            slices = breakdown(details.right[row], details.losses[row], data, batch)
            if self.device.type == "cuda":
                how = "a CUDA graph" if self.gradients.replayed else "single launches"
                member.provenance["passes"] = how
            if self.take_weights is not None:
                weights = member_weights(self.stack.model, member.spec, index)
                self.take_weights(member.spec, weights)
            self._charge([member])
            self.emit(member.finished(step, slices))

    def _after_training(
        self, batch: Batch, data: Examples, scores: Scores
    ) -> dict[str, np.ndarray]:
        """What a run measures besides loss and accuracy, where it can: metric -> (S,)."""
        model, train, task, out = self.stack.model, self.train_spec, self.spec.task, {}
        size = train.batch_size
        matches = task.max_scored > 1 and not task.stochastic
        if matches:
            out[EXACT_MATCH] = exact_match(scores.details, data)
        for intervention in train.interventions:
            if applies(intervention, model):
                under = evaluate_under(
                    intervention, model, self.stack.num_members, data, size, task.tolerance
                )
                out[f"{UNDER}{intervention.label}"] = under.accuracy
        if train.effective_kernel_length:
            out |= effective_kernel_lengths(model, self.stack.num_members, data, size)
        if task.stochastic:
            truth = partial(self._truth, batch)
            out |= compare_with_optimum(model, self.stack.num_members, data, truth, size)
        if train.counterfactual:
            out |= self._counterfactual(batch, data, scores)
        for length in train.test_lengths:
            out |= self._at_length(length, matches=matches)
        return out

    def _at_length(self, length: int, *, matches: bool) -> dict[str, np.ndarray]:
        """The test at another length: metric -> (S,). matches: whether to count exact matches."""
        other, train = self.spec.at_length(length), self.train_spec
        _, data = self._evaluation_set(other, "test", train.test_examples)
        share = self.spec.sequence_length / other.sequence_length
        found = evaluate(
            self.stack.model,
            self.stack.num_members,
            data,
            max(1, round(train.batch_size * min(1.0, share))),
            tolerance=other.task.tolerance,
            details=matches,
        )
        measured = {"accuracy": found.accuracy, "loss": found.loss}
        if matches:
            measured[EXACT_MATCH] = exact_match(found.details, data)
        parameter = self.spec.task.length_parameter
        return {at_length(what, parameter, length): each for what, each in measured.items()}

    def _counterfactual(
        self, batch: Batch, data: Examples, scores: Scores
    ) -> dict[str, np.ndarray]:
        task = self.spec.task
        edit = task.edit(batch, generator("edit", json.dumps(identity(task), sort_keys=True)))
        if edit is None:
            return {}
        evidence, distractor = (
            self._evaluate(examples(self.spec, edited, self._form).to(self.device), details=True)
            for edited in edit
        )
        return counterfactual(
            scores.details, evidence.details, distractor.details, data, task.tolerance
        )

    def _keep(self, rows: list[int]) -> None:
        if len(rows) == len(self.members):
            return
        self.members = [self.members[row] for row in rows]
        if rows:
            index = torch.tensor(rows, device=self.device)
            self.stack.keep(index)
            self.gradients.forget()
            self.optimiser.keep(index)
            self.data.keep(rows)

    @property
    def _form(self) -> Form:
        return "masked" if self.train_spec.loss == "masked" else "answers"

    def _evaluate(self, data: Examples, *, details: bool = False) -> Scores:
        return evaluate(
            self.stack.model,
            self.stack.num_members,
            data,
            self.train_spec.batch_size,
            tolerance=self.spec.task.tolerance,
            details=details,
        )

    def _reset_sums(self) -> None:
        count = len(self.members)
        self._loss_sum = torch.zeros(count, device=self.device)
        self._finite_steps = torch.zeros(count, dtype=torch.int64, device=self.device)
        self._still_finite = torch.ones(count, dtype=torch.bool, device=self.device)
        self._steps_summed = 0


def _values(scores: Scores, member: int) -> dict[str, float]:
    return {"loss": float(scores.loss[member]), "accuracy": float(scores.accuracy[member])}


def _provenance(specs: list[RunSpec], device: torch.device) -> dict:
    """What may move a number without being part of the question; see RunSpec for what is."""
    spec = specs[0]
    components = (spec.task, *(layer.mixer for layer in spec.model.layer_list))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} {name}".strip(),
        "threads": torch.get_num_threads(),
        "cohort_size": len(specs),
        "data": spec.task.digest if isinstance(spec.task, Dataset) else "",
        "cohort": [other.run_id for other in specs] if device.type != "cpu" else [],
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "plugins": {
            f"{type(part).name} v{part.version}": digest
            for part in components
            if (digest := source_digest(type(part)))
        },
    }
