"""Aggregates over tasks (Agarwal et al. 2021, arXiv:2108.13264): for many runs, not for one
contrast of few seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reports.statistics.intervals import LEVEL, Estimate

FEWEST_CELLS = 20  # runs over all tasks, below which the bootstrap covers too little


def probability_of_improvement(a: Sequence[float], b: Sequence[float]) -> float:
    """Chance that a run of a is above a run of b, ties counted half: Mann-Whitney's U / nm."""
    above = np.sign(np.subtract.outer(np.asarray(a, np.float64), np.asarray(b, np.float64)))
    return float(above.mean() + 1) / 2


def iqm(scores: Sequence[float]) -> float:
    """Interquartile mean: of the middle half of the scores."""
    # Not scipy.stats.trim_mean: the same number at ten times the price a call, and a bootstrap
    # makes thousands.
    values = np.sort(np.ravel(scores))
    cut = len(values) // 4
    return float(values[cut : len(values) - cut].mean())


def stratified_bootstrap(
    scores: Mapping[str, Sequence[float]],
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    *,
    num: int = 2_000,
    level: float = LEVEL,
) -> Estimate:
    """A statistic of all scores and its percentile interval, runs drawn again within each task.

    scores: task -> its runs. For aggregates over 20 (run x task) cells or more, ValueError below:
    for a difference of means of 3, 5 and 10 runs a nominal .95 covers .80, .88 and .92. Cells are
    not enough, runs a task count: of the mean of 10 tasks of 2 runs it covers .80, of 5 of 4 .88,
    of 4 of 10 .92.
    """
    groups = [np.asarray(values, np.float64) for values in scores.values()]
    cells = sum(map(len, groups))
    if cells < FEWEST_CELLS:
        raise ValueError(f"a bootstrap over tasks needs {FEWEST_CELLS} scores, got {cells}")
    drawn = np.concatenate(
        [rng.choice(group, (num, len(group))) for group in groups], axis=1
    )  # (num, cells)
    low, high = np.quantile([statistic(row) for row in drawn], [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(float(statistic(np.concatenate(groups))), float(low), float(high))


def performance_profile(scores: Sequence[float], thresholds: Sequence[float]) -> list[float]:
    """Share of scores above each threshold."""
    values = np.ravel(scores)
    return [float(np.mean(values > threshold)) for threshold in thresholds]
