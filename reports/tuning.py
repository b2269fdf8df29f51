"""How the tuned settings scored on the selection seeds, value by value of one tuned number.

The means are those by which the settings were chosen, as the ledger holds them; every run of a
setting, and the interval of their mean, stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reports.records import Arm, Records, Run
from reports.statistics import mean_interval


class Point(NamedTuple):
    """An arm at one value of a tuned number, with the best of what else was tuned.

    score: mean over the selection seeds, of steps the geometric one; inf where a loss has none.
    seeds: each run's. low, high: interval of the mean; None for a single run.
    """

    value: float
    score: float
    seeds: list[float]
    low: float | None
    high: float | None
    is_chosen: bool


def tuned_numbers(records: Records) -> dict[str, list[float]]:
    """Dotted keys whose values are numbers, two of them or more, in order."""
    settings = records.meta["nuisances"]
    found = {key: _numbers(setting.get(key) for setting in settings) for key in settings[0]}
    return {key: values for key, values in found.items() if len(values) > 1}


def points(records: Records, arm: Arm, key: str) -> list[Point]:
    """An arm whose setting is chosen, over one tuned number; values without a score are left out:
    a run of theirs failed."""
    choice, metric = records.choices[arm.condition_id], records.meta["metric"]
    by_value: dict[float, list[Mapping[str, Any]]] = {}
    for score in choice.scores:
        by_value.setdefault(score["nuisance"][key], []).append(score)
    out = []
    for value, scores in sorted(by_value.items()):
        best = min(
            scores, key=lambda each: (each["nuisance"] != choice.nuisance, _rank(metric, each))
        )
        runs = [run for run in records.selection(arm) if run.nuisance == best["nuisance"]]
        seeds = [_score(metric, run) for run in runs if run.ended]
        is_chosen = best["nuisance"] == choice.nuisance
        out.append(Point(value, _mean(metric, best), seeds, *_ends(metric, seeds), is_chosen))
    return out


def is_at_edge(value: float, values: Sequence[float]) -> bool:
    """Whether a better value may lie beyond the grid; not below 0, where numbers that are tuned
    (rates, decays, shares) end."""
    return value in (values[0], values[-1]) and value != 0


def _numbers(values: Iterable[Any]) -> list[float]:
    """The different values; none where one is no number."""
    values = set(values)
    are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if are_numbers else []


def _mean(metric: str, score: Mapping[str, Any]) -> float:
    value = score.get(metric)  # JSON has no infinity: the loss of a run that diverged
    return math.inf if value is None else value


def _rank(metric: str, score: Mapping[str, Any]) -> float:
    return -score["accuracy"] if metric == "accuracy" else _mean(metric, score)


def _score(metric: str, run: Run) -> float:
    """What a run counts for when a setting is chosen."""
    if metric == "steps_to_solve":
        return run.steps_to_solve or run.arm.facts["steps"]
    curve = run.curve("selection", metric)
    if run.status == "finished" and curve:
        return curve[-1][1]
    return 0.0 if metric == "accuracy" else math.inf


def _ends(metric: str, seeds: Sequence[float]) -> tuple[float | None, float | None]:
    if len(seeds) < 2 or not np.isfinite(seeds).all():
        return None, None
    if metric == "steps_to_solve":
        found = mean_interval(np.log(seeds))
        return math.exp(found.low), math.exp(found.high)
    found = mean_interval(seeds).clipped(0, 1 if metric == "accuracy" else math.inf)
    return found.low, found.high
