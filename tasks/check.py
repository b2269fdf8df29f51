"""Whether a task, shipped or a plug-in, keeps the promises of `Task`; no training needed."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from harness.foundation.errors import HarnessError, Problem
from harness.foundation.seeding import generator
from tasks.base import Batch, Edit, Task, accuracy, hits
from tasks.dataset import Dataset

SIZES = {  # least and largest
    "num_tokens": (0, 2**24),
    "num_features": (0, 2**16),
    "num_outputs": (1, 2**24),
    "input_length": (1, 2**21),
    "max_scored": (1, 2**21),
}


def check_task(task: Task, *, num_examples: int = 64) -> None:
    """Draws a few examples. Raises HarnessError that lists every broken promise."""
    try:
        _check(task, num_examples)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        fix = "call its sample, oracle, shortcuts and edit by hand to see the traceback"
        if "read-only" in str(error):
            fix = "oracle, shortcuts, distribution and edit write into copies of a batch alone"
        elif isinstance(error, OSError):
            fix = "see to it that the file is there and may be read"
        elif isinstance(error, MemoryError):
            fix = "make its parameters smaller: a few examples do not fit into memory"
        raise HarnessError(
            f"it {_raised(error, task)}", where=f"task {task.name}", fix=fix
        ) from error


def check_tasks(tasks: Iterable[Task]) -> None:
    """`check_task` of each, once."""
    for task in dict.fromkeys(tasks):
        check_task(task)


def check_sizes(task: Task) -> None:
    """Raises HarnessError where a size, without which no model can be described, is none, or is
    too large for any."""
    problems = []
    for name, (least, largest) in SIZES.items():
        try:
            size = getattr(task, name)
        except HarnessError:
            raise
        except Exception as error:
            problems.append(Problem(f"{name} {_raised(error, task)}", fix="mend this property"))
            continue
        if not isinstance(size, (int, np.integer)) or size < least:
            message = f"{name} should be a whole number from {least} on, got {size!r}"
            problems.append(Problem(message, fix=f"give {name} as a property: see tasks.base.Task"))
        elif size > largest:
            message = f"{name} should be <= {largest:,}, got {size:,}"
            problems.append(Problem(message, fix="make the parameters that it comes from smaller"))
    if problems:
        raise HarnessError(item._replace(where=f"task {task.name}") for item in problems)


def _check(task: Task, num_examples: int) -> None:
    check_sizes(task)
    batch = task.sample(generator("check"), num_examples)
    problems = [*_check_words(task), *_check_shapes(task, batch, num_examples)]
    if not problems:  # each check reads what the ones before have made sure of
        for array in batch.arrays:
            array.flags.writeable = False  # as in a stream
        problems = list(_check_values(task, batch))
    if not problems:
        problems = list(_check_predictors(task, batch))
        problems += _check_distribution(task, batch) if task.stochastic else []
        problems += _check_edit(task, batch)
        problems += _check_draws(task, batch, num_examples)
    if problems:
        raise HarnessError(item._replace(where=f"task {task.name}") for item in problems)


def _raised(error: BaseException, task: Task) -> str:
    """What was raised and, where the task's own file shows it, in which line."""
    text = f"raises {type(error).__name__}: {error}"
    try:
        file = inspect.getsourcefile(type(task))
    except TypeError:  # defined in a session without a file
        return text
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{text} (line {own[-1].lineno} of {Path(file).name})" if own else text


def _check_words(task: Task) -> Iterator[Problem]:
    for name in ("summary", "source"):
        if not isinstance(getattr(task, name, None), str):
            yield Problem(f"it has no {name}", fix=f'{name}: ClassVar[str] = "one line"')


def _check_shapes(task: Task, batch: Batch, n: int, of: str = "") -> Iterator[Problem]:
    """of: whose inputs, targets and facts they are, if not those of a sample."""
    if not isinstance(batch, Batch):
        yield Problem(
            f"{of or 'sample'} should be a Batch, got {type(batch).__name__}",
            fix="return Batch(inputs, targets, info); info may be empty: {}",
        )
        return
    is_dict = isinstance(batch.info, dict)
    strange = [name for name in batch.info if not isinstance(name, str)] if is_dict else []
    if strange or not is_dict:
        got = f"the name {strange[0]!r}" if strange else type(batch.info).__name__
        yield Problem(
            f"{of} info should be arrays by name, got {got}".lstrip(),
            fix='{"distance": distance}, say; without facts it is empty: {}',
        )
        return
    row = (n, task.input_length)
    tokens, classes = not task.num_features, not task.real_targets
    expected = {
        "inputs": (batch.inputs, row if tokens else (*row, task.num_features), tokens),
        "targets": (batch.targets, row if classes else (*row, task.num_outputs), classes),
    } | {f"info[{name!r}]": (array, row, True) for name, array in batch.info.items()}
    for key, (array, shape, whole) in expected.items():
        name, dtype = f"{of} {key}".strip(), np.dtype(np.int64 if whole else np.float32)
        if not isinstance(array, np.ndarray):
            yield Problem(
                f"{name} should be an array, got {type(array).__name__}", fix="np.array(...) of it"
            )
        elif array.shape != shape:
            yield Problem(
                f"{name} should be {shape} {dtype}, got {array.shape} {array.dtype}",
                fix="n examples of input_length positions"
                + (f", and at each {shape[2]} numbers" if len(shape) > 2 else "")
                + "; a target that is not scored is IGNORE (real ones: NaN)",
            )
        elif array.dtype != dtype:
            yield Problem(
                f"{name} should be {shape} {dtype}, got {array.shape} {array.dtype}",
                fix=f"cast it once, at the end: .astype(np.{dtype})",
            )
        elif not of and not array.flags.writeable:
            yield Problem(
                f"{name} should be an array of its own, got one that cannot be written to",
                fix="copy what broadcasting, or a cache, gives: .copy()",
            )


def _check_values(task: Task, batch: Batch) -> Iterator[Problem]:
    scored = batch.scored
    most, least = scored.sum(axis=1).max(), scored.sum(axis=1).min()
    if least < 1 or most > task.max_scored:
        yield Problem(
            f"an example should have 1 to max_scored = {task.max_scored} scored positions, "
            f"got {least} to {most}",
            fix="give max_scored as a property, or mend targets: every one that is not IGNORE "
            "(real ones: NaN) is scored",
        )
        return
    if task.real_targets and not np.array_equal(np.isnan(batch.targets).all(axis=-1), ~scored):
        yield Problem(
            "a target should be numbers, or NaN in every place, got some of both",
            fix="write NaN into all num_outputs places of what is not scored",
        )
    out_of_range = list(_check_ranges(task, batch))
    if out_of_range:
        yield from out_of_range
        return
    yield from _check_kind(task, batch)
    chance = task.chance
    is_number = isinstance(chance, (int, float, np.integer, np.floating))
    if not is_number or not (0 <= chance < 1 and (chance > 0 or task.real_targets)):
        yield Problem(
            f"chance should be between 0 and 1, got {chance!r}",
            fix="the accuracy of a uniform guess among all that can be an answer",
        )
    names = [("token_names", task.token_names, task.num_tokens)]
    if not task.real_targets:
        names.append(("output_names", task.output_names, task.num_outputs))
    for name, given, size in names:
        if len(given) != size:
            yield Problem(
                f"{name} should have {size} names, got {len(given)}", fix="a name for each"
            )
        elif not all(isinstance(each, str) for each in given):
            yield Problem(f"{name} should be texts, got {list(given)[:3]}", fix="str(...) of each")


def _check_ranges(task: Task, batch: Batch, of: str = "") -> Iterator[Problem]:
    """Whether there is an embedding for every token, and a class for every target."""
    for key, values, size, sized_by in (
        ("inputs", batch.inputs, task.num_tokens, "num_tokens"),
        ("targets", batch.targets[batch.scored], task.num_outputs, "num_outputs"),
    ):
        name = f"{of} {key}".strip()
        if values.dtype == np.float32:
            if not np.isfinite(values).all():
                yield Problem(
                    f"{name} should be finite, got {values[~np.isfinite(values)][0]}",
                    fix="look for divisions by zero and overflow, also in the cast to float32",
                )
        elif values.min() < 0 or values.max() >= size:
            yield Problem(
                f"{name} should be in 0 .. {size - 1}, got {values.min()} .. {values.max()}",
                fix=f"count from 0, or mend {sized_by}, which is {size}",
            )
            return


def _check_draws(task: Task, batch: Batch, num_examples: int) -> Iterator[Problem]:
    """Whether examples depend on the generator, and on nothing else."""
    if not _equal(batch, task.sample(generator("check"), num_examples)):
        yield Problem(
            "equal generators give different examples",
            fix="draw everything from the generator that sample gets",
        )
    elif not isinstance(task, Dataset) and _equal(
        batch, task.sample(generator("check again"), num_examples)
    ):
        yield Problem(
            "different generators give equal examples",
            fix="draw everything from the generator that sample gets",
        )
    else:
        yield from _check_one(task, task.sample(generator("check"), 1))


def _check_one(task: Task, batch: Batch) -> Iterator[Problem]:
    """Whether a single example is as any other: slices of one row are easily views of another."""
    problems = list(_check_shapes(task, batch, 1, "one example:"))
    if not problems and np.shares_memory(batch.inputs, batch.targets):
        problems.append(
            Problem("one example: inputs and targets share memory", fix="copy slices: .copy()")
        )
    if not problems:
        problems += _check_ranges(task, batch, "one example:")
    if not problems:
        problems += _check_predictors(task, batch, "one example: ")
    yield from problems


def _check_kind(task: Task, batch: Batch) -> Iterator[Problem]:
    """What pooled, num_documents, next_token and answers_in_inputs promise."""
    ahead = batch.scored[:, :-1]
    if task.pooled and ahead.any():
        yield Problem(
            f"a pooled task should be scored at the last position alone, got position "
            f"{ahead.any(axis=0).argmax()} of {task.input_length}",
            fix="write the target at [:, -1], or leave pooled false",
        )
    if task.num_documents > 1 and not task.pooled:
        yield Problem(
            f"a task of several documents should be pooled, got num_documents = "
            f"{task.num_documents} and pooled false",
            fix="pooled: ClassVar[bool] = True",
        )
    if task.num_documents > 1 and task.input_length % task.num_documents:
        yield Problem(
            f"documents of one input should be of equal length, got {task.num_documents} in "
            f"{task.input_length} positions",
            fix="pad each on the right",
        )
    if task.next_token and (task.num_features or task.real_targets):
        yield Problem(
            "next_token is true, but inputs or targets are no tokens",
            fix="next_token: ClassVar[bool] = False",
        )
    elif task.next_token:
        wrong = ahead & (batch.targets[:, :-1] != batch.inputs[:, 1:])
        if wrong.any():
            row, at = np.argwhere(wrong)[0]
            yield Problem(
                "next_token is true, but a target is not the token that follows it: at position "
                f"{at} it is {batch.targets[row, at]}, then comes {batch.inputs[row, at + 1]}",
                fix="next_token: ClassVar[bool] = False, or let the answer follow its question",
            )
        if ahead.any() and not task.answers_in_inputs:
            yield Problem(
                "an input contains answers, but answers_in_inputs is false",
                fix="let answers_in_inputs say so: bidirectional mixers would read them there",
            )


def _check_predictors(task: Task, batch: Batch, of: str = "") -> Iterator[Problem]:
    shortcuts = task.shortcuts(batch)
    is_dict = isinstance(shortcuts, dict)
    strange = [name for name in shortcuts if not isinstance(name, str)] if is_dict else []
    if strange or not is_dict:
        got = f"the name {strange[0]!r}" if strange else type(shortcuts).__name__
        yield Problem(
            f"shortcuts should be predictions by name, got {got}",
            fix='{"last token": batch.inputs}, say; without any it is empty: {}',
        )
        return
    predictors = {"oracle": task.oracle(batch), **shortcuts}
    if predictors["oracle"] is None:
        del predictors["oracle"]
    for name, predictions in predictors.items():
        shape = getattr(predictions, "shape", type(predictions).__name__)
        if shape != batch.targets.shape:
            yield Problem(
                f"{of}{name} should predict {batch.targets.shape}, got {shape}",
                fix="an array with the shape of the targets; what is not scored is not read",
            )
        elif name == "oracle" and task.determined:
            got = accuracy(predictions, batch, task.tolerance)
            if got < 1:
                yield Problem(
                    f"{of}the oracle should be exact, got {got:.1%}",
                    fix="mend it or the targets; where targets are drawn: stochastic = True; where "
                    "inputs leave several answers: determined False; where nobody knows a rule: "
                    "return None",
                )
            elif not np.array_equal(
                predictions[batch.scored], task.oracle(_blinded(task, batch))[batch.scored]
            ):
                yield Problem(
                    "the oracle should read the inputs alone, and reads the targets",
                    fix="work the answer out from batch.inputs; where it is scored may be read",
                )


def _blinded(task: Task, batch: Batch) -> Batch:
    """The batch with other answers at the same places, read-only as the batch is."""
    targets = batch.targets.copy()
    targets[batch.scored] += 1
    if not task.real_targets:
        targets[batch.scored] %= task.num_outputs
    targets.flags.writeable = False
    return batch._replace(targets=targets)


def _check_distribution(task: Task, batch: Batch) -> Iterator[Problem]:
    if task.real_targets:
        yield Problem(
            "drawn targets should be classes, got real_targets",
            fix="one of stochastic and real_targets",
        )
        return
    shape = (*batch.targets.shape, task.num_outputs)
    told = {"distribution": task.distribution(batch), **task.simple_distributions(batch)}
    for name, truth in told.items():
        problem = _mistake_of(name, truth, shape, batch)
        if problem is not None:
            yield problem


def _mistake_of(name: str, truth: object, shape: tuple[int, ...], batch: Batch) -> Problem | None:
    """What is wrong with the probabilities of a predictor."""
    got = "nothing" if truth is None else getattr(truth, "shape", type(truth).__name__)
    if got != shape:
        return Problem(
            f"{name} should be probabilities {shape}, got {got}",
            fix="what the best predictor (or a simpler one) that reads the inputs says of each",
        )
    likely = truth[batch.scored]
    total = likely.sum(axis=-1)
    if not (likely >= 0).all() or not np.allclose(total, 1, atol=1e-6):
        return Problem(
            f"{name} should be probabilities that sum to 1 at scored positions, got sums "
            f"{total.min():.6g} .. {total.max():.6g}, the least entry {likely.min():.6g}",
            fix="divide by the sum over the last axis",
        )
    impossible = np.take_along_axis(likely, batch.targets[batch.scored][:, None], axis=1) <= 0
    if impossible.any():
        return Problem(
            f"{name} says that a target is impossible, at {impossible.mean():.1%} of the scored "
            "positions",
            fix="it has to allow for everything that sample can draw",
        )
    return None


def _check_edit(task: Task, batch: Batch) -> Iterator[Problem]:
    edit = task.edit(batch, generator("check edit"))
    if edit is None:
        return
    if not isinstance(edit, Edit):
        yield Problem(
            f"edit should be an Edit, got {type(edit).__name__}",
            fix="return Edit(evidence, distractor), or None where there is no context to edit",
        )
        return
    problems = []
    for name, edited in edit._asdict().items():
        problems += _check_shapes(task, edited, len(batch.inputs), f"edit: {name}")
        if not problems and not np.array_equal(edited.scored, batch.scored):
            problems.append(
                Problem(
                    f"edit: {name} is scored at other positions than the batch",
                    fix="change tokens in place; move nothing",
                )
            )
        if not problems:
            problems += _check_ranges(task, edited, f"edit: {name}")
    again = task.edit(batch, generator("check edit"))
    if not problems and not all(map(_equal, edit, again)):
        problems.append(
            Problem(
                "edit: equal generators give different edits",
                fix="draw everything from the generator that edit gets",
            )
        )
    if problems:
        yield from problems
        return
    same = hits(edit.evidence.targets, batch, task.tolerance)[batch.scored]
    if same.any():
        yield Problem(
            f"edit: the evidence changed, and a target did not ({same.mean():.1%} of them)",
            fix="change what every answer rests on, real ones by more than the tolerance",
        )
    if not np.array_equal(edit.distractor.targets, batch.targets, equal_nan=task.real_targets):
        yield Problem(
            "edit: only a distractor changed, and yet a target did",
            fix="change nothing that an answer rests on; where all matters, nothing",
        )
    for name, edited in edit._asdict().items():
        predictions = task.oracle(edited) if task.determined else None
        if predictions is not None and accuracy(predictions, edited, task.tolerance) < 1:
            yield Problem(
                f"edit: the oracle disagrees with the targets of {name}, in "
                f"{1 - accuracy(predictions, edited, task.tolerance):.1%} of them",
                fix="edited inputs have to obey the task's rule",
            )


def _equal(one: Batch, other: Batch) -> bool:
    return one.info.keys() == other.info.keys() and all(
        np.array_equal(a, b, equal_nan=a.dtype == np.float32)
        for a, b in zip(one.arrays, other.arrays, strict=True)
    )
