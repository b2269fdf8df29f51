"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence

from reports.figures.markup import Picture, picture
from reports.figures.panels import panels
from reports.figures.style import GREY
from reports.records import Arm, Records
from reports.table import plain


def draw(records: Records) -> Picture | None:
    """Validation accuracy over steps: every seed a thin line, their mean a bold one."""
    curves = {}
    for arm in records.arms:
        found = [run.curve("validation", "accuracy") for run in records.confirmation(arm)]
        curves[arm.condition_id] = [curve for curve in found if curve]
    arms = [arm for arm in records.arms if curves[arm.condition_id]]
    if not arms:
        return None

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        for curve in curves[arm.condition_id]:
            axes.plot(*zip(*curve, strict=True), color=colour, lw=0.8, alpha=0.5)
        axes.plot(*_mean_curve(curves[arm.condition_id]), color=colour, lw=2.2)

    def faint(axes, arm: Arm) -> None:
        axes.plot(*_mean_curve(curves[arm.condition_id]), color=GREY, lw=0.9, alpha=0.35)

    figure = panels(arms, line, faint, x="training steps", y="validation accuracy")
    final = [
        f"{plain(arm.label)} {_mean_curve(curves[arm.condition_id])[1][-1]:.2f}" for arm in arms
    ]
    text = "Validation accuracy over training steps, by arm and seed. Last mean: "
    caption = (
        "Thin: every seed. Bold: their mean, in which a run that ended early keeps its last value."
    )
    return picture(figure, "Learning curves", text + "; ".join(final) + ".", caption)


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> tuple[list[int], list[float]]:
    """Mean over the seeds at each step; a run that ended early keeps its last value.

    So a mean does not jump where a run stops: it stopped because it had solved the task, or
    because it diverged, and would not have moved.
    """
    steps = sorted({step for curve in curves for step, _ in curve})
    totals = [0.0] * len(steps)
    for curve in curves:
        known, value = dict(curve), curve[0][1]
        for index, step in enumerate(steps):
            value = known.get(step, value)
            totals[index] += value
    return steps, [total / len(curves) for total in totals]
