"""What the ablation runner adds to training: driver time and memory a run, the ledger, start-up.

Driver time is CPU time of the driver's process (its threads included), so it does not count
training. Every part runs in a process of its own.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.bench import Ratio, describe, machine, ratio_of
from harness.bench.process import peak_bytes
from harness.training.events import Event, Finished, Measured, Slice, Started

NUM_RUNS = (500, 2000)
NUM_TRAINED = 512
NUM_EVALUATIONS = 8  # of a run
NUM_MEASUREMENTS = 200_000  # into the ledger
REPETITIONS = 3
TARGETS = {"replay": 10.0, "local": 10.0, "ray": 60.0}  # ms of driver time a run
TARGET_MEASUREMENTS, TARGET_START_S = 5_000, 5.0
TINY_RUN = "orchid run, one tiny run and its report"

TINY = """
name: tiny
question: What does the runner add?
base:
  task: {{name: associative_recall, vocab_size: 10, length: 8}}
  model: {{width: 8, layers: 1, mixer: short_conv}}
  train:
    steps: 8
    warmup_steps: 0
    batch_size: 4
    eval_every: 1
    validation_examples: 8
    test_examples: 8
seeds: {{confirmation: {num}}}
"""


def measure(*, with_ray: bool = False) -> dict[str, Any]:
    """Every part, one after the other."""
    executors = ["local", "ray"] if with_ray else ["local"]
    driver = _drivers([("replay", num) for num in NUM_RUNS])
    trained = _drivers([(name, NUM_TRAINED) for name in executors])
    return {
        **machine(),
        "driver": driver,
        "executors": trained,
        "ledger": _ledger(),
        "start": _start(),
    }


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        describe(result),
        "CPU time of the driver, without training",
        "",
        f"  {'runs':<34} {'ms a run':>9} {'wanted':>7} {'peak MB':>8}",
    ]
    for row in (*result["driver"], *result["executors"]):
        wanted = TARGETS[row["engine"]]
        lines.append(f"  {_name(row):<34} {row['ms']:9.2f} {wanted:7g} {row['peak_mb']:8.0f}")
    few, many = result["driver"]
    more = (many["peak_mb"] - few["peak_mb"]) / (many["runs"] - few["runs"]) * 1000
    lines += [f"  memory that a run more takes: {more:.0f} KB", ""]
    found = result["ledger"]
    lines.append(
        f"ledger: {found['per_s']:,.0f} measurements a second (wanted {TARGET_MEASUREMENTS:,}), "
        f"{found['share']:.0%} of what SQLite takes in one transaction"
    )
    lines += ["", f"  {'process':<44} {'seconds':>8} {'range':>15}"]
    for name, each in result["start"].items():
        lines.append(f"  {name:<44} {each['s']:8.2f} {each['low']:7.2f} to {each['high']:.2f}")
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """What is wanted over what is measured, so that above 1 is inside the target; and the ledger's
    rate over SQLite's own."""
    out = []
    for row in (*result["driver"], *result["executors"]):
        wanted, each = TARGETS[row["engine"]], row["each_ms"]
        what = f"driver time of a run, {_name(row)}"
        out.append(ratio_of(what, f"{wanted:g} ms", [wanted] * len(each), each, 1.0))
    ours, plain = result["ledger"]["each_per_s"], result["ledger"]["plain_each_per_s"]
    wanted = [TARGET_MEASUREMENTS] * len(ours)
    out.append(
        ratio_of("ledger", f"{TARGET_MEASUREMENTS:,} measurements a second", ours, wanted, 1.0)
    )
    out.append(ratio_of("ledger", "SQLite in one transaction", ours, plain))
    each = result["start"][TINY_RUN]["each_s"]
    wanted = [TARGET_START_S] * len(each)
    return [*out, ratio_of(TINY_RUN, f"{TARGET_START_S:g} s", wanted, each, 1.0)]


def _name(row: dict[str, Any]) -> str:
    if row["engine"] == "replay":
        return f"{row['runs']:,} replayed, no training"
    return f"{row['runs']:,} trained, {row['engine']} executor"


# -- the driver ------------------------------------------------------------------------------------


def _drivers(jobs: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Each engine with so many runs, over interleaved repetitions: medians."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {job: [] for job in jobs}
    for _ in range(REPETITIONS):
        for job in jobs:
            found[job].append(_alone(*job))
    return [
        {
            "engine": engine,
            "runs": runs,
            "ms": statistics.median(each["ms"] for each in costs),
            "peak_mb": statistics.median(each["peak_mb"] for each in costs),
            "each_ms": [each["ms"] for each in costs],
        }
        for (engine, runs), costs in found.items()
    ]


def _alone(engine: str, runs: int) -> dict[str, float]:
    """`_drive` in a fresh process, whose peak of memory is its own."""
    command = [sys.executable, "-m", "harness.bench.runner", engine, str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _drive(engine: str, runs: int) -> dict[str, float]:
    """An ablation of so many tiny runs: milliseconds a run, peak MB."""
    from ablations import executors, runner
    from ablations.reading import from_document
    from harness.foundation import yaml

    text = TINY.format(num=runs)
    ablation = from_document(yaml.load(text, "tiny.yaml"), text, "smoke", ())
    chosen = Replay() if engine == "replay" else executors.make(engine)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        summary = runner.run(ablation, out=folder, engine=chosen)
        spent = time.process_time() - start
    if summary.counts != {"finished": runs}:
        raise RuntimeError(f"not every run finished: {summary.counts}")
    return {"ms": 1e3 * spent / runs, "peak_mb": peak_bytes() / 2**20}


class Replay:
    """An executor that trains nothing: it reports what a run would."""

    name, device, num_workers = "replay", "cpu", 1

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *exception) -> None: ...

    def worker_memory(self) -> None:
        return None

    def execute(self, cohorts: Sequence, emit: Callable[[Event], None]) -> None:
        for cohort in cohorts:
            for run_id in cohort.run_ids:
                for event in events_of(run_id):
                    emit(event)


def events_of(run_id: str) -> Iterator[Event]:
    """What a run of `NUM_EVALUATIONS` evaluations reports."""
    yield Started(run_id)
    for step in range(1, NUM_EVALUATIONS + 1):
        yield Measured(run_id, step, "train", {"loss": 1 / step})
        yield Measured(run_id, step, "validation", {"loss": 1 / step, "accuracy": 0.5})
    yield Measured(run_id, NUM_EVALUATIONS, "test", {"loss": 0.1, "accuracy": 0.9})
    slices = tuple(Slice("distance", value, 0.9, 8, 0.1) for value in range(8))
    yield Finished(run_id, NUM_EVALUATIONS, 1.0, None, slices, {"device": "cpu", "threads": 1}, {})


# -- the ledger ------------------------------------------------------------------------------------


def _ledger() -> dict[str, Any]:
    """Measurements a second, until they are on the disk; and as a share of SQLite's own rate."""
    ours, plain = [], []
    for _ in range(REPETITIONS):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(_through_the_ledger(Path(folder)))
            plain.append(_straight_in(Path(folder) / "plain.sqlite"))
    rate, plain_rate = statistics.median(ours), statistics.median(plain)
    each = {"each_per_s": ours, "plain_each_per_s": plain}
    return {"per_s": rate, "plain_per_s": plain_rate, "share": rate / plain_rate, **each}


def _through_the_ledger(folder: Path) -> float:
    from ablations.ledger import Ledger

    with Ledger(folder) as ledger:
        start = time.perf_counter()
        for run_id, rows in _measurements():
            ledger.append(Started(run_id))
            for step, value in rows:
                ledger.append(Measured(run_id, step, "validation", {"loss": value}))
            ledger.append(Finished(run_id, len(rows), 1.0, None, (), {}, {}))
        ledger.flush()
        return NUM_MEASUREMENTS / (time.perf_counter() - start)


def _straight_in(path: Path) -> float:
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE measurements (run_id TEXT, split TEXT, metric TEXT, step INTEGER, value REAL,"
        " PRIMARY KEY (run_id, split, metric, step)) WITHOUT ROWID"
    )
    start = time.perf_counter()
    with db:
        for run_id, rows in _measurements():
            db.executemany(
                "INSERT INTO measurements VALUES (?, 'validation', 'loss', ?, ?)",
                [(run_id, *row) for row in rows],
            )
    found = NUM_MEASUREMENTS / (time.perf_counter() - start)
    db.close()
    return found


def _measurements() -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """Runs of fifty measurements each."""
    for run in range(NUM_MEASUREMENTS // 50):
        yield f"{run:016x}", [(step, 1 / step) for step in range(1, 51)]


# -- start-up --------------------------------------------------------------------------------------


def _start() -> dict[str, dict[str, float]]:
    """Seconds from nothing to the end of a process, interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(TINY.format(num=1))
        orchid = [sys.executable, "-c", "from harness.cli import main; main()"]
        times: dict[str, list[float]] = {}
        for repetition in range(REPETITIONS):
            out = ["--out", str(Path(folder) / f"out{repetition}")]
            run = [*orchid, "run", str(path), "--executor", "local", "--workers", "1", *out]
            for name, command in (
                ("import torch", [sys.executable, "-c", "import torch"]),
                (TINY_RUN, run),
                ("orchid run, nothing left to do", run),
                ("orchid status", [*orchid, "status", out[-1]]),
            ):
                start = time.perf_counter()
                subprocess.run(command, capture_output=True, check=True, cwd=folder)
                times.setdefault(name, []).append(time.perf_counter() - start)
    return {
        name: {
            "s": statistics.median(each), "low": min(each), "high": max(each), "each_s": each,
        }
        for name, each in times.items()
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(_drive(sys.argv[1], int(sys.argv[2]))))
