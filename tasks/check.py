"""Whether a task, shipped or a plug-in, keeps the promises of `Task`; no training needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from harness.foundation.errors import HarnessError, Problem
from harness.foundation.seeding import generator
from tasks.base import Batch, Task, accuracy, hits


def check_task(task: Task, *, num_examples: int = 64) -> None:
    """Draws a few examples. Raises HarnessError that lists every broken promise."""
    try:
        _check(task, num_examples)
    except HarnessError:
        raise
    except Exception as error:
        raise HarnessError(
            f"it raises {type(error).__name__}: {error}",
            where=f"task {task.name}",
            fix="call its sample, oracle and shortcuts by hand to see the traceback",
        ) from error


def check_tasks(tasks: Iterable[Task]) -> None:
    """`check_task` of each, once."""
    for task in dict.fromkeys(tasks):
        check_task(task)


def _check(task: Task, num_examples: int) -> None:
    batch = task.sample(generator("check"), num_examples)
    problems = list(_check_shapes(task, batch, num_examples))
    if not problems:  # each check reads what the ones before have made sure of
        problems = list(_check_values(task, batch))
    if not problems:
        problems = list(_check_edit(task, batch))
        if not _equal(batch, task.sample(generator("check"), num_examples)):
            problems.append(
                Problem(
                    "equal generators give different examples",
                    fix="draw everything from the generator that sample gets",
                )
            )
    if problems:
        raise HarnessError(item._replace(where=f"task {task.name}") for item in problems)


def _check_shapes(task: Task, batch: Batch, n: int) -> Iterator[Problem]:
    row = (n, task.input_length)
    features = (*row, task.num_features) if task.num_features else row
    numbers = (*row, task.num_outputs) if task.real_targets else row
    expected = {
        "inputs": (batch.inputs, features, np.float32 if task.num_features else np.int64),
        "targets": (batch.targets, numbers, np.float32 if task.real_targets else np.int64),
    } | {name: (array, row, np.int64) for name, array in batch.info.items()}
    for name, (array, shape, dtype) in expected.items():
        if not isinstance(array, np.ndarray):
            yield Problem(f"{name} should be an array, got {type(array).__name__}")
        elif array.shape != shape or array.dtype != dtype:
            yield Problem(
                f"{name} should be {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}"
            )


def _check_values(task: Task, batch: Batch) -> Iterator[Problem]:
    scored = batch.scored
    most, least = scored.sum(axis=1).max(), scored.sum(axis=1).min()
    if least < 1 or most > task.max_scored:
        yield Problem(
            f"an example should have 1 to max_scored = {task.max_scored} scored positions, "
            f"got {least} to {most}"
        )
        return
    for name, values, size in (
        ("inputs", batch.inputs, task.num_tokens),
        ("targets", batch.targets[scored], task.num_outputs),
    ):
        if values.dtype == np.float32:
            if not np.isfinite(values).all():
                yield Problem(f"{name} should be finite, got {values[~np.isfinite(values)][0]}")
        elif values.min() < 0 or values.max() >= size:
            yield Problem(
                f"{name} should be in 0 .. {size - 1}, got {values.min()} .. {values.max()}"
            )
            return
    ahead = scored[:, :-1]
    if task.pooled and ahead.any():
        yield Problem("a pooled task should be scored at the last position alone")
    if task.num_documents > 1 and not task.pooled:
        yield Problem("a task of several documents should be pooled")
    if task.num_documents > 1 and task.input_length % task.num_documents:
        yield Problem("documents of one input should be of equal length")
    if task.next_token and (task.num_features or task.real_targets):
        yield Problem("next_token is true, but inputs or targets are no tokens")
    elif task.next_token:
        if (batch.targets[:, :-1] != batch.inputs[:, 1:])[ahead].any():
            yield Problem("next_token is true, but a target is not the token that follows it")
        if ahead.any() and not task.answers_in_inputs:
            yield Problem("an input contains answers, but answers_in_inputs is false")
    if not (0 <= task.chance < 1 if task.real_targets else 0 < task.chance < 1):
        yield Problem(f"chance should be between 0 and 1, got {task.chance}")
    names = [("token_names", task.token_names, task.num_tokens)]
    if not task.real_targets:
        names.append(("output_names", task.output_names, task.num_outputs))
    for name, given, size in names:
        if len(given) != size:
            yield Problem(f"{name} should have {size} names, got {len(given)}")
    predictors = {"oracle": task.oracle(batch), **task.shortcuts(batch)}
    if predictors["oracle"] is None:
        del predictors["oracle"]
    for name, predictions in predictors.items():
        if predictions.shape != batch.targets.shape:
            yield Problem(f"{name} should predict {batch.targets.shape}, got {predictions.shape}")
        elif name == "oracle" and not task.stochastic:
            got = accuracy(predictions, batch, task.tolerance)
            if got < 1:
                yield Problem(f"the oracle should be exact, got {got:.1%}")
    if task.stochastic:
        yield from _check_distribution(task, batch)


def _check_distribution(task: Task, batch: Batch) -> Iterator[Problem]:
    truth, shape = task.distribution(batch), (*batch.inputs.shape, task.num_outputs)
    if truth is None or truth.shape != shape:
        got = "nothing" if truth is None else truth.shape
        yield Problem(f"a stochastic task should have a distribution {shape}, got {got}")
        return
    likely = truth[batch.scored]
    if likely.min() < 0 or not np.allclose(likely.sum(axis=-1), 1, atol=1e-6):
        yield Problem("distribution should be probabilities that sum to 1 at scored positions")
    elif (np.take_along_axis(likely, batch.targets[batch.scored][:, None], axis=1) <= 0).any():
        yield Problem("distribution says that a target is impossible")


def _check_edit(task: Task, batch: Batch) -> Iterator[Problem]:
    edit, scored = task.edit(batch, generator("check edit")), batch.scored
    if edit is None:
        return
    if hits(edit.evidence.targets, batch, task.tolerance)[scored].any():
        yield Problem("edit: the evidence changed, and a target did not")
    if not np.array_equal(edit.distractor.targets, batch.targets, equal_nan=task.real_targets):
        yield Problem("edit: only a distractor changed, and yet a target did")
    for name, edited in edit._asdict().items():
        predictions = task.oracle(edited)
        if predictions is not None and accuracy(predictions, edited, task.tolerance) < 1:
            yield Problem(f"edit: the oracle disagrees with the targets of {name}")


def _equal(one: Batch, other: Batch) -> bool:
    return bool(
        (one.inputs == other.inputs).all()
        and np.array_equal(one.targets, other.targets, equal_nan=one.targets.ndim == 3)
        and one.info.keys() == other.info.keys()
        and all((one.info[name] == other.info[name]).all() for name in one.info)
    )
