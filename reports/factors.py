"""Full factorial ablations: the grid of factors, main effects and two-way interactions.

Means over cells have equal weights, whatever their numbers of runs; their spread is that of runs
within cells (Welch-Satterthwaite over all of them), so levels are compared at these settings of
the other factors, not at a population of settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from reports.grid import Grid, Section
from reports.records import Arm, Records
from reports.statistics import LEVEL, Contrast, Estimate, contrast, one_sample_contrast
from reports.table import estimate_text, plain

Levels = tuple[str, ...]  # one of each factor

NOTE = (
    "Mean accuracy at each level, over all combinations of the other factors with equal weights; "
    "intervals from the spread of runs within combinations, taken as independent: what arms of one "
    "seed share (data, initial weights) is not counted."
)
INTERACTION_NOTE = (
    " Interaction: by how much a difference between two levels differs between two levels of "
    "another factor; of several such contrasts the largest, its interval corrected for their "
    "number (Bonferroni). Accuracy ends at 1: where some arms are near it, differences shrink and "
    "interactions appear for that reason alone."
)


class FullGrid(NamedTuple):
    """All combinations of the factors' levels. arms: by their levels, in the order of factors."""

    factors: dict[str, list[str]]
    arms: dict[Levels, Arm]


class MainEffect(NamedTuple):
    """Mean accuracy at a level over the other factors. num_arms: that it is a mean of."""

    factor: str
    level: str
    num_arms: int
    accuracy: Estimate


class Interaction(NamedTuple):
    """Of two factors, over the others with equal weights.

    levels: two of each: (accuracy at second of a less first, at second of b) less (the same at
    first of b). num_contrasts: those of which it is the largest, for which it is corrected.
    """

    factors: tuple[str, str]
    levels: tuple[tuple[str, str], tuple[str, str]]
    difference: Estimate
    num_contrasts: int

    @property
    def text(self) -> str:
        (low_a, high_a), (low_b, high_b) = self.levels
        return f"({plain(high_a)} - {plain(low_a)}) at {plain(high_b)} less at {plain(low_b)}"


def full_grid(records: Records) -> FullGrid | None:
    """The arms of the grid, variants left out; None unless every combination of two factors or more
    is there."""
    factors = records.meta["factors"]
    factors = {key: levels for key, levels in factors.items() if len(levels) > 1}
    arms = {
        tuple(arm.levels[key] for key in factors): arm
        for arm in records.arms
        if "variant" not in arm.levels and all(key in arm.levels for key in factors)
    }
    if len(factors) < 2 or set(arms) != set(itertools.product(*factors.values())):
        return None
    return FullGrid(factors, arms)


def short_names(factors: Iterable[str]) -> dict[str, str]:
    """Factor -> its last part, or as many of its last parts as tell it from the others."""
    parts = {factor: plain(factor).split(".") for factor in factors}
    out = {}
    for factor, own in parts.items():
        nums = range(1, len(own) + 1)
        alike = {num: sum(p[-num:] == own[-num:] for p in parts.values()) for num in nums}
        num = next((num for num in nums if alike[num] == 1), len(own))
        out[factor] = ".".join(own[-num:])
    return out


def level_text(factor: str, level: str) -> str:
    """`length=24`; the level alone where the factor is a name for bundles."""
    return f"{plain(factor).split('.')[-1]}={plain(level)}" if "." in factor else plain(level)


def main_effects(records: Records) -> list[MainEffect]:
    """Factor by factor, level by level; empty unless every arm of a full grid has a finished
    run."""
    grid = full_grid(records)
    cells = grid and _cells(grid, records)
    if not cells:
        return []
    out = []
    for place, (factor, levels) in enumerate(grid.factors.items()):
        for level in levels:
            groups = [runs for key, runs in cells.items() if key[place] == level]
            mean = one_sample_contrast(groups, 0.0).interval().clipped(0, 1)
            out.append(MainEffect(factor, level, len(groups), mean))
    return out


def interactions(records: Records) -> list[Interaction]:
    """Every pair of factors with its largest contrast; empty where there are no main effects."""
    grid = full_grid(records)
    cells = grid and _cells(grid, records)
    if not cells:
        return []
    pairs = itertools.combinations(range(len(grid.factors)), 2)
    return [_interaction(grid, cells, pair) for pair in pairs]


def section(records: Records) -> Section | None:
    """Main effects and interactions; None unless every arm of a full grid has a finished run."""
    effects, found = main_effects(records), interactions(records)
    if not effects:
        return None
    names = short_names(dict.fromkeys(each.factor for each in effects))
    rows = [
        (names[each.factor], plain(each.level), estimate_text(each.accuracy)) for each in effects
    ]
    of_pairs = [
        (
            " x ".join(names[factor] for factor in each.factors),
            each.text,
            estimate_text(each.difference, sign="+"),
            str(each.num_contrasts),
        )
        for each in found
    ]
    heads = ("factor", "", "accuracy"), ("interaction", "", "difference", "contrasts")
    grids = [Grid(heads[0], rows, 2), Grid(heads[1], of_pairs, 2)]
    return Section("Factors", NOTE + INTERACTION_NOTE, grids)


def _cells(grid: FullGrid, records: Records) -> dict[Levels, list[float]] | None:
    """Levels -> accuracies of the arm's finished runs; None where an arm has none."""
    cells = {
        key: [run.accuracy for run in records.confirmation(arm) if run.accuracy is not None]
        for key, arm in grid.arms.items()
    }
    return cells if all(cells.values()) else None


def _interaction(
    grid: FullGrid, cells: Mapping[Levels, list[float]], pair: tuple[int, int]
) -> Interaction:
    factors = tuple(list(grid.factors)[place] for place in pair)
    levels_a, levels_b = (grid.factors[factor] for factor in factors)
    at: dict[tuple[str, str], list[list[float]]] = {}  # of both factors, over the others
    for key, runs in cells.items():
        at.setdefault((key[pair[0]], key[pair[1]]), []).append(runs)
    means = {key: np.mean([np.mean(runs) for runs in groups]) for key, groups in at.items()}
    fours = list(
        itertools.product(itertools.combinations(levels_a, 2), itertools.combinations(levels_b, 2))
    )
    largest = max(fours, key=lambda four: abs(_of_four(means, *four)))
    (a, a2), (b, b2) = largest
    found = _difference_of_differences([at[a2, b2], at[a, b]], [at[a, b2], at[a2, b]])
    difference = found.interval(1 - (1 - LEVEL) / len(fours)).clipped(-2, 2)
    return Interaction(factors, largest, difference, len(fours))


def _of_four(means: Mapping[tuple[str, str], float], a: Levels, b: Levels) -> float:
    return means[a[1], b[1]] - means[a[0], b[1]] - means[a[1], b[0]] + means[a[0], b[0]]


def _difference_of_differences(
    plus: Sequence[Sequence[list[float]]], minus: Sequence[Sequence[list[float]]]
) -> Contrast:
    """Sum of two means over groups less the sum of two others: twice the contrast of means."""
    half = contrast(*([runs for each in side for runs in each] for side in (plus, minus)))
    return half._replace(value=2 * half.value, error=2 * half.error)
