"""Whether a task, shipped or a plug-in, keeps the promises of `Task`; no training needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from harness.foundation.errors import HarnessError, Problem
from harness.foundation.seeding import generator
from tasks.base import Batch, Task, accuracy


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
    arrays = {"inputs": batch.inputs, "targets": batch.targets} | batch.info
    for name, array in arrays.items():
        if array.shape != (n, task.input_length) or array.dtype != np.int64:
            yield Problem(
                f"{name} should be ({n}, {task.input_length}) int64, "
                f"got {array.shape} {array.dtype}"
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
        if values.min() < 0 or values.max() >= size:
            yield Problem(
                f"{name} should be in 0 .. {size - 1}, got {values.min()} .. {values.max()}"
            )
            return
    ahead = scored[:, :-1]
    if task.pooled and ahead.any():
        yield Problem("a pooled task should be scored at the last position alone")
    if task.next_token:
        if (batch.targets[:, :-1] != batch.inputs[:, 1:])[ahead].any():
            yield Problem("next_token is true, but a target is not the token that follows it")
        if ahead.any() and not task.answers_in_inputs:
            yield Problem("an input contains answers, but answers_in_inputs is false")
    if not 0 < task.chance < 1:
        yield Problem(f"chance should be between 0 and 1, got {task.chance}")
    for name, names, size in (
        ("token_names", task.token_names, task.num_tokens),
        ("output_names", task.output_names, task.num_outputs),
    ):
        if len(names) != size:
            yield Problem(f"{name} should have {size} names, got {len(names)}")
    for name, predictions in {"oracle": task.oracle(batch), **task.shortcuts(batch)}.items():
        if predictions.shape != batch.inputs.shape:
            yield Problem(f"{name} should predict {batch.inputs.shape}, got {predictions.shape}")
        elif name == "oracle" and accuracy(predictions, batch) < 1:
            yield Problem(f"the oracle should be exact, got {accuracy(predictions, batch):.1%}")


def _check_edit(task: Task, batch: Batch) -> Iterator[Problem]:
    edit, scored = task.edit(batch, generator("check edit")), batch.scored
    if edit is None:
        return
    if (edit.evidence.targets == batch.targets)[scored].any():
        yield Problem("edit: the evidence changed, and a target did not")
    if (edit.distractor.targets != batch.targets).any():
        yield Problem("edit: only a distractor changed, and yet a target did")
    for name, edited in edit._asdict().items():
        if accuracy(task.oracle(edited), edited) < 1:
            yield Problem(f"edit: the oracle disagrees with the targets of {name}")


def _equal(one: Batch, other: Batch) -> bool:
    return bool(
        (one.inputs == other.inputs).all()
        and (one.targets == other.targets).all()
        and one.info.keys() == other.info.keys()
        and all((one.info[name] == other.info[name]).all() for name in one.info)
    )
