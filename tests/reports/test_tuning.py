"""Tuning curves: means as stored, every seed, intervals; the chosen value, at an edge or not."""

from __future__ import annotations

import math

import numpy as np
import pytest

import reports
from reports import figures, records, tuning
from reports.statistics import mean_interval
from tests.reports.conftest import STEPS

RATES = [1e-3, 3e-3, 1e-2]


@pytest.fixture
def tune(make):
    """A ledger of one arm, by metric: each setting's runs as (status, last value), and its score.

    The first setting is the one that was chosen.
    """

    def ledger(metric: str, settings: list[dict], runs: list[list[tuple]], scores: list):
        maker = make(metric=metric, nuisances=settings)
        arm = maker.arm("own")
        for setting, several in zip(settings, runs, strict=True):
            for seed, (status, value) in enumerate(several):
                curve = [] if value is None else [(800, 0.1), (STEPS, value)]
                maker.run(
                    arm, seed, purpose="selection", nuisance=setting, status=status,
                    curve=curve if metric == "accuracy" else _losses(curve),
                    solved=value if metric == "steps_to_solve" else None,
                )  # fmt: skip
        rows = [
            {"nuisance": setting, "accuracy": 0.5, metric: score}
            for setting, score in zip(settings, scores, strict=True)
            if score != "failed"
        ]
        maker.select(arm, settings[0], rows)
        return maker.done()

    return ledger


def _losses(curve):
    """Accuracies that Maker turns into these losses."""
    return [(step, 1.02 - value / 3) for step, value in curve]


def _points(folder, key="train.lr"):
    found = records.read(folder)
    return tuning.points(found, found.arms[0], key)


ONE_RATE = [{"train.lr": 3e-3}, {"train.lr": 1e-2}]


@pytest.mark.parametrize(
    "metric, runs, seeds, score, interval",
    [
        ("accuracy", [("finished", 0.8), ("finished", 0.6)], [0.8, 0.6], 0.7,
         mean_interval([0.8, 0.6]).clipped(0, 1)[1:]),
        ("accuracy", [("finished", 0.8), ("diverged", 0.7)], [0.8, 0.0], 0.4,
         mean_interval([0.8, 0.0]).clipped(0, 1)[1:]),
        ("accuracy", [("finished", 0.8)], [0.8], 0.8, (None, None)),
        ("loss", [("finished", 0.3), ("finished", 0.5)], [0.3, 0.5], 0.4,
         mean_interval([0.3, 0.5]).clipped(0, math.inf)[1:]),
        ("loss", [("finished", 0.3), ("diverged", 0.2)], [0.3, math.inf], None, (None, None)),
        ("steps_to_solve", [("finished", 400), ("finished", None)], [400, STEPS], 800,
         np.exp(mean_interval(np.log([400, STEPS]))[1:])),
    ],
)  # fmt: skip
def test_a_point_is_the_score_its_seeds_and_their_interval(
    tune, metric, runs, seeds, score, interval
):
    chosen, _ = _points(tune(metric, ONE_RATE, [runs, []], [score, 0.9]))
    assert chosen.value == 3e-3 and chosen.is_chosen
    assert chosen.seeds == pytest.approx(seeds)
    assert chosen.score == (math.inf if score is None else score)
    assert (chosen.low, chosen.high) == pytest.approx(tuple(interval))


def test_a_setting_whose_runs_failed_has_no_point(tune):
    folder = tune("accuracy", ONE_RATE, [[("finished", 0.8)], [("failed", None)]], [0.8, "failed"])
    assert [point.value for point in _points(folder)] == [3e-3]


BOTH = [{"train.lr": lr, "train.weight_decay": wd} for lr in (1e-3, 1e-2) for wd in (0.1, 0.0)]


@pytest.mark.parametrize(
    "metric, scores, key, expected",
    [
        ("accuracy", [0.9, 0.5, 0.6, 0.7], "train.lr", [(1e-3, 0.9, True), (1e-2, 0.7, False)]),
        ("loss", [0.1, 0.5, None, 0.7], "train.lr", [(1e-3, 0.1, True), (1e-2, 0.7, False)]),
        ("accuracy", [0.9, 0.5, 0.6, 0.7], "train.weight_decay",
         [(0.0, 0.7, False), (0.1, 0.9, True)]),
        # a tie that solve rate or steps decided: the chosen setting is the one on the curve
        ("accuracy", [0.9, 0.9, 0.6, 0.7], "train.lr", [(1e-3, 0.9, True), (1e-2, 0.7, False)]),
    ],
)  # fmt: skip
def test_what_else_was_tuned_is_at_its_best(tune, metric, scores, key, expected):
    runs = [[("finished", 0.5 + index / 10)] for index in range(4)]
    found = _points(tune(metric, BOTH, runs, scores), key)
    assert [(point.value, point.score, point.is_chosen) for point in found] == expected
    assert all(len(point.seeds) == 1 for point in found)


@pytest.mark.parametrize(
    "value, values, is_edge",
    [(1e-3, RATES, True), (3e-3, RATES, False), (1e-2, RATES, True),
     (0.0, [0.0, 0.1], False), (0.1, [0.0, 0.1], True)],
)  # fmt: skip
def test_edges(value, values, is_edge):
    assert tuning.is_at_edge(value, values) == is_edge


@pytest.mark.parametrize(
    "settings, numbers",
    [
        ([{}], {}),
        ([{"train.lr": 1e-3}], {}),
        ([{"train.lr": lr} for lr in (1e-2, 1e-3)], {"train.lr": [1e-3, 1e-2]}),
        ([{"train.lr": 1e-3, "train.schedule": word} for word in ("cosine", "linear")], {}),
        ([{"model.tied": flag} for flag in (True, False)], {}),
        (BOTH, {"train.lr": [1e-3, 1e-2], "train.weight_decay": [0.0, 0.1]}),
    ],
)
def test_numbers_of_two_values_or_more_have_curves(make, settings, numbers):
    maker = make(nuisances=settings)
    maker.select(
        maker.arm("own"), settings[0], [{"nuisance": s, "accuracy": 0.5} for s in settings]
    )
    found = records.read(maker.done())
    assert tuning.tuned_numbers(found) == numbers
    assert len(figures.draw_tuning(found)) == len(numbers)


def test_before_a_choice_there_are_no_curves(maker):
    maker.arm("own")
    assert figures.draw_tuning(records.read(maker.done())) == []


@pytest.mark.parametrize("metric, y", [("accuracy", "selection accuracy"),
                                       ("loss", "selection loss"),
                                       ("steps_to_solve", "selection steps to solve")])  # fmt: skip
def test_the_chosen_rate_is_said_and_whether_it_is_at_the_edge(tune, metric, y):
    settings = [{"train.lr": rate} for rate in (1e-2, 1e-3, 3e-3)]
    runs = [[("finished", 0.4), ("finished", 0.3)], [("finished", 0.2)], [("finished", 0.3)]]
    if metric == "steps_to_solve":
        runs = [[("finished", 400), ("finished", None)], [("finished", 900)], [("finished", 700)]]
    folder = tune(metric, settings, runs, [0.35, None if metric == "loss" else 0.2, 0.3])
    (picture,) = figures.draw_tuning(records.read(folder))
    assert picture.title == "Tuning curves: learning rate"
    assert "Chosen: own 0.35 at 0.01, the edge of the grid." in picture.svg
    for said in (y, ">0.001<", ">0.003<", ">0.01<", "learning rate"):
        assert said in picture.svg
    assert "edge of the grid" in picture.caption and "What else was tuned" not in picture.caption


def test_what_has_one_value_was_not_tuned(make):
    settings = [{"train.lr": lr, "train.weight_decay": 0.1} for lr in (1e-3, 1e-2)]
    maker = make(nuisances=settings)
    scores = [{"nuisance": setting, "accuracy": 0.5} for setting in settings]
    maker.select(maker.arm("own"), settings[0], scores)
    (picture,) = figures.draw_tuning(records.read(maker.done()))
    assert "What else" not in picture.caption


def test_an_inner_choice_is_at_no_edge(maker):
    maker.choose(maker.arm("own"), 3e-3)
    (picture,) = figures.draw_tuning(records.read(maker.done()))
    assert "Chosen: own 0.9 at 0.003." in picture.svg


def test_two_tuned_numbers_have_a_figure_each_on_the_page(tune):
    runs = [[("finished", 0.9)], [("finished", 0.5)], [("finished", 0.6)], [("finished", 0.7)]]
    folder = tune("accuracy", BOTH, runs, [0.9, 0.5, 0.6, 0.7])
    rate, decay = figures.draw_tuning(records.read(folder))
    assert "What else was tuned (weight decay) is at its best for each value." in rate.caption
    assert "What else was tuned (learning rate) is at its best for each value." in decay.caption
    assert ">0<" in decay.svg and ">0.1<" in decay.svg
    page = reports.write_html(folder).read_text()
    for title in ("Tuning curves: learning rate", "Tuning curves: weight decay"):
        assert f"<h3>{title}</h3>" in page
