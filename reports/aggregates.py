"""Aggregates over tasks (Agarwal et al. 2021, arXiv:2108.13264), where the same entrants were run
on several tasks: interquartile mean, probability of improvement, and what a profile is drawn from.
"""

from __future__ import annotations

import json
from statistics import fmean
from typing import NamedTuple

import numpy as np

from harness.foundation.seeding import generator
from reports.factors import level_text
from reports.grid import Grid, Section
from reports.records import Arm, Records
from reports.statistics import (
    Estimate,
    iqm,
    probability_of_improvement,
    stratified_bootstrap,
)
from reports.statistics.aggregate import FEWEST_CELLS
from reports.table import estimate_text, plain

NOTE = (
    "Accuracy over {num} tasks. IQM: mean of the middle half of all runs of all tasks. {better} "
    "Brackets: 95 % percentile bootstrap, runs drawn again within each task; none below "
    f"{FEWEST_CELLS} runs. They hold for these tasks, not for others, and few runs a task make "
    "them too narrow: a nominal .95 covers .80 at 10 tasks of 2 runs, .88 at 5 of 4, .92 at 4 of "
    "10.{lacking}"
)
OVER_BASELINE = "Improves: chance that a run is above one of {baseline} on the same task, mean."
OVER_OTHERS = "Improves: chance that a run is above one of another row on the same task, mean."


class Suite(NamedTuple):
    """Entrants that were run on all tasks. scores: entrant -> task -> accuracies of its runs.
    baseline: what the others are held against, None where they are held against one another.
    lacking: entrants without a finished run on some task."""

    tasks: list[str]
    scores: dict[str, dict[str, list[float]]]
    baseline: str | None
    lacking: list[str]


class Aggregate(NamedTuple):
    """One entrant. improves: chance that a run is above one of the baseline on the same task, or,
    without a baseline, of another entrant; None for the baseline itself."""

    entrant: str
    num_runs: int
    iqm: Estimate
    improves: Estimate | None


def suite(records: Records) -> Suite | None:
    """None unless two entrants or more have finished runs on all of two tasks or more.

    A task is a combination of the levels that change the task; an entrant one of the others.
    """
    of_task = _task_factors(records)
    entrants: dict[str, dict[str, list[float]]] = {}
    baseline = None
    for arm in records.arms:
        entrant = _text(arm, of_task, is_inside=False)
        runs = [run.accuracy for run in records.confirmation(arm) if run.accuracy is not None]
        entrants.setdefault(entrant, {})[_text(arm, of_task, is_inside=True)] = runs
        if arm.label == records.meta["baseline"]:
            baseline = entrant
    tasks = list(dict.fromkeys(task for scores in entrants.values() for task in scores))
    whole = {
        entrant: {task: scores[task] for task in tasks}
        for entrant, scores in entrants.items()
        if all(scores.get(task) for task in tasks)
    }
    if len(tasks) < 2 or len(whole) < 2:
        return None
    lacking = [entrant for entrant in entrants if entrant not in whole]
    return Suite(tasks, whole, baseline if baseline in whole else None, lacking)


def aggregates(records: Records) -> list[Aggregate]:
    """One for each entrant, in their order; empty where there is no suite."""
    found = suite(records)
    if found is None:
        return []
    out = []
    for entrant, scores in found.scores.items():
        rng = generator("aggregate", entrant)
        num = sum(map(len, scores.values()))
        improves = None
        if entrant != found.baseline:
            improves = _improves(entrant, found, rng)
        middle = _bootstrapped(scores, iqm, rng)
        out.append(Aggregate(entrant, num, middle, improves))
    return out


def section(records: Records) -> Section | None:
    """A row for each entrant; None where there is no suite."""
    found = suite(records)
    if found is None:
        return None
    rows = [
        (each.entrant, estimate_text(each.iqm), estimate_text(each.improves), str(each.num_runs))
        for each in aggregates(records)
    ]
    better = OVER_BASELINE.format(baseline=found.baseline) if found.baseline else OVER_OTHERS
    lacking = f" Left out for lack of runs: {', '.join(found.lacking)}." if found.lacking else ""
    note = NOTE.format(num=len(found.tasks), better=better, lacking=lacking)
    head = (f"over {len(found.tasks)} tasks", "IQM", "improves", "runs")
    return Section("Over tasks", note, [Grid(head, rows)])


def _improves(entrant: str, found: Suite, rng: np.random.Generator) -> Estimate:
    """Against the baseline with an interval, else against every other, which has none."""
    if found.baseline is not None:
        return _improvement(found.scores[entrant], found.scores[found.baseline], rng)
    others = [scores for other, scores in found.scores.items() if other != entrant]
    return Estimate(
        fmean(
            probability_of_improvement(found.scores[entrant][task], scores[task])
            for scores in others
            for task in found.tasks
        )
    )


def _improvement(
    a: dict[str, list[float]], b: dict[str, list[float]], rng: np.random.Generator
) -> Estimate:
    """Mean over tasks of the chance that a run of a is above one of b."""
    groups = {f"{side}{task}": s[task] for task in a for side, s in (("a", a), ("b", b))}
    ends = np.cumsum([len(values) for values in groups.values()])[:-1]

    def mean_over_tasks(row: np.ndarray) -> float:
        parts = np.split(row, ends)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return fmean(probability_of_improvement(*pair) for pair in pairs)

    return _bootstrapped(groups, mean_over_tasks, rng)


def _bootstrapped(groups, statistic, rng: np.random.Generator) -> Estimate:
    """Without an interval where there are too few runs for one."""
    values = np.concatenate(list(groups.values()))
    if len(values) < FEWEST_CELLS:
        return Estimate(float(statistic(values)))
    return stratified_bootstrap(groups, statistic, rng)


def _task_factors(records: Records) -> set[str]:
    """Factors of which another level is another task, all other levels alike."""
    found = set()
    for factor in {key for arm in records.arms for key in arm.levels}:
        tasks: dict[frozenset, set[str]] = {}
        for arm in records.arms:
            if factor in arm.levels:
                others = frozenset(item for item in arm.levels.items() if item[0] != factor)
                task = json.dumps(arm.spec.get("task"), sort_keys=True)
                tasks.setdefault(others, set()).add(task)
        if any(len(each) > 1 for each in tasks.values()):
            found.add(factor)
    return found


def _text(arm: Arm, of_task: set[str], *, is_inside: bool) -> str:
    """The arm's levels of the factors inside of the set, or outside of it."""
    levels = [
        level_text(factor, level)
        for factor, level in arm.levels.items()
        if (factor in of_task) == is_inside
    ]
    return ", ".join(levels) or plain(arm.label)
