"""What arms do with equal compute, where a step of one costs more than a step of another.

FLOPs are computed from the model, a backward pass counted as two forward passes, evaluations not
counted. Seconds are measured: the time of a cohort, its evaluations included, is shared equally by
its members, and an arm's time is spread evenly over the steps of its runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reports.grid import Grid, Section
from reports.records import Arm, Records
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, count_text, estimate_text, plain, seconds_text

ALIKE = 1.05  # ratio of FLOPs a step up to which arms cost the same

FLOPS_NOTE = (
    "FLOPs are those of training, computed from the model (a backward pass as two forward passes); "
    "evaluations are not counted."
)
SECONDS_NOTE = (
    "Seconds are measured, evaluations included: a cohort's time is shared equally by its members, "
    "an arm's time spread evenly over all steps of its runs. They compare on one machine under one "
    "load alone."
)
NOTE = (
    "Validation accuracy where all arms of a task have spent as much as the cheapest of them does "
    "on all its steps: mean over finished runs, linear between two evaluations; a run that ended "
    "early keeps its last value. "
)
SCHEDULE_NOTE = (
    " A run that is read before its end is in the middle of its learning-rate schedule, which "
    "favours the cheapest arm."
)

Curve = Sequence[tuple[int, float]]  # (step, value), in the order of steps


class Spent(NamedTuple):
    """What a run of an arm costs that takes all its steps; None is what is not known."""

    steps: int
    flops: float | None
    seconds: float | None


class Comparison(NamedTuple):
    """Arms of one task, held against each other at what the cheapest of them spends in all.

    unit: FLOPs or seconds. costs: of all steps of a run, arm by arm.
    """

    unit: str
    arms: list[Arm]
    costs: list[float]

    @property
    def budget(self) -> float:
        return min(self.costs)


def spent(records: Records) -> dict[str, Spent]:
    """condition_id -> costs, of the arms with a finished run."""
    runs = [run for run in records.confirmation() if run.ended]
    places = {(run.provenance.get("device"), run.provenance.get("threads")) for run in runs}
    out = {}
    for arm in records.arms:
        finished = [run for run in records.confirmation(arm) if run.status == "finished"]
        if finished:
            steps = arm.facts["steps"]
            pace = sum(run.wall_s for run in finished) / sum(run.steps for run in finished)
            seconds = steps * pace if len(places) == 1 else None
            out[arm.condition_id] = Spent(steps, arm.facts.get("training_flops"), seconds)
    return out


def comparisons(records: Records) -> list[Comparison]:
    """Task by task; empty unless arms of a task differ in FLOPs a step by more than `ALIKE`."""
    costs, by_task, out = spent(records), {}, []
    for arm in records.arms:
        if arm.condition_id in costs and _curves(records, arm):
            task = json.dumps(arm.spec.get("task"), sort_keys=True)
            by_task.setdefault(task, []).append(arm)
    for arms in by_task.values():
        steps, flops, seconds = zip(*(costs[arm.condition_id] for arm in arms), strict=True)
        if None not in flops:
            a_step = [all_steps / num for all_steps, num in zip(flops, steps, strict=True)]
            if max(a_step) > ALIKE * min(a_step):
                out.append(Comparison("FLOPs", arms, list(flops)))
                if None not in seconds:
                    out.append(Comparison("seconds", arms, list(seconds)))
    return out


def accuracy_after(curves: Sequence[Curve], steps: float) -> Estimate | None:
    """Mean over runs after so many steps; None where some run was not evaluated by then."""
    if steps < max(curve[0][0] for curve in curves):
        return None
    values = [np.interp(steps, *zip(*curve, strict=True)) for curve in curves]
    return mean_interval(values).clipped(0, 1)


def seconds_note(records: Records) -> str:
    """How seconds were counted, and whether cohorts of several sizes make them uneven."""
    runs = [run for run in records.confirmation() if run.status == "finished"]
    sizes = {run.provenance["cohort_size"] for run in runs if "cohort_size" in run.provenance}
    uneven = f" Cohorts had {min(sizes)} to {max(sizes)} members." if len(sizes) > 1 else ""
    return SECONDS_NOTE + uneven


def section(records: Records) -> Section | None:
    """Tables by FLOPs and by seconds, task by task; None where steps cost the same."""
    found = comparisons(records)
    if not found:
        return None
    note = NOTE + FLOPS_NOTE
    if any(each.unit == "seconds" for each in found):
        note += " " + seconds_note(records)
    arms = [arm for each in found for arm in each.arms]
    if any(arm.spec.get("train", {}).get("schedule", "constant") != "constant" for arm in arms):
        note += SCHEDULE_NOTE
    return Section("At equal compute", note, [_grid(each, records) for each in found])


def _grid(found: Comparison, records: Records) -> Grid:
    is_flops, rows = found.unit == "FLOPs", []
    for arm, cost in zip(found.arms, found.costs, strict=True):
        curves, steps = _curves(records, arm), arm.facts["steps"]
        a_step = count_text(cost / steps) if is_flops else f"{cost / steps:.3g}"
        cells = (_after(curves, steps * share) for share in (found.budget / cost, 1))
        rows.append((plain(arm.label), a_step, *cells))
    budget = count_text(found.budget) if is_flops else _seconds_text(found.budget)
    head = (f"at equal {found.unit}", f"{found.unit} a step", f"at {budget}", "after all steps")
    return Grid(head, rows)


def _seconds_text(value: float) -> str:
    return f"{value:.2g} s" if value < 10 else seconds_text(value)


def _after(curves: Sequence[Curve], steps: float) -> str:
    found = accuracy_after(curves, steps)
    return NOTHING if found is None else estimate_text(found)


def _curves(records: Records, arm: Arm) -> list[Curve]:
    """Validation accuracy of finished runs."""
    runs = [run for run in records.confirmation(arm) if run.status == "finished"]
    return [curve for run in runs if (curve := run.curve("validation", "accuracy"))]
