"""A grid of 24 runs from the command to its report: where the wall time goes.

`orchid run` trains it in a process of its own, as a user's command would. Nothing is added to that
process: what it leaves in the ledger (when runs ended, their seconds by part) and when its files
were last written say what the time went into. Workers stand side by side, so every part is the
mean over them, and the parts of one worker follow one another:

start-up: from the process's start until the worker's first cohort begins; the parts of cohorts,
see `harness.training.clock`; handing on: between two cohorts; idle: from the worker's last run
until the last run of all; ledger: until it is closed; report: until the process has ended.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ablations.ledger import FILE, open_for_reading
from harness.bench import Ratio, describe, machine
from harness.foundation.errors import HarnessError
from harness.training.clock import PARTS

MIXERS = ("attention", "orchid", "hyena", "long_conv", "base_conv", "short_conv")
SEEDS, STEPS, WORKERS = 4, 1000, 2
WANTED = 0.9  # share of training steps, at least
UNEXPLAINED = 0.03  # share of the time that may lie between two cohorts

_GRID = """
name: grid
question: Where does the time of a grid go?
base:
  task: {{name: associative_recall, length: 32}}
  model: {{width: 32, layers: 2, mixer: attention}}
  train: {{steps: {steps}, warmup_steps: {warmup}}}
factors:
  model.mixer: [{mixers}]
seeds: {{confirmation: {seeds}}}
"""


def text(steps: int = STEPS, mixers: Sequence[str] = MIXERS) -> str:
    """The ablation, in YAML."""
    names, warmup = ", ".join(mixers), min(100, steps)
    return _GRID.format(steps=steps, warmup=warmup, mixers=names, seeds=SEEDS)


class Span(NamedTuple):
    """A cohort in a worker: seconds since the process's start, and seconds of it by part."""

    start: float
    end: float
    seconds: dict[str, float]


def measure(steps: int = STEPS, mixers: Sequence[str] = MIXERS) -> dict[str, Any]:
    """Trains the grid once. Raises HarnessError if the command fails, or if the time of the
    cohorts does not explain that of their workers."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "grid.yaml", Path(folder) / "out"
        path.write_text(text(steps, mixers))
        begun = time.time()
        _run([str(path), "--out", str(out), "--executor", "local", "--workers", str(WORKERS)])
        whole = time.time() - begun
        closed = (out / FILE).stat().st_mtime - begun
        workers = in_workers(_cohorts(out, begun), WORKERS)
    parts = parts_of(workers, closed, whole)
    if abs(parts["handing on"]) > UNEXPLAINED * whole:
        raise HarnessError(
            f"{parts['handing on']:.1f} s of {whole:.1f} s a worker are in no part of a cohort"
        )
    return {
        **machine(),
        "threads": 1,  # of a worker
        "conditions": len(mixers),
        "seeds": SEEDS,
        "steps": steps,
        "workers": WORKERS,
        "wall_s": whole,
        "parts": parts,
    }


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    runs, whole = result["conditions"] * result["seeds"], result["wall_s"]
    lines = [
        describe(result),
        f"{runs} runs of {result['steps']:,} steps ({result['conditions']} conditions x "
        f"{result['seeds']} seeds) on {result['workers']} workers, from the command to its report:",
        f"{whole:.1f} s of wall time",
        "",
        f"  {'part':<12} {'seconds':>8} {'share':>7}",
    ]
    for name, seconds in result["parts"].items():
        wanted = f"  (wanted: {WANTED:.0%})" if name == "steps" else ""
        lines.append(f"  {name:<12} {seconds:8.2f} {seconds / whole:7.1%}{wanted}")
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """The share of training steps; one repetition, so without a spread."""
    share = result["parts"]["steps"] / result["wall_s"]
    return [Ratio("training steps of a grid", "its wall time", share, share, share, WANTED)]


def in_workers(cohorts: Sequence[Span], num: int) -> list[list[Span]]:
    """Which worker trained which: in the order of their starts, each by the one that has been
    waiting longest."""
    workers: list[list[Span]] = [[] for _ in range(num)]
    for cohort in sorted(cohorts, key=lambda span: span.start):
        min(workers, key=lambda spans: spans[-1].end if spans else 0.0).append(cohort)
    return workers


def parts_of(workers: Sequence[Sequence[Span]], closed: float, whole: float) -> dict[str, float]:
    """Seconds of wall time by part, means over workers; they add up to `whole`.

    closed: when the ledger was last written. Both are seconds since the process's start.
    """
    last = max(spans[-1].end for spans in workers)
    sums = dict.fromkeys(("start-up", *PARTS, "handing on", "idle"), 0.0)
    for spans in workers:
        sums["start-up"] += spans[0].start
        for span in spans:
            for part, seconds in span.seconds.items():
                sums[part] += seconds
        sums["handing on"] += sum(b.start - a.end for a, b in itertools.pairwise(spans))
        sums["idle"] += last - spans[-1].end
    means = {part: total / len(workers) for part, total in sums.items()}
    return {**means, "ledger": closed - last, "report": whole - closed}


def _run(words: Sequence[str]) -> None:
    command = [sys.executable, "-c", "from harness.cli import main; main()", "run", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"orchid run has ended with {done.returncode}: {done.stderr.strip()}")


def _cohorts(folder: Path, begun: float) -> list[Span]:
    """A cohort ends with its last run, and has begun as long before as its members' seconds add
    up to. Its members are those of one arm with the same share of one set-up."""
    db = open_for_reading(folder)
    rows = db.execute(
        "SELECT condition_id, ended_at, seconds, json_extract(provenance, '$.cohort_size') "
        "FROM runs JOIN plan USING (run_id)"
    ).fetchall()
    db.close()
    cohorts: dict[tuple, list[tuple[float, dict[str, float]]]] = {}
    for arm, ended_at, written, size in rows:
        seconds = json.loads(written)
        cohorts.setdefault((arm, seconds["setup"], size), []).append((ended_at, seconds))
    spans = []
    for (_, _, size), members in cohorts.items():
        if len(members) != size:
            raise HarnessError(f"{len(members)} runs ended of a cohort of {size}")
        sums = {part: sum(seconds[part] for _, seconds in members) for part in PARTS}
        end = max(ended_at for ended_at, _ in members) - begun
        spans.append(Span(end - sum(sums.values()), end, sums))
    return spans
