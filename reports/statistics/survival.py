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
    """Kaplan-Meier: share of runs not solved yet after each step at which one was, and how many
    were still in training, unsolved, just before."""

    steps: list[float]
    unsolved: list[float]
    at_risk: list[int]


def solve_curve(steps: Sequence[int | None], budgets: Sequence[int]) -> SolveCurve:
    """steps: at which each run was solved, None where it never was in its budget."""
    from scipy.stats import CensoredData, ecdf

    solved = [value for value in steps if value is not None]
    if not solved:
        return SolveCurve([], [], [])
    ended = [budget for value, budget in zip(steps, budgets, strict=True) if value is None]
    found = ecdf(CensoredData(uncensored=solved, right=ended)).sf
    at, share = found.quantiles.tolist(), found.probabilities.tolist()
    kept = [index for index, step in enumerate(at) if step in set(solved)]
    risk = [sum(each >= at[index] for each in (*solved, *ended)) for index in kept]
    return SolveCurve([at[i] for i in kept], [share[i] for i in kept], risk)


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
