"""Full grids: means over cells, differences of differences, and grids that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from reports import effects, factors, sections, table
from reports.records import read

CELLS = {  # two by two, two runs each
    ("a", "x"): [0.5, 0.7],
    ("a", "y"): [0.6, 0.6],
    ("b", "x"): [0.2, 0.4],
    ("b", "y"): [0.8, 0.9],
}
FACTORS = {"model.mixer": ["a", "b"], "task.length": ["x", "y"]}


def planted(make, cells, names=FACTORS, **meta):
    """A ledger of a grid: levels -> accuracies."""
    maker = make(factors=names, **meta)
    for levels, accuracies in cells.items():
        arm = maker.arm(", ".join(levels), levels=dict(zip(names, levels, strict=True)))
        for seed, accuracy in enumerate(accuracies):
            maker.run(arm, seed, accuracy=accuracy)
    return maker


def test_main_effects_weigh_cells_equally(make):
    cells = CELLS | {("a", "y"): [0.6, 0.6, 0.6, 0.6, 0.6]}
    found = {
        (each.factor, each.level): each
        for each in factors.main_effects(read(planted(make, cells).done()))
    }
    values = {level: each.accuracy.value for (_, level), each in found.items()}
    assert values == pytest.approx({"a": 0.6, "b": 0.575, "x": 0.45, "y": 0.725})
    assert {each.num_arms for each in found.values()} == {2}


def test_an_interval_is_that_of_the_mean_of_two_cells_of_equal_spread(make):
    """Equal numbers and variances: Welch's degrees of freedom are those of the pooled test."""
    cells = {
        (a, b): [0.2 + shift, 0.3 + shift, 0.4 + shift]
        for a, b, shift in (("a", "x", 0), ("a", "y", 0.1), ("b", "x", 0.3), ("b", "y", 0.5))
    }
    first = factors.main_effects(read(planted(make, cells).done()))[0]
    half = t.ppf(0.975, 4) * 0.1 / math.sqrt(6)
    assert first.accuracy.value == pytest.approx(0.35)
    assert first.accuracy.high - first.accuracy.value == pytest.approx(half)


def test_two_by_two_interaction_is_the_difference_of_differences(make):
    (found,) = factors.interactions(read(planted(make, CELLS).done()))
    assert found.difference.value == pytest.approx((0.85 - 0.6) - (0.3 - 0.6))
    assert found.num_contrasts == 1
    error = math.sqrt(sum(np.var(runs, ddof=1) / 2 for runs in CELLS.values()))
    parts = [np.var(runs, ddof=1) / 2 for runs in CELLS.values()]
    freedom = sum(parts) ** 2 / sum(part**2 for part in parts)
    assert found.difference.high - found.difference.value == pytest.approx(
        t.ppf(0.975, freedom) * error
    )
    assert found.text == "(b - a) at y less at x"


def test_additive_factors_do_not_interact(make):
    cells = {
        (a, b): [0.1 + 0.2 * i + 0.1 * j, 0.12 + 0.2 * i + 0.1 * j]
        for i, a in enumerate("ab")
        for j, b in enumerate("xyz")
    }
    names = {"model.mixer": ["a", "b"], "task.length": ["x", "y", "z"]}
    (found,) = factors.interactions(read(planted(make, cells, names).done()))
    assert found.difference.value == pytest.approx(0, abs=1e-12)
    assert found.difference.low < 0 < found.difference.high


def test_of_more_levels_the_largest_contrast_is_corrected_for_their_number(make):
    cells = {(a, b): [0.5, 0.52] for a in "abc" for b in "xyz"} | {("c", "z"): [0.9, 0.92]}
    names = {"f": ["a", "b", "c"], "g": ["x", "y", "z"]}
    (found,) = factors.interactions(read(planted(make, cells, names).done()))
    assert found.num_contrasts == 9  # pairs of three levels, of both factors
    assert abs(found.difference.value) == pytest.approx(0.4)
    half = t.ppf(1 - 0.05 / 9 / 2, 4) * 0.02  # four cells, each of squared error 1e-4
    assert found.difference.high - found.difference.value == pytest.approx(half)


def test_over_a_third_factor_interactions_are_averaged(make):
    names = {"f": ["a", "b"], "g": ["x", "y"], "h": ["0", "1"]}
    cells = {
        (a, b, c): [0.5 + (0.2 if (a, b, c) == ("b", "y", "1") else 0)] * 2
        for a in "ab"
        for b in "xy"
        for c in "01"
    }
    found = factors.interactions(read(planted(make, cells, names).done()))
    assert [each.factors for each in found] == [("f", "g"), ("f", "h"), ("g", "h")]
    assert [each.difference.value for each in found] == pytest.approx([0.1, 0.1, 0.1])


LACKING = dict(list(CELLS.items())[:3])


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ({}, FACTORS),
        (LACKING, FACTORS),  # a combination is excluded
        (CELLS | {("b", "y"): []}, FACTORS),  # an arm without runs
        ({("a", "x"): [0.5], ("b", "x"): [0.6]}, FACTORS | {"task.length": ["x"]}),  # one factor
    ],
)
def test_what_is_no_full_grid_has_no_effects(make, cells, names):
    found = read(planted(make, cells, names).done())
    assert factors.main_effects(found) == factors.interactions(found) == []
    assert factors.section(found) is None


def test_variants_stand_beside_the_grid(make):
    maker = planted(make, CELLS)
    maker.run(maker.arm("attention", levels={"variant": "attention"}), 0, accuracy=0.0)
    means = [each.accuracy.value for each in factors.main_effects(read(maker.done()))]
    assert means == pytest.approx([0.6, 0.575, 0.45, 0.725])


def test_single_runs_have_means_without_intervals(make):
    found = read(planted(make, {levels: runs[:1] for levels, runs in CELLS.items()}).done())
    assert {each.accuracy.low for each in factors.main_effects(found)} == {None}
    assert factors.interactions(found)[0].difference.low is None
    assert factors.section(found) in sections.for_page(found)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["model.mixer", "task.length"], ["mixer", "length"]),
        (["m.a.kernel", "m.b.kernel"], ["a.kernel", "b.kernel"]),
        (["kernel", "m.kernel"], ["kernel", "m.kernel"]),
    ],
)
def test_short_names_tell_factors_apart(names, short):
    assert list(factors.short_names(names).values()) == short


# -- effects against the baseline -----------------------------------------------------------------


def against(make, arms, baseline="base"):
    maker = make(baseline=baseline)
    for label, (accuracies, steps) in arms.items():
        arm = maker.arm(label)
        for seed, (accuracy, solved) in enumerate(zip(accuracies, steps, strict=True)):
            maker.run(arm, seed, accuracy=accuracy, solved=solved)
    found = read(maker.done())
    return found, effects.effects(found, table.build(found))


ARMS = {
    "base": ([0.5, 0.6], [400, 900]),
    "fast": ([0.8, 0.9], [100, 100]),
    "never": ([0.3, 0.3], [300, None]),
}


def test_effects_are_those_of_the_answer_and_ratios_of_geometric_means(make):
    found, (fast, never) = against(make, ARMS)
    assert [each.arm for each in (fast, never)] == ["fast", "never"]
    rows = {row.arm: row for row in table.build(found).rows}
    assert fast.difference == rows["fast"].difference_estimate
    assert fast.ratio.value == pytest.approx(100 / 600)
    # Welch with one group without spread: the other's standard error and its one degree of freedom.
    error = np.std(np.log([400, 900]), ddof=1) / math.sqrt(2)
    assert fast.ratio.high == pytest.approx(100 / 600 * math.exp(t.ppf(0.975, 1) * error))
    assert never.ratio is None and never.difference.value == pytest.approx(-0.25)
    (grid,) = effects.section(found).grids
    assert grid.rows[0][2].startswith("x0.167 [") and grid.rows[1][2] == "-"


@pytest.mark.parametrize(
    ("arms", "baseline"),
    [
        (ARMS, None),
        ({"base": ([], [])}, "base"),
        ({"base": ([], []), "fast": ([], [])}, "base"),
    ],
)
def test_without_a_baseline_or_runs_there_is_no_effect(make, arms, baseline):
    found, none = against(make, arms, baseline)
    assert none == [] and effects.section(found) is None


def test_without_ratios_the_answer_has_all_effects(make):
    found, some = against(make, {label: (acc, [None] * 2) for label, (acc, _) in ARMS.items()})
    assert len(some) == 2 and effects.section(found) is None
