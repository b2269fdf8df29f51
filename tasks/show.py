"""What there is to see of a task: one example, and what it takes to beat a guess."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tasks.base import Batch, Task
from tasks.stream import Stream


class Token(NamedTuple):
    """A position of an example, or a run of equal ones where nothing is scored."""

    name: str  # how the token is written
    target: str = ""  # the answer that is scored here; empty where none is
    count: int = 1  # length of the run


class Shown(NamedTuple):
    """A task as it is shown. Accuracies are in [0, 1]."""

    example: list[Token]
    chance: float
    oracle: float
    shortcuts: dict[str, float]  # by name
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
    hits: dict[str, int] = defaultdict(int)
    facts: dict[str, list[np.ndarray]] = defaultdict(list)
    num_scored = 0
    for start in range(0, num_examples, stream.block_size):
        batch = stream.take(start, min(stream.block_size, num_examples - start))
        scored, oracle = batch.scored, task.oracle(batch)
        num_scored += int(scored.sum())
        hits["oracle"] += int((oracle == batch.targets)[scored].sum())
        for name, predictions in task.shortcuts(batch).items():
            hits[f"shortcut {name}"] += int((predictions == batch.targets)[scored].sum())
        for name, values in batch.info.items():
            facts[name].append(values[scored & (values >= 0)])
    return Shown(
        example=draw(task, stream.take(0, 1), 0),
        chance=task.chance,
        oracle=hits.pop("oracle") / num_scored,
        shortcuts={name.removeprefix("shortcut "): hit / num_scored for name, hit in hits.items()},
        facts={name: float(np.concatenate(parts).mean()) for name, parts in facts.items()},
        num_examples=num_examples,
    )
