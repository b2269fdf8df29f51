"""From samples to an effect, its interval and its p, by the kind of claim.

Two arms: Welch's interval and the exact permutation test of the means (of logarithms, where
ratios are compared); strata: their differences averaged, labels permuted within each; solve rates:
Newcombe's interval and Boschloo's test; groups of arms, and an arm against a number: Student's and
Welch's tests of the mean of means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from ablations.claim import YARDSTICKS, Claim
from reports import statistics
from reports.claims.evidence import Compared, Sample
from reports.claims.obstacles import floor_of
from reports.statistics import Contrast, Estimate


class Comparison(NamedTuple):
    """The effect of a over b, on the scale of comparison, positive where a's value is larger.

    p: two-sided, that there is none. smallest_p: the least that the test could have given; 0 for
    tests that know the spread.
    contrast: the same as a difference of means. interval: confidence level -> estimate.
    spread: pooled standard deviation of a run. rival: which arm b is, where there are several.
    """

    p: float
    smallest_p: float
    contrast: Contrast
    interval: Callable[[float], Estimate]
    spread: float
    rival: str = ""

    @property
    def value(self) -> float:
        return self.contrast.value


def compare(
    claim: Claim, compared: Sequence[Compared], rng: np.random.Generator
) -> list[Comparison]:
    """One comparison; for the best of several arms, one with each rival in each stratum."""
    if claim.kind == "best_of":
        return [
            _two(claim, [(each.a[0], rival)], rng)._replace(rival=rival.label)
            for each in compared
            for rival in each.b
        ]
    if claim.kind.startswith("group"):
        return [_groups(compared[0])]
    if claim.constant is not None:
        return [_constant(claim, compared)]
    return [_two(claim, [(each.a[0], each.b[0]) for each in compared], rng)]


def smallest_p(claim: Claim, sizes: Sequence[tuple[int, int]]) -> float:
    """The least p that the test of two arms can give; sizes: runs of a and b, by stratum."""
    if claim.paired:
        return statistics.smallest_paired_p(sum(min(each) for each in sizes))
    if claim.metric == "solve_rate" and len(sizes) == 1:
        return statistics.smallest_boschloo_p(*sizes[0])
    return statistics.smallest_stratified_p(sizes)


def constant_of(claim: Claim, sample: Sample) -> float:
    """What a is held against, on the scale of comparison."""
    value = claim.constant
    if value in YARDSTICKS:
        value = floor_of(sample.arms[0], value)
    return math.log(value) if claim.is_ratio else value


def _two(claim: Claim, pairs: Sequence[tuple[Sample, Sample]], rng) -> Comparison:
    if claim.paired:
        return _paired(pairs, rng)
    values = [(a.values, b.values) for a, b in pairs]
    if claim.metric == "solve_rate" and len(pairs) == 1:
        return _rates(*pairs[0])
    each_a, each_b = zip(*values, strict=True)
    contrast = statistics.contrast(each_a, each_b)
    if len(pairs) == 1:
        p = statistics.independent_p(*values[0], rng)
        smallest = statistics.smallest_independent_p(*map(len, values[0]))
    else:
        p = statistics.stratified_p(values, rng)
        smallest = statistics.smallest_stratified_p([(len(a), len(b)) for a, b in values])
    return Comparison(p, smallest, contrast, contrast.interval, _spread([*each_a, *each_b]))


def _paired(pairs: Sequence[tuple[Sample, Sample]], rng) -> Comparison:
    differences = [
        [a.by_seed[seed] - b.by_seed[seed] for seed in sorted(set(a.by_seed) & set(b.by_seed))]
        for a, b in pairs
    ]
    together = [value for each in differences for value in each]
    contrast = statistics.paired_contrast(differences)
    return Comparison(
        statistics.paired_p(together, rng),
        statistics.smallest_paired_p(len(together)),
        contrast,
        contrast.interval,
        _spread(differences) / math.sqrt(2),  # of a run, for a difference holds two
    )


def _rates(a: Sample, b: Sample) -> Comparison:
    counts = (a.num_solved, len(a.runs), b.num_solved, len(b.runs))
    return Comparison(
        statistics.boschloo_p(*counts),
        statistics.smallest_boschloo_p(len(a.runs), len(b.runs)),
        statistics.contrast([a.values], [b.values]),
        lambda level: statistics.rate_difference_interval(*counts, level),
        _spread([a.values, b.values]),
    )


def _groups(each: Compared) -> Comparison:
    a, b = ([sample.values for sample in side] for side in (each.a, each.b))
    contrast = statistics.contrast(a, b)
    p, smallest = contrast.p(), 0.0
    if contrast.error == 0 and contrast.value:  # seeds that agree are few seeds all the same
        p = smallest = statistics.smallest_independent_p(sum(map(len, a)), sum(map(len, b)))
    return Comparison(p, smallest, contrast, contrast.interval, _spread([*a, *b]))


def _constant(claim: Claim, compared: Sequence[Compared]) -> Comparison:
    samples = [each.a[0] for each in compared]
    away = [[v - constant_of(claim, sample) for v in sample.values] for sample in samples]
    contrast = statistics.one_sample_contrast(away, 0.0)
    p, smallest = contrast.p(), 0.0
    if contrast.error == 0:  # seeds that agree are few seeds all the same
        together = [value for each in away for value in each]
        p = smallest = statistics.smallest_paired_p(len(together)) if any(together) else 1.0
    return Comparison(p, smallest, contrast, contrast.interval, _spread(away))


def _spread(groups: Sequence[Sequence[float]]) -> float:
    """Pooled standard deviation within groups."""
    return math.sqrt(fmean(float(np.var(values, ddof=1)) for values in groups))
