"""Accuracy at equal compute: what is spent, who is compared, what is read off, how it is shown."""

from __future__ import annotations

import re

import pytest

import reports
from reports import compute, figures, records, sections
from reports.figures.panels import log_ticks, spread
from reports.statistics import mean_interval
from reports.table import estimate_text
from tests.reports.conftest import STEPS

RISE = [(400, 0.2), (800, 0.4), (1600, 0.8)]
GFLOPS = 1e9 * STEPS  # of a run whose steps cost one


@pytest.fixture
def train(maker):
    """An arm of finished runs; gflops: of a step. seconds: of each run."""

    def arm(label, gflops, *, seconds=(16.0,), curve=RISE, task="recall", about=(), **facts) -> str:
        spec = {"task": {"name": task}, "model": {}, "train": dict(facts.pop("train", {}))}
        made = maker.arm(label, spec, training_flops=gflops and gflops * GFLOPS, **facts)
        for seed, wall_s in enumerate(seconds):
            maker.run(made, seed, curve=curve, wall_s=wall_s, steps=curve[-1][0], **dict(about))
        return made

    return arm


def _compared(folder):
    return [(each.unit, [arm.label for arm in each.arms], each.budget)
            for each in compute.comparisons(records.read(folder))]  # fmt: skip


def _titles(folder) -> list[str]:
    found = records.read(folder)
    return [picture.title for picture in figures.draw(found)]


# -- what is spent --------------------------------------------------------------------------------


def test_an_arm_spends_what_all_steps_of_a_run_cost(train, maker):
    key = train("a", 2.0, seconds=(10.0, 30.0))
    stopped = train("stopped", 2.0, seconds=(10.0,), curve=RISE[:2])  # after 800 of 1600 steps
    assert compute.spent(records.read(maker.done())) == {
        key: (STEPS, 2 * GFLOPS, 20.0),
        stopped: (STEPS, 2 * GFLOPS, 20.0),
    }


def test_an_arm_without_a_finished_run_spends_what_is_not_known(train, maker):
    train("a", 2.0)
    maker.run(maker.arm("lost"), 0, status="diverged", curve=RISE)
    folder = maker.done()
    assert len(compute.spent(records.read(folder))) == 1
    (picture,) = _over_compute(folder)
    assert "Arms without a finished run are left out." in picture.caption


@pytest.mark.parametrize("other", [{"device": "cuda H100"}, {"threads": 2}])
def test_seconds_of_unlike_places_are_not_compared(train, maker, other):
    train("a", 1.0)
    train("b", 2.0, about=other)
    folder = maker.done()
    assert _compared(folder) == [("FLOPs", ["a", "b"], GFLOPS)]
    found = compute.section(records.read(folder))
    assert len(found.grids) == 1 and "Seconds" not in found.note
    (picture,) = _over_compute(folder)
    assert "training FLOPs" in picture.svg and "seconds of training" not in picture.svg
    assert "runs differ in device or threads" in picture.caption


# -- who is compared ------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio, is_compared", [(1.0, False), (1.04, False), (1.06, True)])
def test_arms_are_compared_where_their_steps_cost_more_or_less(train, maker, ratio, is_compared):
    train("a", 1.0)
    train("b", ratio)
    folder = maker.done()
    assert (_compared(folder) != []) == is_compared
    assert (compute.section(records.read(folder)) is not None) == is_compared
    (picture,) = _over_compute(folder)
    assert ("training FLOPs" in picture.svg) == is_compared
    assert "seconds of training" in picture.svg
    assert ("about as many FLOPs" in picture.caption) != is_compared


def test_each_task_has_its_own_comparison(train, maker):
    for task, scale in (("recall", 1), ("sorting", 10)):
        for label, gflops in (("cheap", 1.0), ("dear", 2.0)):
            train(f"{task}, {label}", scale * gflops, task=task, seconds=(8.0 * scale * gflops,))
    assert _compared(maker.done()) == [
        ("FLOPs", ["recall, cheap", "recall, dear"], GFLOPS),
        ("seconds", ["recall, cheap", "recall, dear"], 8.0),
        ("FLOPs", ["sorting, cheap", "sorting, dear"], 10 * GFLOPS),
        ("seconds", ["sorting, cheap", "sorting, dear"], 80.0),
    ]


def test_flops_that_are_not_known_are_not_compared(train, maker):
    train("a", 1.0)
    train("b", None)
    folder = maker.done()
    assert _compared(folder) == []
    (picture,) = _over_compute(folder)
    assert "FLOPs" not in picture.caption


# -- what is read off -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps, accuracy",
    [(399, None), (400, 0.2), (600, 0.3), (1200, 0.6), (1600, 0.8), (2000, 0.8)],
)
def test_accuracy_is_linear_between_evaluations(steps, accuracy):
    found = compute.accuracy_after([RISE], steps)
    assert (found and found.value) == (accuracy and pytest.approx(accuracy))


def test_accuracy_has_an_interval_over_runs():
    curves = [RISE, [(400, 0.3), (1600, 0.5)], [(400, 1.0)]]  # the last one stopped, solved
    assert compute.accuracy_after(curves, 1000) == mean_interval([0.5, 0.4, 1.0]).clipped(0, 1)


def test_one_run_that_was_not_evaluated_by_then_leaves_no_mean():
    assert compute.accuracy_after([RISE, [(600, 0.3)]], 500) is None


# -- how it is shown ------------------------------------------------------------------------------


def test_the_cheapest_arm_is_read_at_its_end_and_others_before(train, maker):
    train("cheap", 1.0, seconds=(8.0, 8.0))
    train("dear <b>", 2.0, seconds=(32.0, 32.0))
    folder = maker.done()
    by_flops, by_seconds = compute.section(records.read(folder)).grids
    half, end, quarter = (estimate_text(mean_interval([v, v])) for v in (0.4, 0.8, 0.2))
    assert by_flops.head == ("at equal FLOPs", "FLOPs a step", "at 1.6T", "after all steps")
    assert by_flops.rows == [("cheap", "1G", end, end), ("dear <b>", "2G", half, end)]
    assert by_seconds.head == ("at equal seconds", "seconds a step", "at 8 s", "after all steps")
    assert by_seconds.rows == [("cheap", "0.005", end, end), ("dear <b>", "0.02", quarter, end)]
    page = reports.write_html(folder).read_text()
    assert "<h2>At equal compute</h2>" in page and "dear &lt;b&gt;" in page
    found = records.read(folder)
    for shown in (sections.for_page(found), sections.for_terminal(found)):
        assert "At equal compute" in [section.title for section in shown]


def test_a_budget_before_the_first_evaluation_leaves_no_cell(train, maker):
    train("cheap", 1.0)
    train("dear", 8.0)
    by_flops, _ = compute.section(records.read(maker.done())).grids
    assert by_flops.rows[1][2] == "-"


@pytest.mark.parametrize("schedule, is_told", [("constant", False), ("cosine", True)])
def test_runs_in_the_middle_of_their_schedule_are_told(train, maker, schedule, is_told):
    train("a", 1.0, train={"schedule": schedule})
    train("b", 2.0, train={"schedule": schedule})
    note = compute.section(records.read(maker.done())).note
    assert ("middle of its learning-rate schedule" in note) == is_told


def test_cohorts_of_several_sizes_are_told(train, maker):
    train("a", 1.0, about={"cohort_size": 5})
    train("b", 2.0, about={"cohort_size": 1})
    assert "Cohorts had 1 to 5 members." in compute.section(records.read(maker.done())).note


def _over_compute(folder):
    found = records.read(folder)
    drawn = figures.draw(found)
    return [picture for picture in drawn if picture.title.startswith("Learning curves over")]


def test_curves_stand_side_by_side_with_the_place_where_they_are_compared(train, maker):
    train("cheap", 1.0, seconds=(8.0,))
    train("dear", 2.0, seconds=(32.0,))
    (picture,) = _over_compute(maker.done())
    assert picture.title == "Learning curves over compute"
    assert picture.svg.count("cheapest arm ends") == 2
    for said in (
        "training FLOPs",
        "seconds of training",
        "chance",
        "best shortcut",
        ">1T<",
        ">10<",
    ):
        assert said in picture.svg
    assert "FLOPs a step: cheap 1G; dear 2G. Seconds a step: cheap 0.005; dear 0.02." in picture.svg
    assert "evaluations are not counted" in picture.caption
    assert "shared equally by its members" in picture.caption


def test_many_arms_have_a_figure_for_flops_and_one_for_seconds(train, maker):
    for index in range(7):
        train(f"arm {index}", 1.0 + index, seconds=(8.0 + index,))
    drawn = _over_compute(maker.done())
    assert [p.title.rpartition(" ")[2] for p in drawn] == ["FLOPs", "seconds"]
    for picture in drawn:
        assert all(f"arm {index}" in picture.svg for index in range(7))


def test_curves_are_stretched_by_what_a_step_costs(train, maker):
    """In one panel the dearer arm is the same drawing, shifted to the right by log(2), to the
    hundredths of a point that are written."""
    train("cheap", 1.0)
    train("dear", 2.0)
    (picture,) = _over_compute(maker.done())
    drawn = re.findall(r'd="(M [^"]*?)"[^>]*?stroke-width: 2.2', picture.svg)
    cheap, dear = ([*map(float, re.findall(r"[\d.]+", path))] for path in drawn[:2])
    assert cheap[1::2] == dear[1::2] and len(cheap) == 2 * len(RISE)
    shifts = [b - a for a, b in zip(cheap[::2], dear[::2], strict=True)]
    assert shifts == pytest.approx([shifts[0]] * 3, abs=0.02) and shifts[0] > 0
    # 400 to 800 steps is a factor of two as well
    assert shifts[0] == pytest.approx(cheap[2] - cheap[0], abs=0.02)


def test_one_arm_alone_has_curves_over_steps_only(train, maker):
    train("a", 1.0)
    assert _titles(maker.done()) == ["Accuracy", "Learning curves"]


# -- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "low, high, most, ticks",
    [
        (1, 10, 8, [1, 2, 3, 5, 7, 10]),
        (2e10, 1.2e12, 7, [2e10, 5e10, 1e11, 2e11, 5e11, 1e12]),
        (15, 1500, 5, [30, 100, 300, 1000]),
        (0.5, 2e5, 4, [1, 100, 10000]),
        (6.1, 6.9, 4, [6.1, 6.9]),
        (6, 6, 4, [6]),
    ],
)
def test_ticks_are_round_and_not_too_many(low, high, most, ticks):
    assert log_ticks(low, high, most) == pytest.approx(ticks)


def test_names_of_near_values_do_not_overlap():
    assert spread([64, 65, 66, 128, 1024], 12) == [66, 128, 1024]
    assert spread([8], 12) == [8]
