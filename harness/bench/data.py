"""How fast examples are drawn: each generator against its published rule written plainly, one
example at a time, and against a training step that it must not hold up. One thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import tasks
from harness.bench import Ratio, describe, machine, ratio_of, spread
from harness.foundation.config import parse
from harness.foundation.seeding import generator
from harness.spec import RunSpec
from harness.training.cohort import train_cohort
from harness.training.data import TrainingData, examples
from tasks.base import Task

EXAMPLES, REPETITIONS = 1024, 7
PLAIN_S = 0.25  # spent on the plain rule in each repetition


class Generator(NamedTuple):
    """What is timed. published: examples per CPU second of the published code, as measured on
    another machine, and what to reach as a multiple of it."""

    task: Task
    plain: Callable[[Task, np.random.Generator], object]
    published: float
    wanted: float


def measure() -> dict[str, Any]:
    """Examples per CPU second of every generator, and the share of a training step."""
    torch.set_num_threads(1)
    rows = [_row(name, each) for name, each in _generators().items()]
    return {**machine(), "rows": rows, "steps": [_share(name) for name in STEPS]}


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        describe(result),
        "examples drawn per CPU second, medians of interleaved repetitions; published: the rate "
        "measured of the published code on another machine",
        f"  {'generator':<38} {'ours':>9} {'plain':>9} {'published':>10} {'ratio to it':>12}",
    ]
    for row in result["rows"]:
        ours, published = row["per_s"], row["published_per_s"]
        lines.append(
            f"  {row['generator']:<38} {ours:9,.0f} {row['plain_per_s']:9,.0f} "
            f"{published:10,.0f} {ours / published:12.0f}"
        )
    lines += ["", "drawing the examples of a training step, CPU time, medians; share and its range"]
    for row in result["steps"]:
        lines.append(
            f"  {row['run']:<46} {row['draw_ms']:7.2f} of {row['step_ms']:8.2f} ms "
            f"{row['share']:6.1%}  {row['low']:.1%} to {row['high']:.1%}"
        )
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Every generator over its plain rule; wanted: as a multiple of the published code's rate,
    which the plain rule stands for."""
    return [
        ratio_of(
            row["generator"],
            "its plain rule",
            row["each_per_s"],
            row["plain_each_per_s"],
            row["wanted"],
        )
        for row in result["rows"]
    ]


def _row(name: str, each: Generator) -> dict[str, Any]:
    rng, task = generator("bench", name), each.task
    ours, plain = [], []
    for repetition in range(REPETITIONS + 1):
        start, n = time.process_time(), 0
        while time.process_time() - start < PLAIN_S:
            task.sample(rng, EXAMPLES)
            n += EXAMPLES
        ours.append(n / (time.process_time() - start))
        start, n = time.process_time(), 0
        while time.process_time() - start < PLAIN_S:
            each.plain(task, rng)
            n += 1
        plain.append(n / (time.process_time() - start))
        if not repetition:  # warm-up
            ours.clear(), plain.clear()
    return {
        "generator": name,
        "per_s": statistics.median(ours),
        "plain_per_s": statistics.median(plain),
        "each_per_s": ours,
        "plain_each_per_s": plain,
        "published_per_s": each.published,
        "wanted": each.wanted,
    }


def _generators() -> dict[str, Generator]:
    get = tasks.get
    return {
        "mqar, V 8192, L 64, 4 pairs": Generator(get("mqar"), plain_mqar, 4220, 50),
        "mqar, V 8192, L 256, 64 pairs": Generator(
            get("mqar", length=256, num_pairs=64), plain_mqar, 2896, 25
        ),
        "the same, filled with other tokens": Generator(
            get("mqar", length=256, num_pairs=64, filler="random"), plain_mqar, 2896, 25
        ),
        "in_context_recall, V 16, L 128": Generator(
            get("in_context_recall"), plain_in_context_recall, 1263, 100
        ),
        "associative_recall, V 20, L 128": Generator(
            get("associative_recall", length=128), plain_associative_recall, 588, 200
        ),
        "listops, official lengths": Generator(get("listops"), plain_listops, 303, 10),
    }


# -- the published rules, one example at a time ---------------------------------------------------


def plain_mqar(task: Task, rng: np.random.Generator) -> np.ndarray:
    """Zoology's rule: permutations of all keys and values, slots drawn by their law; filled with
    zeros, whatever the task is filled with."""
    half, pairs, length = task.vocab_size // 2, task.num_pairs, task.length
    keys = rng.permutation(np.arange(1, half))[:pairs]
    values = rng.permutation(np.arange(half, task.vocab_size))[:pairs]
    slots = (length - 2 * pairs) // 2
    law = np.arange(1, slots + 1) ** (task.power - 1.0)
    chosen = rng.choice(slots, size=pairs, replace=False, p=law / law.sum())
    inputs, targets = np.zeros(length, dtype=np.int64), np.full(length, -100)
    inputs[0 : 2 * pairs : 2], inputs[1 : 2 * pairs : 2] = keys, values
    inputs[2 * pairs + 2 * chosen] = keys
    targets[2 * pairs + 2 * chosen] = values
    return inputs


def plain_in_context_recall(task: Task, rng: np.random.Generator) -> list[int]:
    """MAD's rule: pair by pair, and a value wherever the key has been seen."""
    keys, bound, inputs, targets = task.vocab_size // 2, {}, [], []
    for _ in range(task.length // 2 - 1):
        key = int(rng.choice(keys))
        if key not in bound:
            bound[key] = int(rng.choice(np.arange(keys, task.vocab_size)))
            targets += [-100, -100]
        else:
            targets += [bound[key], -100]
        inputs += [key, bound[key]]
    probe = int(rng.choice(list(bound)))
    return [*inputs, probe, *targets, bound[probe]]


def plain_associative_recall(task: Task, rng: np.random.Generator) -> list[int]:
    """Safari's rule: a fresh map of all keys, pairs with replacement, a key that is present."""
    keys, values = range(1, 1 + task.num_keys), range(1 + task.num_keys, task.vocab_size - 1)
    bound = {key: int(rng.choice(values)) for key in keys}
    inputs = []
    for _ in range(task.num_pairs):
        key = int(rng.choice(keys))
        inputs += [key, bound[key]]
    asked = int(rng.choice(sorted(set(inputs[::2]))))
    return [*inputs, task.vocab_size - 1, asked, bound[asked]]


def plain_listops(task: Task, rng: np.random.Generator) -> int:
    """Long Range Arena's rule: grow trees by recursion until one has an acceptable length."""

    def grow(depth: int):
        if depth == task.max_depth or rng.random() > 0.25:
            return int(rng.integers(10)), 1
        children = [grow(depth + 1) for _ in range(int(rng.integers(2, task.max_args + 1)))]
        return (int(rng.integers(4)), children), 2 + sum(length for _, length in children)

    def value(tree) -> int:
        if isinstance(tree, int):
            return tree
        operator, children = tree
        below = [value(child) for child, _ in children]
        if operator == 2:
            return int(np.median(below))
        return (min(below), max(below), None, sum(below) % 10)[operator]

    while True:
        tree, length = grow(1)
        if task.min_length < length < task.max_length:
            return value(tree)


# -- the share of a training step -----------------------------------------------------------------

STEPS = {
    "associative_recall, L 42, width 32, batch 64": {
        "task": {"name": "associative_recall"},
        "model": {"mixer": "attention", "short_conv": 3},
    },
    "mqar, V 8192, L 64, width 64, batch 64": {
        "task": {"name": "mqar"},
        "model": {"mixer": "attention", "width": 64},
    },
    "in_context_recall, L 127, width 64, batch 64": {
        "task": {"name": "in_context_recall"},
        "model": {"mixer": "hyena", "width": 64},
    },
    "listops, L 1999, width 64, batch 4": {
        "task": {"name": "listops"},
        "model": {"mixer": "orchid", "width": 64},
        "train": {"batch_size": 4},
    },
}
NUM_STEPS, SHARE_REPETITIONS = 8, 3


def _share(name: str) -> dict[str, Any]:
    """Milliseconds of CPU time that a run's examples take a step, and the whole step; medians, and
    the spread of the share."""
    draw, step = zip(*(_once(name) for _ in range(SHARE_REPETITIONS)), strict=True)
    shares = [one / other for one, other in zip(draw, step, strict=True)]
    low, high = spread(shares)
    found = {"draw_ms": statistics.median(draw), "step_ms": statistics.median(step)}
    return {"run": name, **found, "share": statistics.median(shares), "low": low, "high": high}


def _once(name: str) -> tuple[float, float]:
    """Milliseconds of drawing a step's examples, and of the step."""
    short, long = (_run(name, steps) for steps in (NUM_STEPS, 3 * NUM_STEPS))
    source = TrainingData(long)
    start = time.process_time()
    for step in range(long.train.steps):
        examples(long, source.step(step))
    draw = (time.process_time() - start) / long.train.steps
    ends = [time.process_time()]
    for spec in (short, long):  # evaluation costs both the same
        train_cohort([spec], lambda event: None)
        ends.append(time.process_time())
    step = (ends[2] - 2 * ends[1] + ends[0]) / (long.train.steps - short.train.steps)
    return draw * 1e3, step * 1e3


def _run(name: str, steps: int) -> RunSpec:
    data = {"train": {}, **STEPS[name]}
    few = {"warmup_steps": 1, "validation_examples": 4, "test_examples": 4}
    train = {"steps": steps, "eval_every": steps, **few, **data["train"]}
    return parse(RunSpec, data | {"train": train})
