"""What a command would do now: an ablation against the runs that are there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ablations.ablation import Ablation, Run
from ablations.executors.local import usable_cpus
from ablations.ledger import FILE, open_for_reading
from ablations.plan import Cohort, cohorts, largest, makespan_s
from harness.training.memory import peak_bytes

ENDED = ("finished", "diverged")  # a failed run is tried again


class Plan(NamedTuple):
    """What a command would do now.

    runs: all that can be named; to_choose: confirmation runs whose nuisances are not chosen yet.
    counts: new, cached (finished or diverged), failed (to be tried again).
    device, memory: where cohorts are trained, and the bytes that a worker has there, if known.
    """

    runs: list[Run]
    pending: list[Run]
    to_choose: int
    counts: dict[str, int]
    cohorts: list[Cohort]
    device: str = "cpu"
    memory: int | None = None

    def estimate_s(self, workers: int) -> float:
        """Seconds until the pending runs have ended, runs that are to be chosen not counted."""
        return makespan_s((cohort.estimate_s for cohort in self.cohorts), workers)

    def most_memory(self) -> Memory | None:
        """Of the cohort that takes the most; None where there is nothing to train."""
        cohort = largest(self.cohorts, self.device)
        return None if cohort is None else self._memory(cohort)

    def too_large(self) -> list[Memory]:
        """Runs that alone take more than a worker has, one of each shape."""
        lone = {c.specs[0].cohort_key: c for c in self.cohorts if not c.fits}
        return [self._memory(cohort) for cohort in lone.values()]

    def _memory(self, cohort: Cohort) -> Memory:
        spec, num = cohort.specs[0], len(cohort.specs)
        arm = next(run.arm.label for run in self.pending if run.spec is spec)
        return Memory(arm, num, peak_bytes(spec, num, self.device), self.memory)


class Memory(NamedTuple):
    """What a cohort is predicted to take at its peak, against what a worker has, in bytes."""

    arm: str
    members: int
    predicted_bytes: int
    available_bytes: int | None

    def render(self) -> str:
        said = f"{self.predicted_bytes / 2**30:.2f} GiB"
        if self.available_bytes is not None:
            said += f" of {self.available_bytes / 2**30:.2f} GiB"
        return f"{said} predicted at the peak ({self.arm}, {self.members} together)"


def make_plan(
    ablation: Ablation,
    statuses: dict[str, str],
    chosen: dict[str, dict[str, Any]],
    device: str = "cpu",
    num_seeds: Mapping[str, int] | None = None,
    workers: int = 1,
    worker_memory: Callable[[], int | None] = lambda: None,
) -> Plan:
    """The plan, given the status of known runs and the nuisances chosen so far.

    worker_memory: asked only where something is to be trained; see `Executor`.
    num_seeds: confirmation seeds of arms (by condition_id) that have more than the ablation asks.
    workers: how many cohorts are trained at a time.
    """
    runs = [*ablation.selection_runs(), *ablation.confirmation_runs(chosen, num_seeds)]
    undecided = ablation.needs_selection * sum(
        arm.condition_id not in chosen for arm in ablation.arms
    )
    counts = Counter({"new": 0, "cached": 0, "failed": 0})
    pending = []
    for run in runs:
        status = statuses.get(run.spec.run_id)
        counts["cached" if status in ENDED else status or "new"] += 1
        if status not in ENDED:
            pending.append(run)
    to_choose = undecided * ablation.seeds.confirmation
    memory = worker_memory() if pending else None
    planned = cohorts(pending, device, workers, memory)
    return Plan(runs, pending, to_choose, dict(counts), planned, device, memory)


def plan_from_folder(
    ablation: Ablation,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    worker_memory: Callable[[], int | None] = lambda: None,
) -> Plan:
    """The plan against what a folder already holds; reads only. workers: by default one a core."""
    statuses: dict[str, str] = {}
    chosen: dict[str, dict] = {}
    num_seeds: dict[str, int] = {}
    if (folder / FILE).exists():
        db = open_for_reading(folder)
        statuses = dict(db.execute("SELECT run_id, status FROM runs"))
        rows = db.execute(
            "SELECT condition_id, nuisance FROM selections WHERE grid_id = ?", (ablation.grid_id,)
        )
        chosen = {key: json.loads(text) for key, text in rows}
        text = db.execute("SELECT value FROM meta WHERE key = 'num_seeds'").fetchone()
        num_seeds = ablation.still_asked(json.loads(text[0])) if text else {}
        db.close()
    workers = workers or usable_cpus()
    return make_plan(ablation, statuses, chosen, device, num_seeds, workers, worker_memory)
