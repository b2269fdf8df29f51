"""What the runs of a claim's arms say, as numbers on the scale of comparison.

Steps and seconds are compared as ratios, so their logarithm is taken. A run that never solved
stands at its budget and is counted as censored. A diverged run is a result: it never solved, and
its accuracy is that of a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

import numpy as np

from ablations.claim import Claim, Resolved
from harness.training.metrics import SHORT
from reports.records import Arm, Records, Run
from reports.table import plain


class Sample(NamedTuple):
    """One side of a comparison: the runs of an arm, or of several of which each seed makes one
    number (an exponent). by_seed: the values; lacking: why there are none, in words."""

    arms: tuple[Arm, ...]
    runs: tuple[Run, ...]
    by_seed: dict[int, float]
    lacking: str = ""

    @property
    def values(self) -> list[float]:
        return list(self.by_seed.values())

    @property
    def label(self) -> str:
        """The arm's; of several what they share, and from what to what they differ."""
        labels = [plain(arm.label) for arm in self.arms]
        parts = [label.split(", ") for label in labels]
        if len(set(map(len, parts))) > 1:
            return " / ".join(labels)
        return ", ".join(
            each[0] if len(set(each)) == 1 else f"{each[0]} ... {each[-1]}"
            for each in zip(*parts, strict=True)
        )

    @property
    def num_solved(self) -> int:
        return sum(run.steps_to_solve is not None for run in self.runs)

    @property
    def num_censored(self) -> int:
        """Runs that never solved, and so stand at their budget where steps are compared."""
        return len(self.runs) - self.num_solved

    @property
    def steps_given_solved(self) -> float | None:
        """Median steps to solve of the runs that did."""
        steps = [run.steps_to_solve for run in self.runs if run.steps_to_solve is not None]
        return median(steps) if steps else None


class Compared(NamedTuple):
    """The samples of one stratum. b is empty where a is held against a number."""

    label: str
    a: tuple[Sample, ...]
    b: tuple[Sample, ...]

    @property
    def samples(self) -> tuple[Sample, ...]:
        return (*self.a, *self.b)


def gather(resolved: Resolved, records: Records) -> list[Compared]:
    """The samples of a claim, stratum by stratum."""
    arms = {arm.condition_id: arm for arm in records.arms}
    found = []
    for stratum in resolved.strata:
        sides = []
        for ids in (stratum.a, stratum.b):
            side = [arms[key] for key in ids]
            if resolved.claim.exponent_in is not None and side:
                sides.append((_exponents(resolved.claim, side, stratum.at, records),))
            else:
                sides.append(tuple(_sample(resolved.claim, arm, records) for arm in side))
        found.append(Compared(stratum.label, *sides))
    return found


def _sample(claim: Claim, arm: Arm, records: Records) -> Sample:
    runs = tuple(records.confirmation(arm))
    by_seed: dict[int, float] = {}
    for run in runs:
        if run.ended:
            value = _value(claim, run)
            if value is None:
                lacking = f"{_named(run)} has no {claim.metric}"
                if run.status == "diverged":
                    lacking += ", for it diverged"
                return Sample((arm,), runs, {}, lacking)
            by_seed[run.seed] = value
    return Sample((arm,), runs, by_seed)


def _exponents(claim: Claim, arms: list[Arm], at: tuple[float, ...], records: Records) -> Sample:
    """One slope a seed, between the logarithms of level and metric."""
    samples = [_sample(claim, arm, records) for arm in arms]
    runs = tuple(run for sample in samples for run in sample.runs)
    lacking = next((sample.lacking for sample in samples if sample.lacking), "")
    seeds = set.intersection(*(set(sample.by_seed) for sample in samples))
    x = np.log(at)
    slopes = {
        seed: float(np.polyfit(x, [sample.by_seed[seed] for sample in samples], 1)[0])
        for seed in sorted(seeds)
    }
    return Sample(tuple(arms), runs, {} if lacking else slopes, lacking)


def _value(claim: Claim, run: Run) -> float | None:
    """The metric of a run that ended; None where it has none that is a number."""
    if claim.metric == "steps_to_solve":
        value = run.steps_to_solve or budget(run)
    elif claim.metric == "solve_rate":
        return float(run.steps_to_solve is not None)
    elif claim.metric == "seconds":
        value = run.wall_s if run.status == "finished" else None
    else:
        recorded = SHORT.get(claim.metric, claim.metric)
        value = run.tests.get(recorded)
        if run.status == "diverged" and recorded == "accuracy":
            value = run.arm.chance
    if value is None or not math.isfinite(value):
        return None
    if claim.is_ratio or claim.exponent_in is not None:
        return math.log(value) if value > 0 else None
    return float(value)


def budget(run: Run) -> int:
    """Steps that the run was given."""
    return run.arm.facts["steps"]


def setting(arm: Arm, *path: str) -> object:
    """A field of the arm's specification, None where it is at its default or absent."""
    value: object = arm.spec
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _named(run: Run) -> str:
    return f"'{plain(run.arm.label)}' seed {run.seed}"
