"""Runs an ablation: what the ledger lacks, in two stages, and nothing twice.

selection runs -> choose nuisances (once) -> confirmation runs
"""

from __future__ import annotations

import contextlib
import math
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ablations import executors, selection
from ablations.ablation import Ablation, Run, with_nuisance
from ablations.arm_facts import arm_facts
from ablations.executors import Executor
from ablations.ledger import Ledger, open_for_reading
from ablations.plan import cohorts
from ablations.todo import ENDED, Plan, make_plan
from harness.foundation.errors import HarnessError
from harness.foundation.plugins import source_digest
from harness.training import precision
from harness.training.events import Diverged, Event, Finished


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
