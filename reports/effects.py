"""Effects against the baseline arm: differences of accuracy, and ratios of steps to solve."""

from __future__ import annotations

import math
from typing import NamedTuple

from reports.grid import Grid, Section
from reports.records import Arm, Records
from reports.statistics import Estimate, difference_interval
from reports.table import NOTHING, Table, build, estimate_text, plain, quantity_text

NOTE = (
    "Accuracy: that of the arm less that of the baseline, Welch's interval. Steps: geometric mean "
    "of the steps to solve over that of the baseline, Welch's interval of their logarithms; below "
    "1 is faster. A dash: some run of the two never solved the task, so the ratio is not known."
)


class Effect(NamedTuple):
    """An arm against the baseline; None is what is not known.

    difference: of mean accuracy. ratio: of geometric means of steps to solve, only where every run
    of both arms that ended has solved the task.
    """

    arm: str
    difference: Estimate | None
    ratio: Estimate | None


def effects(records: Records, table: Table) -> list[Effect]:
    """One for each other arm that has an effect, in their order; empty without a baseline."""
    baseline = next((arm for arm in records.arms if arm.label == records.meta["baseline"]), None)
    if baseline is None:
        return []
    reference = _log_steps(baseline, records)
    found = [
        Effect(row.arm, row.difference_estimate, _ratio(_log_steps(arm, records), reference))
        for arm, row in zip(records.arms, table.rows, strict=True)
        if arm is not baseline
    ]
    return [each for each in found if each.difference is not None or each.ratio is not None]


def section(records: Records) -> Section | None:
    """Differences and ratios; None where no ratio is known, for differences are in the answer."""
    found = effects(records, build(records))
    if not any(each.ratio for each in found):
        return None
    rows = [
        (
            each.arm,
            estimate_text(each.difference, sign="+"),
            NOTHING if each.ratio is None else f"x{quantity_text(each.ratio)}",
        )
        for each in found
    ]
    title = f"against {plain(records.meta['baseline'])}"
    return Section("Effects", NOTE, [Grid((title, "accuracy", "steps to solve"), rows)])


def _ratio(log_steps: list[float], reference: list[float]) -> Estimate | None:
    if not log_steps or not reference:
        return None
    found = difference_interval(log_steps, reference)
    return Estimate(*(None if each is None else _exp(each) for each in found))


def _log_steps(arm: Arm, records: Records) -> list[float]:
    """Of the runs that ended; empty where one of them never solved."""
    steps = [run.steps_to_solve for run in records.confirmation(arm) if run.ended]
    return [] if None in steps else [math.log(each) for each in steps]


def _exp(value: float) -> float:
    """Infinite where two seeds leave an interval as wide as that."""
    return math.exp(value) if value < 700 else math.inf
