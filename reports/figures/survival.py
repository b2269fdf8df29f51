"""Steps to solve: share of runs that have solved the task, over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from reports.figures.markup import Picture, picture
from reports.figures.panels import MOST_BEHIND, name_arms, unit_axis
from reports.figures.style import (
    COLOURS,
    GREY,
    INK,
    MOST_ROWS,
    MOST_TOGETHER,
    new_figure,
    wrapped,
)
from reports.records import Arm, Records
from reports.statistics import SolveCurve, solve_curve
from reports.table import plain


class Solving(NamedTuple):
    """An arm's runs that ended: steps to solve (None: never), its budget, and their curve."""

    arm: Arm
    steps: list[int | None]
    budget: int
    curve: SolveCurve

    @property
    def num_solved(self) -> int:
        return sum(step is not None for step in self.steps)

    def at_risk(self, step: float) -> int:
        """Runs not solved before this step; unsolved ones until the budget ends."""
        ends = [self.budget if each is None else each for each in self.steps]
        return sum(end >= step for end in ends)


def draw(records: Records) -> Picture | None:
    """Kaplan-Meier curves; None where nothing was solved, or there are too many arms."""
    found = [each for arm in records.arms if (each := _solving(arm, records)) is not None]
    if not any(each.num_solved for each in found) or len(found) > MOST_ROWS:
        return None
    end, shown = max(each.budget for each in found), found
    if len(found) > MOST_TOGETHER:
        shown = [each for each in found if each.num_solved]
    figure = _together(shown, end) if len(shown) <= MOST_TOGETHER else _in_panels(shown, end)
    said = []
    for each in found:
        by = f" by step {each.curve.steps[-1]:,}" if each.num_solved else ""
        said.append(f"{plain(each.arm.label)} {each.num_solved} of {len(each.steps)}{by}")
    text = "Share of runs that have solved the task, over training steps. Solved: "
    caption = (
        "Kaplan-Meier; runs that never solved, diverged ones among them, are censored at their "
        "budget. Below: runs that had not solved the task before that step, in the order of names."
    )
    never = [plain(each.arm.label) for each in found if each not in shown]
    if never:
        caption += f" Never solved by any run, so not drawn: {'; '.join(never)}."
    return picture(figure, "Steps to solve", text + "; ".join(said) + ".", caption)


def _solving(arm: Arm, records: Records) -> Solving | None:
    steps = [run.steps_to_solve for run in records.confirmation(arm) if run.ended]
    budget = arm.facts.get("steps")
    if not steps or budget is None:
        return None
    return Solving(arm, steps, budget, solve_curve(steps, budget))


def _together(found: Sequence[Solving], end: int):
    figure, axes = new_figure(8.4, 4.0 + 0.2 * len(found))
    ticks = _ticks(axes, end, 8)
    for each, colour in zip(found, COLOURS, strict=False):
        _line(axes, each, color=colour, lw=2.0)
    axes.set_xlabel("training steps")
    axes.set_ylabel("share of runs solved")
    _below(axes, 0, -46, "not solved yet", INK, ha="left")
    for index, (each, colour) in enumerate(zip(found, COLOURS, strict=False)):
        for tick in ticks:
            _below(axes, tick, -61 - 14 * index, str(each.at_risk(tick)), colour)
    name_arms(figure, [each.arm for each in found])
    return figure


def _in_panels(found: Sequence[Solving], end: int):
    columns = 3
    rows = math.ceil(len(found) / columns)
    figure, _ = new_figure(8.4, 0.7 + 2.25 * rows, rows, columns)
    for index, axes in enumerate(figure.axes):
        if index >= len(found):
            axes.set_visible(False)
            continue
        for other in found:
            if other is not found[index] and len(found) <= MOST_BEHIND:
                _line(axes, other, color=GREY, lw=0.9, alpha=0.3)
        _line(axes, found[index], color=COLOURS[0], lw=2.2)
        ticks = _ticks(axes, end, 3)
        axes.set_title(wrapped(found[index].arm.label, 28), loc="left", fontsize=9)
        axes.tick_params(labelbottom=True, labelleft=index % columns == 0, labelsize=9)
        for tick in ticks:
            _below(axes, tick, -19, str(found[index].at_risk(tick)), COLOURS[0], va="top")
    figure.supxlabel("training steps; below them, runs not solved yet", fontsize=11)
    figure.supylabel("share of runs solved", fontsize=11)
    return figure


def _line(axes, each: Solving, **look) -> None:
    at = [0, *each.curve.steps, each.budget]
    solved = [0.0, *(1 - share for share in each.curve.unsolved)]
    axes.plot(at, [*solved, solved[-1]], drawstyle="steps-post", clip_on=False, **look)


def _ticks(axes, end: int, num: int) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    unit_axis(axes, many_ticks=False)
    axes.set_xlim(0, end)
    ticks = [t for t in MaxNLocator(num, integer=True).tick_values(0, end) if 0 <= t <= end]
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    return ticks


def _below(axes, step: float, points: float, text: str, colour: str, *, ha="center", va="center"):
    axes.annotate(
        text, (step, 0), xycoords=("data", "axes fraction"), xytext=(0, points),
        textcoords="offset points", ha=ha, va=va, fontsize=9, color=colour,
    )  # fmt: skip
