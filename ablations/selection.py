"""Chooses the nuisance setting of each arm, once, on seeds that the answer never uses."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from ablations.ablation import Ablation, Run
from ablations.ledger import Selection

# What a run counts for if it diverged or failed: worse than any value it could have had.
_WORST = {"accuracy": 0.0, "loss": math.inf}


def choose(
    ablation: Ablation, runs: Iterable[Run], results: Mapping[str, Mapping[str, Any]]
) -> Selection | None:
    """The winner among the settings of one arm; None while a selection run is missing, or where
    every setting has a run that failed.

    By the mean of the ablation's metric over selection seeds; ties by solve rate, then by median
    steps to solve (the budget where unsolved), then by the smaller learning rate.
    """
    by_setting: dict[str, list[Run]] = {}
    for run in runs:
        if run.spec.run_id not in results:
            return None
        by_setting.setdefault(repr(run.nuisance), []).append(run)
    scored, left_out = [], 0
    for settings in by_setting.values():
        if any(results[run.spec.run_id]["status"] == "failed" for run in settings):
            left_out += 1
            continue
        scores = _scores(ablation.metric, settings, results)
        scored.append({"nuisance": settings[0].nuisance, **scores})
    if not scored:
        return None
    winner = min(scored, key=lambda row: _rank(ablation.metric, row))
    notes = [_edge_note(ablation, winner)]
    if left_out:
        notes.append(f"{left_out} settings had runs that failed and were left out")
    return Selection(
        winner["nuisance"], [_finite(row) for row in scored], "; ".join(filter(None, notes))
    )


def _scores(metric: str, runs: list[Run], results) -> dict[str, float]:
    rows = [(run.spec.train.steps, results[run.spec.run_id]) for run in runs]
    steps = sorted(row["steps_to_solve"] or budget for budget, row in rows)
    values = {}
    for name, worst in _WORST.items():
        ended = [row.get(name, worst) if row["status"] == "finished" else worst for _, row in rows]
        values[name] = sum(ended) / len(ended)
    values["solve_rate"] = sum(row["steps_to_solve"] is not None for _, row in rows) / len(rows)
    values["median_steps"] = statistics.median(steps)
    values["steps_to_solve"] = statistics.geometric_mean(steps)
    return values


def _rank(metric: str, row: Mapping[str, Any]) -> tuple:
    value = -row["accuracy"] if metric == "accuracy" else row[metric]
    rate = row["nuisance"].get("train.lr", 0.0)
    return (value, -row["solve_rate"], row["median_steps"], rate)


def _edge_note(ablation: Ablation, winner: Mapping[str, Any]) -> str:
    """Says so where the winner is at an end of a learning-rate grid: the best may lie beyond."""
    rates = sorted({setting.get("train.lr", 0.0) for setting in ablation.nuisances})
    rate = winner["nuisance"].get("train.lr")
    if len(rates) > 1 and rate in (rates[0], rates[-1]):
        end = "smallest" if rate == rates[0] else "largest"
        return f"the {end} learning rate of the grid won; a better one may lie beyond it"
    return ""


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
