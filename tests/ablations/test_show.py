"""What a plan says."""

from __future__ import annotations

import pytest

from ablations import todo
from ablations.show import plan_data, render_plan
from tests.ablations.examples import SMALL, changed, load
from tests.ablations.test_ablation import NUISANCE

ADVICE = "train.stop_when_solved: true would end solved runs early"
STOPPING = changed(("  train:\n", "  train:\n    stop_when_solved: true\n"))
SPEED = "metric: steps_to_solve\n"


def shown(text: str, *metrics: str, tmp_path) -> str:
    sides = "a: {model.mixer: attention}, b: {model.mixer: long_conv}"
    claims = [
        f"  - {{id: c{i}, kind: less, metric: {metric}, {sides}}}\n"
        for i, metric in enumerate(metrics)
    ]
    ablation = load(text + ("claims:\n" if claims else "") + "".join(claims))
    plan = todo.plan_from_folder(ablation, tmp_path)
    data = plan_data(ablation, plan, tmp_path)
    assert sum(ADVICE in line for line in data["advice"]) == (ADVICE in render_plan(data))
    return render_plan(data)


@pytest.mark.parametrize("metrics", [("steps_to_solve",), ("steps_to_solve", "solve_rate")])
def test_claims_of_solving_alone_are_told_that_runs_may_stop(metrics, tmp_path):
    text = shown(SMALL, *metrics, tmp_path=tmp_path)
    assert f"every claim is about {' or '.join(sorted(metrics))}: {ADVICE}" in text
    assert ADVICE in shown(NUISANCE + SPEED, *metrics, tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        (SMALL, ()),
        (SMALL, ("steps_to_solve", "accuracy")),
        (SMALL, ("seconds",)),  # of all steps
        (STOPPING, ("steps_to_solve",)),
        (NUISANCE, ("steps_to_solve",)),  # tuned by accuracy, which stopping would pin
    ],
)
def test_there_is_no_advice_where_the_last_step_counts_or_runs_stop_already(
    text, metrics, tmp_path
):
    assert ADVICE not in shown(text, *metrics, tmp_path=tmp_path)
