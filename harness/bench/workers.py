"""Two local workers against one: the same grid of equal cohorts, CPU-bound, one thread each.

Both executors are the real one, and their workers have trained before the clock runs; start-up is
stated by itself. What keeps the ratio under two is told apart: CPU time that grows when both cores
work (memory bandwidth, clock rate), workers that wait for a core that something else has, and
workers that have nothing to do (the driver, an uneven last wave).
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from ablations.executors.local import Local
from ablations.plan import Cohort, estimate_s
from harness.bench import Ratio, ratio_of
from harness.foundation.config import parse
from harness.spec import RunSpec
from harness.training.events import Event, Failed

NUM_COHORTS, MEMBERS, REPETITIONS = 8, 4, 5
STEPS = {"attention": 30, "orchid": 15}  # about half a second a cohort
WANTED = 1.85


class Spent(NamedTuple):
    """Seconds of one training of the grid.

    cpu_s, waited_s: of the workers, at work and waiting for a core; None where the system does not
    say. driver_s: CPU time of the driver, its threads included.
    """

    wall_s: float
    driver_s: float
    cpu_s: float | None
    waited_s: float | None


def measure() -> dict[str, Any]:
    """rows: a grid of one mixer each. Repetitions of one and of two workers take turns."""
    with ExitStack() as stack:
        executors, start_s = {}, {}
        for workers in (1, 2):
            engine = stack.enter_context(Local(workers=workers, device="cpu", plugins=()))
            clock = time.perf_counter()
            _train(engine, [_cohort("attention", 1, index) for index in range(workers)])
            executors[workers], start_s[workers] = engine, time.perf_counter() - clock
        rows = [_row(mixer, executors) for mixer in STEPS]
    return {"start_s": start_s, "rows": rows}


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    start = " and ".join(f"{seconds:.1f} s" for seconds in result["start_s"].values())
    lines = [
        f"one and two local workers on {NUM_COHORTS} cohorts of {MEMBERS} runs; starting them, "
        f"not counted, took {start}",
        f"  {'':<12} {'workers':>7} {'wall s':>7} {'CPU s':>7} {'waiting':>8} {'idle':>6} "
        f"{'driver':>7}",
    ]
    for row in result["rows"]:
        for workers in ("one", "two"):
            parts = summary(row[workers], {"one": 1, "two": 2}[workers])
            lines.append(
                f"  {row['mixer']:<12} {workers:>7} {parts['wall_s']:7.2f} "
                + (
                    f"{parts['cpu_s']:7.2f} {parts['waiting']:8.1%} {parts['idle']:6.1%} "
                    if "cpu_s" in parts
                    else f"{'not known':>23} "
                )
                + f"{parts['driver']:7.1%}"
            )
    lines.append("  waiting: for a core; idle: neither; driver: its CPU time; of the wall time")
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Wall time, and what of it is the machine's: CPU time for the same work, one core and two;
    wall time less the time that workers waited for a core, as on a machine with nothing else."""
    found = []
    for row in result["rows"]:
        one, two = ([Spent(**each) for each in row[workers]] for workers in ("one", "two"))
        name = f"two workers, {row['mixer']}"
        walls = [each.wall_s for each in one], [each.wall_s for each in two]
        found.append(ratio_of(name, "one", *walls, WANTED))
        if any(each.cpu_s is None or each.waited_s is None for each in (*one, *two)):
            continue
        alone = [each.wall_s - each.waited_s for each in one]
        both = [each.wall_s - each.waited_s / 2 for each in two]
        found.append(ratio_of(f"{name}, waiting for a core not counted", "one", alone, both))
        cpu = [each.cpu_s for each in one], [each.cpu_s for each in two]
        found.append(ratio_of(f"{name}, work a CPU second", "one", *cpu))
    return found


def summary(repetitions: Sequence[dict[str, Any]], workers: int) -> dict[str, float]:
    """Medians: seconds, and shares of the workers' wall time (of the driver: of its own)."""
    each = [Spent(**found) for found in repetitions]
    out = {
        "wall_s": statistics.median(s.wall_s for s in each),
        "driver": statistics.median(s.driver_s / s.wall_s for s in each),
    }
    if all(s.cpu_s is not None and s.waited_s is not None for s in each):
        out["cpu_s"] = statistics.median(s.cpu_s for s in each)
        waiting = [s.waited_s / s.wall_s / workers for s in each]
        busy = [s.cpu_s / s.wall_s / workers for s in each]
        out["waiting"] = statistics.median(waiting)
        out["idle"] = statistics.median(
            max(0.0, 1 - a - b) for a, b in zip(waiting, busy, strict=True)
        )
    return out


def _row(mixer: str, executors: dict[int, Local]) -> dict[str, Any]:
    """One grid, trained over and over."""
    found: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
    grid = [_cohort(mixer, MEMBERS, index) for index in range(NUM_COHORTS)]
    for repetition in range(REPETITIONS + 1):  # the first is a warm-up
        for name, workers in (("one", 1), ("two", 2)):
            spent = _train(executors[workers], grid)
            if repetition:
                found[name].append(spent._asdict())
    return {"mixer": mixer, "steps": STEPS[mixer], **found}


def _cohort(mixer: str, members: int, index: int) -> Cohort:
    """Cohorts of equal size and cost; seeds differ."""
    steps = STEPS[mixer]
    spec = parse(
        RunSpec,
        {
            "task": {"name": "associative_recall", "vocab_size": 20, "length": 32},
            "model": {"mixer": mixer, "width": 32},
            "train": {
                "batch_size": 16, "steps": steps, "eval_every": steps, "warmup_steps": 0,
                "validation_examples": 16, "test_examples": 16,
            },
        },
    )  # fmt: skip
    seeds = range(index * members, (index + 1) * members)
    specs = tuple(spec.model_copy(update={"seed": seed}) for seed in seeds)
    return Cohort(specs, estimate_s(specs))


def _train(engine: Local, cohorts: Sequence[Cohort]) -> Spent:
    """Raises RuntimeError if a run fails."""

    def note(event: Event) -> None:
        if isinstance(event, Failed):
            raise RuntimeError(f"a run failed: {event.message}\n{event.traceback}")

    before, cpu, wall = _of_workers(), time.process_time(), time.perf_counter()
    engine.execute(cohorts, note)
    wall, cpu, after = time.perf_counter() - wall, time.process_time() - cpu, _of_workers()
    known = before is not None and after is not None
    worked = [b - a for a, b in zip(before, after, strict=True)] if known else (None, None)
    return Spent(wall, cpu, *worked)


def _of_workers() -> tuple[float, float] | None:
    """CPU seconds of all workers, and seconds that their threads waited for a core (Linux)."""
    cpu = waited = 0.0
    try:
        for process in multiprocessing.active_children():
            folder = Path(f"/proc/{process.pid}")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            for task in (folder / "task").iterdir():
                waited += int((task / "schedstat").read_text().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return None
    return cpu, waited
