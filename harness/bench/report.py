"""What a report costs: seconds and peak memory of `orchid report`, in a process of its own, on
ledgers of 50 arms whose numbers are made up and whose plan, selection and claims are not.

No run is trained: an executor draws learning curves, so a ledger of 10,000 runs takes a minute to
write.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ablations
from ablations import runner
from ablations.plan import Cohort
from harness.bench import Ratio, describe, machine, ratio_of
from harness.bench.process import Cost, cost_of
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from harness.spec import RunSpec
from harness.training.events import Event, Finished, Measured, Slice, Started

ARMS, RUNS = 50, 1_000  # runs of a ledger of one selection and ten confirmation seeds
SIZES = (1_000, 10_000)
REPETITIONS = 3
TARGET_RUNS, TARGET_S = 10_000, 20.0
EVALUATIONS = 16  # of three numbers each; with the test, 50 measurements a run
STEPS = 1600
_REPORT = """
import pathlib, sys
from harness.bench.process import peak_bytes
from harness.cli import main
*sys.argv, peak = sys.argv
try:
    main()
finally:
    pathlib.Path(peak).write_text(str(peak_bytes()))
"""
_ABLATION = """
name: made-up
question: How long does a report of many runs take?
base:
  task: {{name: associative_recall, vocab_size: 14, length: 24}}
  model: {{layers: 1, mixer: {{name: orchid}}}}
  train: {{steps: {steps}, batch_size: 32, validation_examples: 64, test_examples: 64}}
factors:
  model.mixer.conditioning:
    correlation: {{name: cross_correlation}}
    magnitude: {{name: magnitude}}
    constant: {{name: magnitude, input: constant}}
    shuffled: {{name: magnitude, input: shuffled}}
    static: {{name: static}}
  model.width: [8, 10, 12, 14, 16, 18, 20, 22, 24, 26]
nuisance:
  train.lr: [1e-4, 2e-4, 4e-4, 7e-4, 1e-3, 2e-3, 4e-3, 7e-3, 1e-2, 2e-2]
seeds: {{selection: {selection}, confirmation: {confirmation}}}
claims:
  - {{id: input, kind: greater, at_least: 0.05, a: {own}, b: {constant}}}
  - {{id: order, kind: greater, a: {own}, b: {shuffled}}}
  - {{id: sooner, kind: less, metric: steps_to_solve, a: {own}, b: {static}}}
"""


def measure(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Each size: seconds, CPU seconds, peak memory and page of `orchid report`, over interleaved
    repetitions. Raises HarnessError for a size that is no multiple of 1,000."""
    with tempfile.TemporaryDirectory() as top:
        folders = {size: write_ledger(Path(top) / str(size), size) for size in sizes}
        peak = Path(top) / "peak"
        costs: dict[int, list[Cost]] = {size: [] for size in sizes}
        peaks: dict[int, list[int]] = {size: [] for size in sizes}
        for _ in range(REPETITIONS):
            for size, folder in folders.items():
                command = [sys.executable, "-c", _REPORT, "report", str(folder), str(peak)]
                costs[size].append(cost_of(command))
                peaks[size].append(int(peak.read_text()))
        rows = [_row(size, costs[size], max(peaks[size]), folders[size]) for size in sizes]
    return {**machine(), "arms": ARMS, "rows": rows}


def _row(num_runs: int, costs: Sequence[Cost], peak: int, folder: Path) -> dict[str, Any]:
    cpu_s = statistics.median(cost.cpu_s for cost in costs)
    return {
        "runs": num_runs,
        "seconds": statistics.median(cost.seconds for cost in costs),
        "cpu_s": cpu_s,
        "peak_bytes": peak,
        "page_bytes": (folder / "report.html").stat().st_size,
        "ms_per_run": cpu_s / num_runs * 1e3,
        "each_s": [cost.seconds for cost in costs],
        "each_cpu_s": [cost.cpu_s for cost in costs],
    }


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        describe(result),
        f"orchid report, {result['arms']} arms, 50 measurements a run, a fresh process",
        f"  {'runs':>7} {'seconds':>8} {'CPU s':>7} {'peak MB':>8} {'page MB':>8} {'ms a run':>9}",
    ]
    lines += [
        f"  {row['runs']:7,} {row['seconds']:8.1f} {row['cpu_s']:7.1f} "
        f"{row['peak_bytes'] / 1e6:8.0f} {row['page_bytes'] / 1e6:8.2f} {row['ms_per_run']:9.2f}"
        for row in result["rows"]
    ]
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """A run's CPU time at the first size over that at the others; what is wanted of 10,000 runs
    over what they take."""
    first, *others = result["rows"]
    out = [
        ratio_of(
            f"CPU time of a run among {row['runs']:,}",
            f"among {first['runs']:,}",
            [cpu_s / first["runs"] for cpu_s in first["each_cpu_s"]],
            [cpu_s / row["runs"] for cpu_s in row["each_cpu_s"]],
        )
        for row in others
    ]
    for row in result["rows"]:
        if row["runs"] == TARGET_RUNS:
            what, than = f"report of {TARGET_RUNS:,} runs", f"{TARGET_S:g} s"
            out.append(ratio_of(what, than, [TARGET_S] * len(row["each_s"]), row["each_s"], 1.0))
    return out


def write_ledger(folder: Path, num_runs: int) -> Path:
    """A ledger of that many runs, all of them ended, as `orchid run` writes it."""
    seeds, rest = divmod(num_runs, RUNS)
    if rest or not seeds:
        raise HarnessError(f"got {num_runs} runs", fix=f"a multiple of {RUNS:,}")
    arms = {name: f'"conditioning={name}, width=26"' for name in ("constant", "shuffled", "static")}
    arms["own"] = '"conditioning=correlation, width=26"'
    text = _ABLATION.format(steps=STEPS, selection=seeds, confirmation=10 * seeds, **arms)
    folder.mkdir(exist_ok=True)
    file = folder / "made-up.yaml"
    file.write_text(text)
    with contextlib.redirect_stderr(io.StringIO()):
        runner.run(ablations.load(str(file)), out=folder, engine=_MadeUp())
    return folder


class _MadeUp:
    """An executor that draws what a training would have measured."""

    name, device, num_workers = "made up", "cpu", 1

    def __enter__(self) -> _MadeUp:
        return self

    def __exit__(self, *exception) -> None:
        pass

    def worker_memory(self) -> None:
        return None

    def execute(self, cohorts: Sequence[Cohort], emit: Callable[[Event], None]) -> None:
        for cohort in cohorts:
            for spec in cohort.specs:
                _draw(spec, emit)


def _draw(spec: RunSpec, emit: Callable[[Event], None]) -> None:
    """Curves that rise to a level and at a time which the model and the seed decide."""
    rng, run_id = generator("bench report", spec.run_id), spec.run_id
    width = spec.model.layer_list[0].width
    final = float(np.clip(0.35 + width / 40 + rng.normal(0, 0.03), 0, 1))
    middle = 900 * rng.lognormal(0, 0.2) * 10 ** (0.3 * abs(np.log10(spec.train.lr / 2e-3)))
    steps = np.linspace(STEPS / EVALUATIONS, STEPS, EVALUATIONS).astype(int).tolist()
    split = "selection" if spec.purpose == "selection" else "validation"
    emit(Started(run_id))
    solved, accuracy = None, 0.0
    for step in steps:
        accuracy = final / (1 + float(np.exp(-(step - middle) / 150)))
        if accuracy > 0.9 and solved is None:
            solved = step
        emit(Measured(run_id, step, "train", {"loss": 2 * (1.02 - accuracy)}))
        emit(Measured(run_id, step, split, {"accuracy": accuracy, "loss": 2 * (1.03 - accuracy)}))
    loss = 2 * (1.03 - accuracy)
    emit(Measured(run_id, STEPS, "test", {"accuracy": accuracy, "loss": loss}))
    slices = tuple(Slice("distance", d, accuracy, 16, loss) for d in range(1, 21, 2))
    about = {"device": "made up", "threads": 1, "cohort_size": 1, "cohort": [run_id], "plugins": {}}
    emit(Finished(run_id, STEPS, 10.0 + 2 * float(rng.random()), solved, slices, about, {}))
