"""Runs an ablation: what the ledger lacks, in two stages, and nothing twice.

selection runs -> choose nuisances (once) -> confirmation runs
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ablations import dotted, executors, selection
from ablations.ablation import Ablation, Arm, Run, with_nuisance
from ablations.executors import Executor
from ablations.executors.local import usable_cpus
from ablations.ledger import FILE, Ledger, open_for_reading
from ablations.match import WORDS, Match, number_at
from ablations.plan import Cohort, cohorts, largest, makespan_s
from harness.cost import cost, training_flops
from harness.foundation.config import to_data
from harness.foundation.errors import HarnessError
from harness.foundation.plugins import source_digest
from harness.training import precision
from harness.training.data import evaluation_batch
from harness.training.events import Diverged, Event, Finished
from harness.training.memory import peak_bytes
from tasks.base import Task, accuracy, squared_error, surprise

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


class Summary(NamedTuple):
    """How a command ended: run counts by status, and the folder of the results."""

    folder: Path
    counts: dict[str, int]

    @property
    def num_failed(self) -> int:
        return self.counts.get("failed", 0)


class Watcher(Protocol):
    """Whoever follows a run: the progress display, TensorBoard."""

    def planned(self, plan: Plan, stage: str, workers: int) -> None: ...

    def take(self, event: Event) -> None: ...

    def close(self) -> None: ...


def default_folder(ablation: Ablation) -> Path:
    return Path("runs") / f"{ablation.name}-{ablation.scale}"


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


def run(
    ablation: Ablation,
    *,
    out: str | Path | None = None,
    engine: Executor | None = None,
    watchers: Sequence[Watcher] = (),
    open_claims: Callable[[Path], Collection[str]] | None = None,
) -> Summary:
    """Trains what is missing and records it; returns how it ended.

    out: the output folder. engine: where cohorts are trained, by default local workers.
    open_claims: given the folder, the ids of the claims that more seeds may settle; if given, the
        arms of those go on to the numbers of seeds of `seeds.then`, one after another.
    Raises HarnessError for what a user can mend, KeyboardInterrupt on Ctrl-C; in both cases what
    has been recorded stays, and the same call goes on from there.
    """
    folder = Path(out) if out is not None else default_folder(ablation)
    engine = engine or executors.make("auto")
    _check_precision(ablation, engine.device)
    about = {"executor": engine.name, **source_state()}
    with Ledger(folder) as ledger:
        _check_folder(ablation, ledger)
        _check_plugins(ablation, ledger)
        facts = {
            arm.condition_id: arm_facts(arm, ablation.match, ablation.nuisances)
            for arm in ablation.arms
        }
        emit = _fan_out(ledger, watchers, about)
        num_looks = 1 if open_claims is None else 1 + len(ablation.seeds.then)

        def train(stage: str, num_seeds: Mapping[str, int]) -> list[Run]:
            plan = _replan(ablation, ledger, facts, engine, num_seeds, num_looks)
            todo = [run for run in plan.pending if run.spec.purpose == stage]
            for watcher in watchers:
                watcher.planned(plan, stage, engine.num_workers)
            if todo:
                engine.execute(cohorts(todo, engine.device, engine.num_workers, plan.memory), emit)
                ledger.flush()
            return todo

        num_seeds = ablation.still_asked(ledger.meta().get("num_seeds", {}))
        try:
            with engine:
                todo = train("selection", num_seeds)
                _retry_failed(todo, ledger, engine, emit)
                _select(ablation, ledger)
                train("confirmation", num_seeds)
                _look(ablation, ledger, num_seeds)
                decided = max(num_seeds.values(), default=0)
                for num in ablation.seeds.then:
                    if open_claims is None or num <= decided:
                        continue
                    arms = _arms_of(ablation, open_claims(folder))
                    if not arms:
                        break
                    num_seeds |= dict.fromkeys(arms, num)
                    train("confirmation", num_seeds)
                    _look(ablation, ledger, num_seeds)
        finally:
            for watcher in watchers:
                watcher.close()
        plan = _replan(ablation, ledger, facts, engine, num_seeds, num_looks)
        statuses = ledger.statuses()
    counts = Counter(statuses.get(run.spec.run_id, "missing") for run in plan.runs)
    return Summary(folder, dict(counts))


def solve_counts(folder: Path) -> dict[str, tuple[int, int]]:
    """condition_id -> confirmation runs of the plan that solved the task, and that ended."""
    db = open_for_reading(folder)
    rows = db.execute(
        "SELECT condition_id, SUM(steps_to_solve IS NOT NULL), COUNT(*) FROM plan "
        "JOIN runs USING (run_id) WHERE purpose = 'confirmation' AND status != 'failed' "
        "GROUP BY condition_id"
    ).fetchall()
    db.close()
    return {row[0]: (row[1], row[2]) for row in rows}


def arm_facts(
    arm: Arm, match: Match | None = None, nuisances: Sequence[Mapping[str, Any]] = ({},)
) -> dict[str, Any]:
    """What a report shows of an arm besides its results: cost, regime, the numbers to beat.

    training_flops: of a run, evaluations not counted; None where its nuisances change them.
    """
    flops = {training_flops(with_nuisance(arm.spec, nuisance)) for nuisance in nuisances}
    matched = None
    if match is not None:
        value = number_at(arm.spec, dotted.path(match.by))
        matched = {**match.model_dump(), "what": WORDS[match.what], "value": value}
    return {
        "matched": matched,
        **cost(arm.spec)._asdict(),
        "training_flops": flops.pop() if len(flops) == 1 else None,
        "regime": arm.spec.regime,
        "loss": arm.spec.train.loss,
        "steps": arm.spec.train.steps,
        **_yardsticks(arm.spec.task, arm.spec.train.test_examples),
    }


_YARDSTICKS: dict[tuple[str, int], dict[str, Any]] = {}


def _yardsticks(task: Task, test_examples: int) -> dict[str, Any]:
    """Chance, and what oracle and shortcuts score on the test set itself; errors: their mean
    squared errors, of real targets alone; excess: nats a target by which predictors simpler than
    the best lose to it, of drawn targets alone."""
    key = (json.dumps(to_data(task), sort_keys=True), test_examples)
    if key not in _YARDSTICKS:
        batch = evaluation_batch(task, "test", test_examples)
        oracle, shortcuts = task.oracle(batch), task.shortcuts(batch)
        guesses = shortcuts if oracle is None else {"oracle": oracle, **shortcuts}
        scores = {name: accuracy(p, batch, task.tolerance) for name, p in guesses.items()}
        _YARDSTICKS[key] = {"chance": task.chance, "oracle": scores.pop("oracle", None)}
        _YARDSTICKS[key] |= {"shortcuts": scores, "errors": {}}
        if task.real_targets:
            _YARDSTICKS[key]["errors"] = {n: squared_error(p, batch) for n, p in guesses.items()}
        if task.stochastic:
            best, simple = task.distribution(batch), task.simple_distributions(batch)
            excess = {n: surprise(p, batch) - surprise(best, batch) for n, p in simple.items()}
            _YARDSTICKS[key]["excess"] = excess
    return _YARDSTICKS[key]


def _replan(
    ablation: Ablation,
    ledger: Ledger,
    facts: Mapping[str, Mapping[str, Any]],
    engine: Executor,
    num_seeds: Mapping[str, int],
    num_looks: int,
) -> Plan:
    chosen = {key: choice.nuisance for key, choice in ledger.selections(ablation.grid_id).items()}
    plan = make_plan(
        ablation,
        ledger.statuses(),
        chosen,
        engine.device,
        num_seeds,
        engine.num_workers,
        engine.worker_memory,
    )
    ledger.write_plan(ablation, facts, plan.runs, plan.to_choose, num_seeds, num_looks)
    return plan


def _arms_of(ablation: Ablation, claim_ids: Collection[str]) -> set[str]:
    """The arms, by condition_id, that these claims are about."""
    claims = [each for each in ablation.claims if each.claim.id in claim_ids]
    return set().union(*(claim.condition_ids for claim in claims))


def _look(ablation: Ablation, ledger: Ledger, num_seeds: Mapping[str, int]) -> None:
    """Records with how many seeds each arm is seen now; not where runs are missing."""
    chosen = {key: choice.nuisance for key, choice in ledger.selections(ablation.grid_id).items()}
    statuses, seen = ledger.statuses(), Counter()
    for run_ in ablation.confirmation_runs(chosen, num_seeds):
        seen[run_.arm.condition_id] += 1 if statuses.get(run_.spec.run_id) in ENDED else -math.inf
    ledger.write_look({key: num for key, num in seen.items() if num > 0})


def _retry_failed(runs: Sequence[Run], ledger: Ledger, engine: Executor, emit) -> None:
    """A choice is never made again, so what may have failed by accident has a second chance."""
    statuses = ledger.statuses()
    failed = [run for run in runs if statuses.get(run.spec.run_id) == "failed"]
    if failed:
        planned = cohorts(failed, engine.device, engine.num_workers, engine.worker_memory())
        engine.execute(planned, emit)
        ledger.flush()


def _select(ablation: Ablation, ledger: Ledger) -> None:
    if not ablation.needs_selection:
        return
    known = ledger.selections(ablation.grid_id)
    by_arm: dict[str, list[Run]] = {}
    for run_ in ablation.selection_runs():
        by_arm.setdefault(run_.arm.condition_id, []).append(run_)
    for condition_id, runs in by_arm.items():
        if condition_id in known:
            continue
        results = ledger.results(r.spec.run_id for r in runs)
        choice = selection.choose(ablation, runs, results)
        if choice is not None:
            ledger.write_selection(condition_id, ablation.grid_id, choice)


def _fan_out(
    ledger: Ledger, watchers: Sequence[Watcher], about: dict[str, str]
) -> Callable[[Event], None]:
    """Hands every event to the ledger, then to the watchers. about: the driver's provenance."""

    def emit(event: Event) -> None:
        if isinstance(event, Finished | Diverged):
            event = event._replace(provenance={**event.provenance, **about})
        ledger.append(event)
        for watcher in watchers:
            watcher.take(event)

    return emit


def source_state() -> dict[str, str]:
    """The installed version, and the commit where the project runs from a checkout."""
    root = Path(__file__).parent.parent
    state = {}
    with contextlib.suppress(PackageNotFoundError):
        state["orchid"] = version("orchid-harness")
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            state["commit"] = found.stdout.strip()
    return state


def _check_precision(ablation: Ablation, device: str) -> None:
    """No arm claims a precision that the device does not have."""
    without = [
        arm.label
        for arm in ablation.arms
        for nuisance in ablation.nuisances
        if with_nuisance(arm.spec, nuisance).train.precision == "tf32"
    ]
    if without and device == "cpu":
        raise HarnessError(
            "train.precision tf32 has no effect on a CPU, and these arms ask for it: "
            + ", ".join(dict.fromkeys(without)),
            where=ablation.name,
            fix=precision.FIX,
        )


def _check_folder(ablation: Ablation, ledger: Ledger) -> None:
    """A folder belongs to one ablation at one scale."""
    meta = ledger.meta()
    if "name" in meta and (meta["name"], meta["scale"]) != (ablation.name, ablation.scale):
        raise HarnessError(
            f"the folder belongs to the ablation {meta['name']!r} at scale {meta['scale']!r}, "
            f"not to {ablation.name!r} at {ablation.scale!r}",
            where=str(ledger.folder),
            fix="choose another folder with --out",
        )


def _check_plugins(ablation: Ablation, ledger: Ledger) -> None:
    """Refuses to mix runs of two sources of one plug-in that claim the same version."""
    recorded = ledger.plugin_digests()
    for arm in ablation.arms:
        for part in (arm.spec.task, *(layer.mixer for layer in arm.spec.model.layer_list)):
            kind, label = type(part), f"{part.name} v{part.version}"
            digest = source_digest(kind)
            if digest and recorded.get(label, digest) != digest:
                raise HarnessError(
                    f"the source of the plug-in {part.name!r} has changed since runs were recorded "
                    f"with its version {part.version}",
                    where=str(ledger.folder),
                    fix=f"set `version = {part.version + 1}` in its class, or use another --out",
                )
