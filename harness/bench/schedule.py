"""A schedule of 100,000 runs on 1,000 GPUs, planned and not trained: do planner and ledger keep up?

The runs are the selection runs of a whole ablation: 50 arms, 20 nuisance settings, 100 seeds.
Cohorts are scheduled by their estimates, the longest first, one on a GPU at a time. Planning, and
planning again from the folder when half of the runs have ended, are each a process of their own.
"""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.bench import Ratio, ratio_of
from harness.bench.process import peak_bytes
from harness.spec import RunSpec
from harness.training.events import Event, Finished, Measured, Started

NUM_SEEDS, WORKERS = 100, 1000
NUM_WHOLE = 500  # runs whose measurements are recorded, all of them
NUM_HELD = 50  # runs whose measurements are weighed
TARGET_S, TARGET_MB = 60.0, 2048.0  # of planning, and of planning again
MINUTE_S = 60.0

_TEXT = """
name: schedule
question: Do planner and ledger keep up with many GPUs?
base:
  task: {{name: associative_recall, vocab_size: 20}}
  model: {{width: 64, layers: 2}}
  train: {{steps: 20000, eval_every: 200}}
factors:
  model.mixer: [attention, base_conv, fnet, h3, hyena, linear_attention, long_conv, orchid,
                retention, s4d]
  task.length: [32, 64, 128, 256, 512]
nuisance: {{train.lr: [1e-4, 3e-4, 1e-3, 3e-3, 1e-2], train.weight_decay: [0.0, 0.01, 0.1, 1.0]}}
seeds: {{selection: {num_seeds}, confirmation: 5}}
"""


def measure() -> dict[str, Any]:
    """first: planning into an empty folder; again: from the folder, half of the runs finished."""
    with tempfile.TemporaryDirectory() as folder:
        first, again = (_alone(part, folder) for part in ("first", "again"))
    return {"workers": WORKERS, "first": first, "again": again}


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    first, again = result["first"], result["again"]
    plan, ledger = first["schedule"], first["ledger"]
    workers = f"{result['workers']:,} GPUs"
    lines = [
        f"{first['runs']:,} runs on {workers}, planned and not trained",
        f"  {'':<34} {'CPU s':>8} {'wall s':>8} {'wanted':>7} {'peak MB':>8} {'wanted':>7}",
    ]
    for name, part in (("plan", first), ("plan again, half finished", again)):
        for step, found in part["steps"].items():
            lines.append(f"  {name + ': ' + step:<34} {found['cpu_s']:8.2f} {found['wall_s']:8.2f}")
        lines.append(
            f"  {name:<34} {part['cpu_s']:8.2f} {part['wall_s']:8.2f} {TARGET_S:7g} "
            f"{part['peak_mb']:8.0f} {TARGET_MB:7g}"
        )
    lines += [
        f"schedule: {plan['cohorts']:,} cohorts of {plan['smallest']} to {plan['largest']}, "
        f"{plan['makespan_s']:,.0f} s; no less than {plan['bound_s']:,.0f} s, so "
        f"{plan['utilisation']:.1%} of the GPUs' time is used",
        f"the largest cohorts, {plan['fewest']:,}, would take {plan['fewest_s']:,.0f} s",
        f"values to record: {plan['values_per_s']:,.0f} a second, {plan['busiest_per_s']:,.0f} in "
        f"the busiest minute; the ledger takes {ledger['per_s']:,.0f}",
        f"held until runs end: {ledger['bytes_per_run'] / 1024:.1f} KB a run, "
        f"{plan['at_start'] * ledger['bytes_per_run'] / 2**20:,.0f} MB for {plan['at_start']:,} "
        "runs that train at the start",
    ]
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Targets against what planning took, the ledger against the schedule, cohorts for the workers
    against the largest ones."""
    first, again = result["first"], result["again"]
    plan, ledger, runs = first["schedule"], first["ledger"], f"{first['runs']:,} runs"
    found = []
    for what, part in ((f"plan of {runs}", first), ("plan again, half finished", again)):
        found.append(ratio_of(what, f"{TARGET_S:g} s", [TARGET_S], [part["wall_s"]], 1.0))
        found.append(ratio_of(what, f"{TARGET_MB:g} MB", [TARGET_MB], [part["peak_mb"]], 1.0))
    taken = [ledger["per_s"]]
    found.append(ratio_of("the ledger", "the schedule", taken, [plan["values_per_s"]], 1.0))
    found.append(ratio_of("the ledger", "its busiest minute", taken, [plan["busiest_per_s"]]))
    gain = [plan["fewest_s"]], [plan["makespan_s"]]
    name = f"cohorts for {result['workers']:,} workers"
    return [*found, ratio_of(name, "the largest cohorts", *gain, 1.0)]


def _alone(part: str, folder: str) -> dict[str, Any]:
    """`_first` or `_again` in a fresh process, whose peak of memory is its own."""
    given = [part, folder, str(NUM_SEEDS), str(WORKERS)]
    command = [sys.executable, "-m", "harness.bench.schedule", *given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


class _Stopwatch:
    """Times the steps of a plan."""

    def __init__(self):
        self.steps: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, step: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = step()
        spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        self.steps[name] = spent
        return result

    def summary(self) -> dict[str, Any]:
        """The steps, their sums, and the most memory that the process has held."""
        sums = {key: sum(s[key] for s in self.steps.values()) for key in ("cpu_s", "wall_s")}
        return {"steps": self.steps, **sums, "peak_mb": peak_bytes() / 2**20}


def _first(folder: Path, num_seeds: int, workers: int) -> dict[str, Any]:
    """Plans, then lets half of the runs end."""
    from ablations.ledger import Ledger

    watch = _Stopwatch()
    ablation, facts = watch("load", lambda: _load(num_seeds))
    with Ledger(folder) as ledger:
        plan = _plan(watch, ledger, ablation, facts, workers)
        summary = watch.summary()
        held = _bytes_held(ledger, plan.pending[:NUM_HELD])
        rate = _let_half_end(ledger, plan.pending)
    found = {"runs": len(plan.runs), "schedule": _schedule(plan.pending, plan.cohorts, workers)}
    return {**summary, **found, "ledger": {"per_s": rate, "bytes_per_run": held}}


def _again(folder: Path, num_seeds: int, workers: int) -> dict[str, Any]:
    """Plans what is left."""
    from ablations.ledger import Ledger

    watch = _Stopwatch()
    ablation, facts = watch("load", lambda: _load(num_seeds))
    with Ledger(folder) as ledger:
        plan = _plan(watch, ledger, ablation, facts, workers)
    if plan.counts["cached"] != len(plan.runs) // 2:
        raise RuntimeError(f"not half of the runs were found finished: {plan.counts}")
    return {**watch.summary(), "counts": plan.counts}


def _load(num_seeds: int):
    """The ablation and the facts of its arms."""
    from ablations.arm_facts import arm_facts
    from ablations.reading import from_document
    from harness.foundation import yaml

    text = _TEXT.format(num_seeds=num_seeds)
    ablation = from_document(yaml.load(text, "schedule.yaml"), text, "smoke", ())
    nuisances = ablation.nuisances
    return ablation, {a.condition_id: arm_facts(a, None, nuisances) for a in ablation.arms}


def _plan(watch: _Stopwatch, ledger, ablation, facts, workers: int):
    """As `ablations.runner.run` plans."""
    from ablations.todo import make_plan

    statuses = watch("read the ledger", ledger.statuses)
    plan = watch("plan", lambda: make_plan(ablation, statuses, {}, "cuda", workers=workers))
    watch("write", lambda: ledger.write_plan(ablation, facts, plan.runs, plan.to_choose))
    return plan


def _bytes_held(ledger, runs: Sequence) -> float:
    """Memory of the driver for what a run has measured by its last step, until it is written."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for run in runs:
        for event in list(_events_of(run.spec))[:-1]:
            ledger.append(event)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(runs)


def _let_half_end(ledger, runs: Sequence) -> float:
    """Every other run ends, `NUM_WHOLE` of them with all that such a run measures: of those the
    values a second until they are on the disk."""
    ending = [run.spec for run in runs[1::2]]
    start = time.perf_counter()
    for spec in ending[:NUM_WHOLE]:
        for event in _events_of(spec):
            ledger.append(event)
    ledger.flush()
    seconds = time.perf_counter() - start
    for spec in ending[NUM_WHOLE:]:
        ledger.append(_finished(spec))
    ledger.flush()
    return sum(map(_num_values, ending[:NUM_WHOLE])) / seconds


def _events_of(spec: RunSpec) -> Iterator[Event]:
    """What a run reports; `_num_values` counts it."""
    train = spec.train
    yield Started(spec.run_id)
    for step in range(train.eval_every, train.steps + 1, train.eval_every):
        yield Measured(spec.run_id, step, "train", {"loss": 1 / step})
        yield Measured(spec.run_id, step, "selection", {"loss": 1 / step, "accuracy": 0.5})
    yield Measured(spec.run_id, train.steps, "test", {"loss": 0.1, "accuracy": 0.9})
    yield _finished(spec)


def _finished(spec: RunSpec) -> Finished:
    return Finished(spec.run_id, spec.train.steps, 1.0, None, (), {"device": "cuda"}, {})


def _schedule(runs: Sequence, planned: Sequence, workers: int) -> dict[str, Any]:
    """The cohorts on so many workers, and the largest ones beside them."""
    from ablations.plan import cohorts, makespan_s

    ends, makespan = _ends(planned, workers), 0.0
    values: Counter[int] = Counter()
    for cohort, end in zip(planned, ends, strict=True):
        makespan = max(makespan, end)
        values[int(end // MINUTE_S)] += sum(map(_num_values, cohort.specs))
    seconds, sizes = [c.estimate_s for c in planned], [len(c.specs) for c in planned]
    fewest = [cohort.estimate_s for cohort in cohorts(runs, "cuda")]
    return {
        "cohorts": len(planned),
        "smallest": min(sizes),
        "largest": max(sizes),
        "makespan_s": makespan,
        "bound_s": max(max(seconds), sum(seconds) / workers),
        "utilisation": sum(seconds) / workers / makespan,
        "at_start": sum(sizes[:workers]),
        "fewest": len(fewest),
        "fewest_s": makespan_s(fewest, workers),
        "values_per_s": values.total() / makespan,
        "busiest_per_s": max(values.values()) / MINUTE_S,
    }


def _ends(planned: Sequence, workers: int) -> list[float]:
    """When each cohort ends, in seconds from the start; a worker that falls idle takes the next."""
    free, ends = [0.0] * workers, []
    for cohort in planned:  # the longest first
        ends.append(free[0] + cohort.estimate_s)
        heapq.heapreplace(free, ends[-1])
    return ends


def _num_values(spec: RunSpec) -> int:
    """At every evaluation a training loss, and loss and accuracy; these again in the test."""
    return 3 * (spec.train.steps // spec.train.eval_every) + 2


if __name__ == "__main__":
    part, folder, num_seeds, workers = sys.argv[1:]
    work = {"first": _first, "again": _again}[part]
    print(json.dumps(work(Path(folder), int(num_seeds), int(workers))))
