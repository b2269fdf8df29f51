"""Run-steps a second of whole trainings: in the planner's cohorts, and one run after another; a
part of `orchid bench cohort`.

Each side has two workers of one thread, as the local executor has on two cores. A step is the
whole of it: examples, forward and backward pass, optimiser; runs are evaluated once, at the end.
A worker's runs are one cohort of the planner's, whose size falls with the shape; a shape whose
cohorts are of one run is left out, since both sides would do the same.
Starting a process for each run, as harnesses without cohorts do, would cost the other side more.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from ablations.executors import worker
from ablations.plan import cohort_size, cohorts
from harness.bench import Ratio, machine, ratio_of
from harness.foundation.config import parse, to_data
from harness.spec import RunSpec

WORKERS, REPETITIONS = 2, 3
SHAPES = ((32, 32, 16), (64, 128, 16), (128, 96, 16))  # width, length, batch
MIXERS = ("attention", "orchid")
WANTED = 1.6  # at the first shape; elsewhere, not slower
PER_COHORT = 2**22  # numbers (members x batch x length x width x steps) that it goes through
LEAST_STEPS = 4


def measure(members: int = 16) -> dict[str, Any]:
    """members: the most runs that each worker trains."""
    rows = []
    with _workers() as pipes:
        for shape in SHAPES:
            for mixer in MIXERS:
                size = min(members, cohort_size(_spec(mixer, shape, LEAST_STEPS, 0)))
                if size > 1:
                    rows.append(_row(mixer, shape, size, pipes))
    return {**machine(), "threads": 1, "workers": WORKERS, "members": members, "rows": rows}


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"run-steps a second of {result['workers']} workers of {result['threads']} thread: "
        "as many runs each as in a cohort, one after another, and in the planner's cohorts",
        f"  {'width, length, batch':<36} {'alone':>8} {'cohorts':>8} {'of':>4} {'ratio':>6} "
        f"{'range':>13} {'wanted':>7}",
    ]
    for row, found in zip(result["rows"], ratios(result), strict=True):
        lines.append(
            f"  {_name(row):<36} {row['alone_per_s']:8,.1f} {row['cohorts_per_s']:8,.1f} "
            f"{row['cohort_size']:4} {found.ratio:6.2f} {found.low:5.2f} to {found.high:.2f} "
            f"{row['wanted']:7g}"
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
    return f"{row['mixer']}, {', '.join(map(str, row['shape']))}"


def _row(mixer: str, shape: tuple[int, ...], members: int, pipes: Sequence[Connection]) -> dict:
    width, length, batch = shape
    steps = max(LEAST_STEPS, PER_COHORT // (members * width * length * batch))
    specs = [_spec(mixer, shape, steps, seed) for seed in range(members)]
    alone = [[spec] for spec in specs]
    together = [list(cohort.specs) for cohort in cohorts(specs)]
    times: dict[str, list[float]] = {"alone": [], "cohorts": []}
    for repetition in range(REPETITIONS + 1):  # the first is a warm-up
        for name, jobs in (("alone", alone), ("cohorts", together)):
            seconds = _train(jobs, pipes)
            if repetition:
                times[name].append(WORKERS * members * steps / seconds)
    return {
        "mixer": mixer,
        "shape": shape,
        "steps": steps,
        "cohort_size": max(map(len, together)),
        "alone_per_s": statistics.median(times["alone"]),
        "cohorts_per_s": statistics.median(times["cohorts"]),
        "alone_each_per_s": times["alone"],
        "cohorts_each_per_s": times["cohorts"],
        "wanted": WANTED if shape == SHAPES[0] else 1.0,
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
def _workers() -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(WORKERS):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs,), daemon=True))
        processes[-1].start()
        pipes.append(ours)
    try:
        yield pipes
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _serve(pipe: Connection) -> None:
    """The life of a worker: trains what it is sent, answers with what went wrong, if anything."""
    from harness.training.events import Failed

    worker.prepare(1, ())
    while True:
        failures: list[str] = []

        def note(event, failures=failures) -> None:
            if isinstance(event, Failed):
                failures.append(event.message)

        for job in pipe.recv():
            worker.train([parse(RunSpec, data) for data in job], note, "cpu")
        pipe.send("; ".join(failures))
