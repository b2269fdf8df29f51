"""`check_task` passes what is shipped and names what a faulty task breaks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import tasks
from harness.foundation.errors import HarnessError
from tasks import Batch
from tasks.check import check_task
from tasks.induction_heads import InductionHeads


class ShortTargets(InductionHeads):
    def sample(self, rng, n):
        batch = super().sample(rng, n)
        return batch._replace(targets=batch.targets[:, -1])


class WrongDtype(InductionHeads):
    def sample(self, rng, n):
        batch = super().sample(rng, n)
        return batch._replace(inputs=batch.inputs.astype(np.int32))


class TooManyTokens(InductionHeads):
    def sample(self, rng, n):
        batch = super().sample(rng, n)
        return batch._replace(inputs=batch.inputs + 1)


class OwnGenerator(InductionHeads):
    def sample(self, rng, n):
        return super().sample(np.random.default_rng(), n)


class Unscored(InductionHeads):
    def sample(self, rng, n):
        batch = super().sample(rng, n)
        return batch._replace(targets=np.full_like(batch.targets, tasks.IGNORE))


class WrongOracle(InductionHeads):
    def oracle(self, batch):
        return np.ones_like(batch.inputs)


class SilentAboutAnswers(InductionHeads):
    answers_in_inputs: ClassVar[bool] = False
    induction_length: int = 2


class NoNames(InductionHeads):
    token_names: ClassVar[list[str]] = []


class DeadEdit(InductionHeads):
    def edit(self, batch, rng):
        return tasks.Edit(batch, Batch(batch.inputs, batch.targets + 1, batch.info))


@pytest.mark.parametrize("name", tasks.names())
def test_shipped_tasks_pass(name):
    check_task(tasks.get(name))


@pytest.mark.parametrize(
    "faulty, messages",
    [
        (ShortTargets, ["targets should be (64, 31) int64, got (64,) int64"]),
        (WrongDtype, ["inputs should be (64, 31) int64, got (64, 31) int32"]),
        (TooManyTokens, ["inputs should be in 0 .. 19, got 2 .. 20"]),
        (OwnGenerator, ["equal generators give different examples"]),
        (Unscored, ["1 to max_scored = 1 scored positions, got 0 to 0"]),
        (WrongOracle, ["the oracle should be exact, got "]),
        (SilentAboutAnswers, ["contains answers, but answers_in_inputs is false"]),
        (NoNames, ["token_names should have 20 names, got 0", "output_names should have 20"]),
        (DeadEdit, ["evidence changed, and a target did not", "and yet a target did"]),
    ],
)
def test_faulty_tasks_are_named(faulty, messages):
    with pytest.raises(HarnessError) as error:
        check_task(faulty())
    assert str(error.value).startswith("task induction_heads: ")
    for message in messages:
        assert message in str(error.value)
