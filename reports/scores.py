"""Scores: means over groups of arms, by the ablation's rule and as suites publish them.

A published suite such as MAD takes, of all nuisance settings, the run that is best on the test
set. That flatters everything it is applied to, so it stands beside ours: settings chosen on
selection seeds, confirmed on others. A group with an arm that has no finished run has no score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reports.grid import Grid, Section
from reports.records import Arm, Records, Run
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, estimate_text, plain

ALL = "mean"  # of the groups
NOTE = (
    "Accuracy, mean over the settings of a group, then over groups. Confirmed: the settings that "
    "selection seeds chose, the score of each confirmation seed, mean and interval over seeds. "
    "{best}{published}A dash: an arm has no finished run{lacking}."
)
BEST = (
    "Best on test: the nuisance setting that is best on the test set itself, among selection runs, "
    "as published; it flatters. "
)


class Scored(NamedTuple):
    """One combination of the other factors. Each maps a group, or ALL, to its score; None where
    an arm is missing. best is empty where nothing was tuned; published has what is known.
    num_seeds: those whose runs have finished in every arm."""

    label: str
    num_seeds: int
    confirmed: dict[str, Estimate | None]
    best: dict[str, float | None]
    published: dict[str, float]


def scores(records: Records) -> list[Scored]:
    """One for each combination, in the order of the arms; empty where none was asked for."""
    asked = records.meta.get("score")
    if not asked:
        return []
    rows: dict[str, dict[str, Arm]] = {}
    for arm in records.arms:
        if asked["over"] in arm.levels:
            rows.setdefault(_label(arm, asked["over"]), {})[arm.levels[asked["over"]]] = arm
    return [_scored(label, arms, asked, records) for label, arms in rows.items()]


def section(records: Records) -> Section | None:
    """Combinations by groups, a row for each way of scoring; None where none was asked for."""
    found = scores(records)
    if not found:
        return None
    asked = records.meta["score"]
    ways = {
        "confirmed": lambda each, group: estimate_text(each.confirmed[group]),
        "best on test": lambda each, group: _share(each.best.get(group)),
        "published": lambda each, group: _share(each.published.get(group)),
    }
    known = {"confirmed": True, "best on test": any(e.best for e in found)}
    known["published"] = any(each.published for each in found)
    shown = [way for way in ways if known[way]]
    rows = [
        (
            plain(each.label),
            f"{plain(group)} (seeds: {each.num_seeds})" if group == ALL else plain(group),
            *(ways[way](each, group) for way in shown),
        )
        for each in found
        for group in (*asked["groups"], ALL)
    ]
    lacking = [each.label for each in found if any(v is None for v in each.confirmed.values())]
    source = plain(asked.get("source") or "its source")
    note = NOTE.format(
        best=BEST if known["best on test"] else "",
        published=f"Published: {source}. " if known["published"] else "",
        lacking=f" ({', '.join(map(plain, lacking))})" if lacking else "",
    )
    title = plain(asked["name"])
    return Section(title, note, [Grid((title, "", *shown), rows, 2)])


def _scored(
    label: str, arms: Mapping[str, Arm], asked: Mapping[str, Any], records: Records
) -> Scored:
    by_seed = {level: _by_seed(records.confirmation(arm)) for level, arm in arms.items()}
    best = {level: _best_on_test(records.selection(arm)) for level, arm in arms.items()}
    confirmed: dict[str, Estimate | None] = {}
    every: list[dict[int, float]] = []
    for group, levels in asked["groups"].items():
        runs = [by_seed.get(level, {}) for level in levels]
        every.append(_means(runs))
        confirmed[group] = _estimate(every[-1])
    whole = _means(every)
    confirmed[ALL] = _estimate(whole)
    flattered: dict[str, float | None] = {}
    if any(value is not None for value in best.values()):
        for group, levels in asked["groups"].items():
            flattered[group] = _mean([best.get(level) for level in levels])
        flattered[ALL] = _mean(list(flattered.values()))
    published = {k: v / 100 for k, v in (asked.get("published") or {}).get(label, {}).items()}
    if published and set(published) == set(asked["groups"]):
        published[ALL] = sum(published.values()) / len(published)
    return Scored(label, len(whole), confirmed, flattered, published)


def _label(arm: Arm, over: str) -> str:
    """The arm's other levels."""
    return ", ".join(level for factor, level in arm.levels.items() if factor != over) or "all"


def _by_seed(runs: list[Run]) -> dict[int, float]:
    return {run.seed: run.accuracy for run in runs if run.accuracy is not None}


def _means(runs: list[dict[int, float]]) -> dict[int, float]:
    """Seed -> mean, of the seeds that all have."""
    seeds = set.intersection(*map(set, runs)) if runs else set()
    return {seed: sum(each[seed] for each in runs) / len(runs) for seed in sorted(seeds)}


def _estimate(by_seed: dict[int, float]) -> Estimate | None:
    return mean_interval(list(by_seed.values())).clipped(0, 1) if by_seed else None


def _best_on_test(runs: list[Run]) -> float | None:
    """Of the nuisance settings the best mean test accuracy over selection seeds."""
    settings: dict[str, list[float]] = {}
    for run in runs:
        if run.accuracy is not None:
            settings.setdefault(repr(run.nuisance), []).append(run.accuracy)
    return max((sum(each) / len(each) for each in settings.values()), default=None)


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else sum(values) / len(values)


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
