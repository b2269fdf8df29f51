"""What a report shows of an arm besides its results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ablations import dotted
from ablations.ablation import Arm, with_nuisance
from ablations.match import WORDS, Match, number_at
from harness.cost import cost, training_flops
from harness.foundation.config import to_data
from harness.training.data import evaluation_batch
from tasks.base import Task, accuracy, squared_error, surprise


def arm_facts(
    arm: Arm, match: Match | None = None, nuisances: Sequence[Mapping[str, Any]] = ({},)
) -> dict[str, Any]:
    """Cost, regime, the numbers to beat.

    training_flops: of a run, evaluations not counted; None where its nuisances change them.
    """
    flops = {training_flops(with_nuisance(arm.spec, nuisance)) for nuisance in nuisances}
    matched = None
    if match is not None:
        value = number_at(arm.spec, dotted.path(match.by))
        matched = {**match.model_dump(), "what": WORDS[match.what], "value": value}
    return {
        "matched": matched,
        **cost(arm.spec)._asdict(),
        "training_flops": flops.pop() if len(flops) == 1 else None,
        "regime": arm.spec.regime,
        "loss": arm.spec.train.loss,
        "steps": arm.spec.train.steps,
        **_yardsticks(arm.spec.task, arm.spec.train.test_examples),
    }


_YARDSTICKS: dict[tuple[str, int], dict[str, Any]] = {}


def _yardsticks(task: Task, test_examples: int) -> dict[str, Any]:
    """Chance, and what oracle and shortcuts score on the test set itself; errors: their mean
    squared errors, of real targets alone; excess: nats a target by which predictors simpler than
    the best lose to it, of drawn targets alone."""
    key = (json.dumps(to_data(task), sort_keys=True), test_examples)
    if key not in _YARDSTICKS:
        batch = evaluation_batch(task, "test", test_examples)
        oracle, shortcuts = task.oracle(batch), task.shortcuts(batch)
        guesses = shortcuts if oracle is None else {"oracle": oracle, **shortcuts}
        scores = {name: accuracy(p, batch, task.tolerance) for name, p in guesses.items()}
        _YARDSTICKS[key] = {"chance": task.chance, "oracle": scores.pop("oracle", None)}
        _YARDSTICKS[key] |= {"shortcuts": scores, "errors": {}}
        if task.real_targets:
            _YARDSTICKS[key]["errors"] = {n: squared_error(p, batch) for n, p in guesses.items()}
        if task.stochastic:
            best, simple = task.distribution(batch), task.simple_distributions(batch)
            excess = {n: surprise(p, batch) - surprise(best, batch) for n, p in simple.items()}
            _YARDSTICKS[key]["excess"] = excess
    return _YARDSTICKS[key]
