"""What there is to see of a task: one example, and what it takes to beat a guess."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tasks.base import Batch, Task, hits, squared_error, surprise
from tasks.stream import Stream

MAX_LINES, MAX_NUMBERS = 12, 8  # of an input of real numbers that are shown
BEST = "best predictor"


class Token(NamedTuple):
    """A position of an example, or a run of equal ones where nothing is scored."""

    name: str  # how the token is written
    target: str = ""  # the answer that is scored here; empty where none is
    count: int = 1  # length of the run


class Shown(NamedTuple):
    """A task as it is shown. Accuracies are in [0, 1].

    example: empty where a `drawing`, lines of text, says more. answers: those of the example in
    order, each with the facts about it. errors: mean squared errors by predictor, oracle
    included, for real targets alone. nats: a target, of the best predictor and of simpler ones, for
    drawn targets alone.
    """

    example: list[Token]
    drawing: list[str]
    answers: list[tuple[str, dict[str, int]]]
    chance: float
    oracle: float | None  # None where there is no exact solver
    shortcuts: dict[str, float]  # by name
    errors: dict[str, float]
    nats: dict[str, float]
    facts: dict[str, float]  # mean over the scored positions that have the fact
    num_examples: int  # behind oracle, shortcuts and facts


def draw(task: Task, batch: Batch, index: int) -> list[Token]:
    """The tokens of one example of the batch, in order."""
    tokens, targets, scored = (row[index] for row in (batch.inputs, batch.targets, batch.scored))
    names = task.token_names
    answers = [
        task.output_names[target] if is_scored else ""
        for target, is_scored in zip(targets, scored, strict=True)
    ]
    out = []
    for (token, answer), run in groupby(zip(tokens, answers, strict=True)):
        count = len(list(run))
        if answer:
            out += [Token(names[token], answer)] * count
        else:
            out.append(Token(names[token], count=count))
    return out


def show(task: Task, *, num_examples: int = 2000, seed: int | str = 0) -> Shown:
    """Measures the oracle, the shortcuts and the facts on examples of the task's test stream.

    Reads block by block, so that long inputs need no more memory than the stream does.
    """
    stream = Stream(task, seed, "test")
    if stream.size is not None:
        num_examples = min(num_examples, stream.size)
    right: dict[str, int] = defaultdict(int)
    error: dict[str, float] = defaultdict(float)
    nats: dict[str, float] = defaultdict(float)
    facts: dict[str, list[np.ndarray]] = defaultdict(list)
    num_scored = 0
    for start in range(0, num_examples, stream.block_size):
        batch = stream.take(start, min(stream.block_size, num_examples - start))
        scored, oracle = batch.scored, task.oracle(batch)
        count = int(scored.sum())
        num_scored += count
        predictors = {f"shortcut {name}": guess for name, guess in task.shortcuts(batch).items()}
        if oracle is not None:
            predictors["oracle"] = oracle
        for name, predictions in predictors.items():
            right[name] += int(hits(predictions, batch, task.tolerance).sum())
            if task.real_targets:
                error[name] += count * squared_error(predictions, batch)
        if task.stochastic:
            told = {BEST: task.distribution(batch), **task.simple_distributions(batch)}
            for name, probabilities in told.items():
                nats[name] += count * surprise(probabilities, batch)
        for name, values in batch.info.items():
            facts[name].append(values[scored & (values >= 0)])
    first = stream.take(0, 1)
    drawing = task.drawing(first, 0) or []
    oracle = right.pop("oracle", None)
    return Shown(
        example=[] if drawing or task.num_features else draw(task, first, 0),
        drawing=drawing or (_numbers(first.inputs[0]) if task.num_features else []),
        answers=_answers(task, first),
        chance=task.chance,
        oracle=None if oracle is None else oracle / num_scored,
        shortcuts={_short(name): count / num_scored for name, count in right.items()},
        errors={_short(name): total / num_scored for name, total in error.items()},
        nats={name: total / num_scored for name, total in nats.items()},
        facts={
            name: float(known.mean())
            for name, parts in facts.items()
            if len(known := np.concatenate(parts))
        },
        num_examples=num_examples,
    )


def _answers(task: Task, batch: Batch) -> list[tuple[str, dict[str, int]]]:
    """The answers of a batch's first example, and what is known about each."""
    out = []
    for position in np.flatnonzero(batch.scored[0]):
        target = batch.targets[0, position]
        text = _vector(target) if task.real_targets else task.output_names[target]
        facts = {name: int(values[0, position]) for name, values in batch.info.items()}
        out.append((text, {name: value for name, value in facts.items() if value >= 0}))
    return out


def _numbers(features: np.ndarray) -> list[str]:
    """The first positions of an input (L, F), a line each."""
    lines = [_vector(row) for row in features[:MAX_LINES]]
    rest = len(features) - len(lines)
    return [*lines, f"... and {rest} more positions"] if rest else lines


def _vector(numbers: np.ndarray) -> str:
    shown = " ".join(f"{number:.2f}" for number in numbers[:MAX_NUMBERS])
    if len(numbers) == 1:
        return shown
    rest = len(numbers) - MAX_NUMBERS
    return f"({shown} ... {rest} more)" if rest > 0 else f"({shown})"


def _short(name: str) -> str:
    return name.removeprefix("shortcut ")
