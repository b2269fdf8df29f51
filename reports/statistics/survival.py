"""Steps to solve, which are not known of runs that never did.

No log-rank test: its type-I error is .10 at three runs an arm and .07 at five. No Greenwood band:
it collapses where few runs are at risk; the numbers at risk are given in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median, median_low
from typing import NamedTuple


class SolveCurve(NamedTuple):
    """Kaplan-Meier, as steps down from 1.

    steps: at which a run was solved, ascending. unsolved: share of runs not solved yet after
    each. at_risk: how many were still in training, unsolved, just before.
    """

    steps: list[int]
    unsolved: list[float]
    at_risk: list[int]


def solve_curve(steps: Sequence[int | None], budgets: int | Sequence[int]) -> SolveCurve:
    """steps: at which each run was solved, None where it never was in its budget.

    budgets: of all runs, or of each. No step down where none was solved.
    """
    from scipy.stats import CensoredData, ecdf

    if isinstance(budgets, int):
        budgets = [budgets] * len(steps)
    ended = [budget for step, budget in zip(steps, budgets, strict=True) if step is None]
    solved = [step for step in steps if step is not None]
    if not solved:
        return SolveCurve([], [], [])
    found = ecdf(CensoredData(uncensored=solved, right=ended)).sf
    share = dict(zip(found.quantiles.tolist(), found.probabilities.tolist(), strict=True))
    at = sorted(set(solved))
    risk = [sum(end >= step for end in solved + ended) for step in at]
    return SolveCurve(at, [share[step] for step in at], risk)


def median_steps(steps: Sequence[int | None]) -> float | None:
    """Median steps to solve, None (unsolved) counted as later than any; None beyond the budget.

    Where exactly half have solved, the latest of those: by then half had.
    """
    known = [math.inf if value is None else value for value in steps]
    if not known:
        return None
    middle = median(known)
    middle = middle if math.isfinite(middle) else median_low(known)
    return middle if math.isfinite(middle) else None
