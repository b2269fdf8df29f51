"""Run-steps a second of whole trainings: in cohorts, and one run after another; a part of `orchid
bench cohort`.

A step is the whole of it: examples, forward and backward pass, optimiser; runs are evaluated once,
at the end. Starting a process for each run, as harnesses without cohorts do, would cost the other
side more.

On a CPU each side has two workers of one thread, as the local executor has on two cores. A
worker's runs are one cohort of the planner's, whose size falls with the shape; a shape whose
cohorts are of one run is left out, since both sides would do the same.
On a GPU, if there is one, each side has one worker, and the cohort is of 64 runs, of which the
other side trains a few.
"""

from __future__ import annotations

import math
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch

from ablations.executors import worker
from ablations.plan import cohort_size
from harness.bench import Ratio, machine, ratio_of
from harness.foundation.config import parse, to_data
from harness.spec import RunSpec

WORKERS, REPETITIONS = 2, 3
SHAPES = ((32, 32, 16), (64, 128, 16), (128, 96, 16))  # width, length, batch
MIXERS = ("attention", "orchid")
WANTED = 1.6  # at the first shape; elsewhere, not slower
PER_COHORT = 2**22  # numbers (members x batch x length x width x steps) that it goes through
LEAST_STEPS = 4

GPU_SHAPE, GPU_MEMBERS, GPU_STEPS, GPU_WANTED = (64, 128, 64), 64, 200, 15.0
GPU_ALONE = 4  # runs of the other side: all 64 would take minutes


class Case(NamedTuple):
    """What a worker trains. alone: how many of its runs one after another."""

    mixer: str
    shape: tuple[int, int, int]
    members: int
    steps: int
    alone: int
    wanted: float


def measure(members: int = 16) -> dict[str, Any]:
    """members: the most runs that each worker of a CPU trains."""
    rows = _rows(_on_cpu(members), "cpu", WORKERS)
    if torch.cuda.is_available():
        rows += _rows(_on_gpu(), "cuda", 1)
    return {**machine(), "threads": 1, "members": members, "rows": rows}


def _on_cpu(members: int) -> Iterator[Case]:
    for shape in SHAPES:
        for mixer in MIXERS:
            size = min(members, cohort_size(_spec(mixer, shape, LEAST_STEPS, 0)))
            if size > 1:
                steps = max(LEAST_STEPS, PER_COHORT // (size * math.prod(shape)))
                wanted = WANTED if shape == SHAPES[0] else 1.0
                yield Case(mixer, shape, size, steps, size, wanted)


def _on_gpu() -> Iterator[Case]:
    for mixer in MIXERS:
        yield Case(mixer, GPU_SHAPE, GPU_MEMBERS, GPU_STEPS, GPU_ALONE, GPU_WANTED)


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        "run-steps a second, one run after another and in cohorts, on as many workers of one "
        "thread each",
        f"  {'width, length, batch':<36} {'workers':>7} {'alone':>8} {'cohorts':>8} {'of':>4} "
        f"{'ratio':>6} {'range':>15} {'wanted':>7}",
    ]
    for row, found in zip(result["rows"], ratios(result), strict=True):
        lines.append(
            f"  {_name(row):<36} {row['workers']:7} {row['alone_per_s']:8,.1f} "
            f"{row['cohorts_per_s']:8,.1f} {row['cohort_size']:4} {found.ratio:6.2f} "
            f"{f'{found.low:.2f} to {found.high:.2f}':>15} {row['wanted']:7g}"
        )
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """In cohorts over one after another."""
    return [
        ratio_of(
            f"trainings, {_name(row)}",
            "one after another",
            row["cohorts_each_per_s"],
            row["alone_each_per_s"],
            row["wanted"],
        )
        for row in result["rows"]
    ]


def _name(row: dict[str, Any]) -> str:
    on_gpu = "" if row["device"] == "cpu" else " on the GPU"
    return f"{row['mixer']}, {', '.join(map(str, row['shape']))}{on_gpu}"


def _rows(cases: Iterable[Case], device: str, workers: int) -> list[dict[str, Any]]:
    with _workers(workers, device) as pipes:
        return [{"device": device, "workers": workers, **_row(case, pipes)} for case in cases]


def _row(case: Case, pipes: Sequence[Connection]) -> dict[str, Any]:
    specs = [_spec(case.mixer, case.shape, case.steps, seed) for seed in range(case.members)]
    sides = {"alone": [[spec] for spec in specs[: case.alone]], "cohorts": [specs]}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(REPETITIONS + 1):  # the first is a warm-up
        for name, jobs in sides.items():
            seconds = _train(jobs, pipes)
            if repetition:
                rates[name].append(len(pipes) * sum(map(len, jobs)) * case.steps / seconds)
    return {
        "mixer": case.mixer,
        "shape": case.shape,
        "steps": case.steps,
        "cohort_size": case.members,
        "alone_per_s": statistics.median(rates["alone"]),
        "cohorts_per_s": statistics.median(rates["cohorts"]),
        "alone_each_per_s": rates["alone"],
        "cohorts_each_per_s": rates["cohorts"],
        "wanted": case.wanted,
    }


def _spec(mixer: str, shape: tuple[int, ...], steps: int, seed: int) -> RunSpec:
    width, length, batch = shape
    return parse(
        RunSpec,
        {
            "task": {"name": "associative_recall", "vocab_size": 20, "length": length},
            "model": {"mixer": mixer, "width": width},
            "train": {
                "batch_size": batch, "steps": steps, "eval_every": steps, "warmup_steps": 0,
                "validation_examples": 16, "test_examples": 16,
            },
            "seed": seed,
        },
    )  # fmt: skip


def _train(jobs: Sequence[Sequence[RunSpec]], pipes: Sequence[Connection]) -> float:
    """Seconds until every worker has trained all jobs, one after another."""
    data = [[to_data(spec) for spec in job] for job in jobs]
    start = time.perf_counter()
    for pipe in pipes:
        pipe.send(data)
    for pipe in pipes:
        if failure := pipe.recv():
            raise RuntimeError(failure)
    return time.perf_counter() - start


@contextmanager
def _workers(num: int, device: str) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(num):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, device), daemon=True))
        processes[-1].start()
        pipes.append(ours)
    try:
        yield pipes
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _serve(pipe: Connection, device: str) -> None:
    """The life of a worker: trains what it is sent, answers with what went wrong, if anything."""
    from harness.training.events import Failed

    worker.prepare(1, ())
    while True:
        failures: list[str] = []

        def note(event, failures=failures) -> None:
            if isinstance(event, Failed):
                failures.append(event.message)

        for job in pipe.recv():
            worker.train([parse(RunSpec, data) for data in job], note, device)
        pipe.send("; ".join(failures))
