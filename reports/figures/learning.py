"""Learning curves: validation accuracy over steps, and over what the steps cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from reports import compute
from reports.figures.markup import Picture, picture
from reports.figures.panels import (
    MOST_BEHIND,
    joined,
    log_ticks,
    name_arms,
    named_above,
    panels,
    together,
    unit_axis,
    yardstick_lines,
)
from reports.figures.style import GREY, MOST_TOGETHER, new_figure
from reports.records import Arm, Records
from reports.table import count_text, plain

MOST_SEEDS = 20  # of an arm, drawn one by one
MIDDLE = 0.9  # of more seeds, drawn as a band
Curves = Mapping[str, Sequence[compute.Curve]]  # condition_id -> a curve for each seed


class Scale(NamedTuple):
    """What curves are drawn over besides steps.

    a_step: condition_id -> cost of a step. budget: what the cheapest arm spends in all, where all
    arms are compared. text: how costs are written.
    """

    name: str
    axis: str
    a_step: dict[str, float]
    budget: float | None
    text: Callable[[float], str]


def draw(records: Records) -> list[Picture]:
    """Every seed a thin line, their mean a bold one; over steps, FLOPs and seconds."""
    curves = {}
    for arm in records.arms:
        found = [run.curve("validation", "accuracy") for run in records.confirmation(arm)]
        curves[arm.condition_id] = [curve for curve in found if curve]
    arms = [arm for arm in records.arms if curves[arm.condition_id]]
    if not arms:
        return []
    return [_over_steps(arms, curves), *_over_compute(records, arms, curves)]


def _over_steps(arms: Sequence[Arm], curves: Curves) -> Picture:
    line, mean = _lines(curves, dict.fromkeys(curves, 1))
    figure = panels(arms, line, mean, x="training steps", y="validation accuracy")
    final = [
        f"{plain(arm.label)} {_mean_curve(curves[arm.condition_id])[1][-1]:.2f}" for arm in arms
    ]
    text = "Validation accuracy over training steps, by arm and seed. Last mean: "
    seeds = "Thin: every seed."
    if max(len(curves[arm.condition_id]) for arm in arms) > MOST_SEEDS:
        seeds += f" Shaded: the middle {MIDDLE:.0%} of more than {MOST_SEEDS} seeds."
    caption = f"{seeds} Bold: their mean, in which a run that ended early keeps its last value."
    return picture(figure, "Learning curves", text + "; ".join(final) + ".", caption)


def _over_compute(records: Records, arms: Sequence[Arm], curves: Curves) -> list[Picture]:
    """The same over FLOPs, where steps differ in them, and over seconds, where they compare; not
    of so many arms that none stands beside another, where an axis alone would be another."""
    scales = _scales(records, arms)
    if not 2 <= len(arms) <= MOST_BEHIND or not scales:
        return []
    if len(arms) > MOST_TOGETHER:
        return [_in_panels(records, scale, arms, curves) for scale in scales]
    figure, _ = new_figure(8.4, 3.6, 1, len(scales), share_x=False)
    for axes, scale in zip(figure.axes, scales, strict=True):
        own = [arm for arm in arms if arm.condition_id in scale.a_step]
        line, _ = _lines(curves, scale.a_step)
        together(axes, arms, line)
        unit_axis(axes, many_ticks=False)
        yardstick_lines(axes, arms, labelled=False)
        _log_axis(axes, scale, own, curves, num_ticks=14 // len(scales))
        if scale.budget is not None:
            axes.axvline(scale.budget, color=GREY, lw=1.2, zorder=1)
            named_above(axes, scale.budget, "cheapest arm ends")
        axes.set_xlabel(scale.axis)
    figure.axes[0].set_ylabel("validation accuracy")
    rows = name_arms(figure, arms, and_yardsticks=True)
    figure.set_figheight(3.6 + 0.22 * rows)
    over = " and ".join(scale.name for scale in scales)
    text = f"Validation accuracy over {over}, by arm and seed. "
    text += " ".join(_said(scale, arms) for scale in scales)
    return [picture(figure, "Learning curves over compute", text, _caption(records, arms, scales))]


def _in_panels(records: Records, scale: Scale, arms: Sequence[Arm], curves: Curves) -> Picture:
    line, mean = _lines(curves, scale.a_step)
    figure = panels(arms, line, mean, x=scale.axis, y="validation accuracy", many_ticks=False)
    own = [arm for arm in arms if arm.condition_id in scale.a_step]
    for axes in figure.axes[: len(arms)]:
        _log_axis(axes, scale, own, curves, num_ticks=4)
    text = f"Validation accuracy over {scale.name}, by arm and seed. {_said(scale, arms)}"
    title = f"Learning curves over {scale.name}"
    return picture(figure, title, text, _caption(records, arms, [scale]))


def _scales(records: Records, arms: Sequence[Arm]) -> list[Scale]:
    ids, found = {arm.condition_id for arm in arms}, compute.comparisons(records)
    costs = {key: cost for key, cost in compute.spent(records).items() if key in ids}
    # Where all arms are held against each other, the place has a line.
    budgets = {each.unit: each.budget for each in found if len(each.arms) == len(arms)}
    flops = {k: e.flops / e.steps for k, e in costs.items() if e.flops is not None}
    seconds = {k: e.seconds / e.steps for k, e in costs.items() if e.seconds is not None}
    scales = []
    if found:
        scales.append(Scale("FLOPs", "training FLOPs", flops, budgets.get("FLOPs"), count_text))
    if seconds:
        budget = budgets.get("seconds")
        scales.append(Scale("seconds", "seconds of training", seconds, budget, _seconds_tick))
    return scales


def _lines(curves: Curves, a_step: Mapping[str, float]) -> tuple[Callable, Callable]:
    """What draws an arm, and what gives its mean, over steps times what a step costs."""
    means = {key: _mean_curve(curves[key]) for key in a_step if curves.get(key)}

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        if arm.condition_id not in means:
            return
        own, cost = curves[arm.condition_id], a_step[arm.condition_id]
        if len(own) <= MOST_SEEDS:
            thin = [
                tuple(zip(*((step * cost, v) for step, v in curve), strict=True)) for curve in own
            ]
            joined(axes, thin, color=colour, lw=0.8, alpha=0.5)
        else:
            steps, values = _filled(own)
            low, high = np.quantile(values, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2], axis=0)
            axes.fill_between(steps * cost, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(*mean(arm), color=colour, lw=2.2)

    def mean(arm: Arm) -> tuple[Sequence[float], Sequence[float]]:
        if arm.condition_id not in means:
            return (), ()
        steps, values = means[arm.condition_id]
        return [step * a_step[arm.condition_id] for step in steps], values

    return line, mean


def _log_axis(axes, scale: Scale, arms: Sequence[Arm], curves: Curves, *, num_ticks: int) -> None:
    """Logarithmic, so that equal curves whose costs differ are equal and shifted."""
    ends = [
        step * scale.a_step[arm.condition_id]
        for arm in arms
        for curve in curves[arm.condition_id]
        for step in (curve[0][0], curve[-1][0])
    ]
    axes.set_xscale("log")
    ticks = log_ticks(min(ends), max(ends), num_ticks)
    axes.set_xticks(ticks, [scale.text(tick) for tick in ticks])
    axes.minorticks_off()


def _seconds_tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.3g}"


def _said(scale: Scale, arms: Sequence[Arm]) -> str:
    costs = [
        f"{plain(arm.label)} {scale.text(scale.a_step[arm.condition_id])}"
        for arm in arms
        if arm.condition_id in scale.a_step
    ]
    return f"{scale.name[0].upper()}{scale.name[1:]} a step: {'; '.join(costs)}."


def _caption(records: Records, arms: Sequence[Arm], scales: Sequence[Scale]) -> str:
    names, costs = [scale.name for scale in scales], compute.spent(records).values()
    said = ["The same curves over what training had cost by then, on logarithmic axes."]
    if "FLOPs" in names:
        said.append(compute.FLOPS_NOTE)
    elif not compute.comparisons(records) and all(each.flops for each in costs):
        said.append("A step costs all arms of a task about as many FLOPs: over those, none moves.")
    if "seconds" in names:
        said.append(compute.seconds_note(records))
    elif all(each.seconds is None for each in costs):
        said.append("Seconds are left out: runs differ in device or threads.")
    if any(arm.condition_id not in scale.a_step for scale in scales for arm in arms):
        said.append("Arms without a finished run are left out.")
    return " ".join(said)


def _mean_curve(curves: Sequence[compute.Curve]) -> tuple[list[int], list[float]]:
    """Mean over the seeds at each step; a run that ended early keeps its last value.

    So a mean does not jump where a run stops: it stopped because it had solved the task, or
    because it diverged, and would not have moved.
    """
    steps, values = _filled(curves)
    return steps.tolist(), values.mean(axis=0).tolist()


def _filled(curves: Sequence[compute.Curve]) -> tuple[np.ndarray, np.ndarray]:
    """All steps, and the value of each seed at each: the last that it had, first its first."""
    steps = np.unique([step for curve in curves for step, _ in curve])
    rows = []
    for curve in curves:
        own, values = zip(*curve, strict=True)
        last = np.searchsorted(own, steps, side="right") - 1
        rows.append(np.asarray(values)[np.maximum(last, 0)])
    return steps, np.array(rows)
