"""Entrants over tasks, and the front of cost and quality."""

from __future__ import annotations

import numpy as np
import pytest

from reports import aggregates, sections, table, tradeoff
from reports.records import read
from reports.statistics import iqm


def suite_of(make, scores, **meta):
    """A ledger of entrants on tasks: (entrant, task) -> accuracies."""
    maker = make(**meta)
    for (entrant, task), accuracies in scores.items():
        spec = {"task": {"name": task}, "model": {"mixer": entrant}}
        arm = maker.arm(f"{entrant}, {task}", spec, {"mixer": entrant, "problem": task})
        for seed, accuracy in enumerate(accuracies):
            maker.run(arm, seed, accuracy=accuracy)
    return read(maker.done())


FEW = {
    ("good", "recall"): [0.9, 0.8],
    ("good", "copying"): [0.7, 0.4],
    ("bad", "recall"): [0.85, 0.3],
    ("bad", "copying"): [0.4, 0.3],
}


def test_entrants_are_told_from_tasks_by_what_changes_the_task(make):
    found = aggregates.suite(suite_of(make, FEW))
    assert found.tasks == ["recall", "copying"]
    assert found.scores["good"] == {"recall": [0.9, 0.8], "copying": [0.7, 0.4]}
    assert found.lacking == [] and found.baseline is None


def test_probability_of_improvement_is_the_mean_over_tasks(make):
    good, bad = aggregates.aggregates(suite_of(make, FEW))
    by_hand = (3 / 4 + 3.5 / 4) / 2  # recall: .8 is below .85; copying: one tie
    assert good.improves.value == pytest.approx(by_hand)
    assert bad.improves.value == pytest.approx(1 - by_hand)
    assert good.iqm.value == pytest.approx((0.7 + 0.8) / 2)  # the middle half of four
    assert good.iqm.low is None  # too few runs for a bootstrap
    assert good.num_runs == 4


def test_a_baseline_is_what_others_are_held_against(make):
    records = suite_of(make, FEW, baseline="bad, recall")
    good, bad = aggregates.aggregates(records)
    assert bad.improves is None and good.improves.value == pytest.approx(6.5 / 8)
    (grid,) = aggregates.section(records).grids
    assert grid.rows[1][:3] == ("bad", "0.350", "-")
    assert "above one of bad on the same task" in aggregates.section(records).note


def test_enough_runs_have_intervals_that_hold_the_value_and_do_not_change(make):
    rng = np.random.default_rng(0)
    scores = {
        (entrant, task): rng.uniform(low, low + 0.3, 5).tolist()
        for entrant, low in (("good", 0.6), ("bad", 0.3))
        for task in ("a", "b", "c", "d")
    }
    records = suite_of(make, scores, baseline="bad, a")
    first, second = aggregates.aggregates(records), aggregates.aggregates(records)
    assert first == second
    good = first[0]
    values = [v for (entrant, _), runs in scores.items() if entrant == "good" for v in runs]
    assert good.iqm.value == pytest.approx(iqm(values))
    assert good.iqm.low < good.iqm.value < good.iqm.high
    assert good.improves.low <= good.improves.value <= good.improves.high == 1
    note = aggregates.section(records).note
    assert ".80 at 10 tasks of 2 runs" in note and "not for others" in note
    assert aggregates.section(records) in sections.for_page(records)


def test_entrants_that_lack_a_task_are_named(make):
    records = suite_of(make, FEW | {("new", "recall"): [0.5], ("new", "copying"): []})
    assert aggregates.suite(records).lacking == ["new"]
    assert "Left out for lack of runs: new." in aggregates.section(records).note


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {key: runs for key, runs in FEW.items() if key[0] == "good"},  # one entrant
        {key: runs for key, runs in FEW.items() if key[1] == "recall"},  # one task
        {key: [] for key in FEW},  # all planned, none run
    ],
)
def test_without_several_entrants_on_several_tasks_there_is_nothing(make, scores):
    records = suite_of(make, scores)
    assert aggregates.suite(records) is None and aggregates.section(records) is None
    assert aggregates.aggregates(records) == []


# -- cost against quality -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("costs", "values", "expected"),
    [
        ([1, 2, 3], [0.1, 0.5, 0.9], [True, True, True]),
        ([1, 2, 3], [0.5, 0.5, 0.9], [True, False, True]),
        ([1, 1, 2], [0.5, 0.6, 0.55], [False, True, False]),
        ([1, 1], [0.5, 0.5], [True, True]),
        ([5], [0.0], [True]),
    ],
)
def test_the_front_holds_what_none_beats(costs, values, expected):
    assert tradeoff.on_front(costs, values) == expected


def traded(make, arms, **meta):
    maker = make(**meta)
    for label, (accuracy, flops, params, task) in arms.items():
        spec = {"task": {"name": task}, "model": {"mixer": label}}
        arm = maker.arm(
            label, spec, {"mixer": label, "problem": task}, flops_per_token=flops, params=params
        )
        for seed in range(2):
            maker.run(arm, seed, accuracy=accuracy, wall_s=10.0)
    records = read(maker.done())
    return tradeoff.tradeoffs(records, table.build(records))


def test_only_costs_that_differ_are_compared(make):
    arms = {
        "cheap": (0.6, 1e3, 500, "recall"),
        "dear": (0.9, 4e3, 500, "recall"),
        "waste": (0.5, 2e3, 510, "recall"),
    }
    (found,) = traded(make, arms)
    assert (found.task, found.unit) == ("", "FLOPs a token")
    assert [point.arm for point in found.front] == ["cheap", "dear"]
    assert [point.cost for point in found.points] == [1e3, 4e3, 2e3]


def test_tasks_have_fronts_of_their_own(make):
    arms = {
        "a": (0.6, 1e3, 500, "recall"),
        "b": (0.9, 2e3, 500, "recall"),
        "c": (0.2, 1e3, 500, "copying"),
        "d": (0.1, 2e3, 500, "copying"),
    }
    first, second = traded(make, arms)
    assert (first.task, second.task) == ("recall", "copying")
    assert [point.arm for point in first.front] == ["a", "b"]
    assert [point.arm for point in second.front] == ["c"]


@pytest.mark.parametrize("arms", [{}, {"a": (0.5, 1e3, 500, "recall")}])
def test_none_or_one_arm_trades_nothing(make, arms):
    assert traded(make, arms) == []
