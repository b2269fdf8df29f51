"""Cost against quality: arms as points, and the front of those that none beats in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reports import compute
from reports.figures.forest import ratio_axis
from reports.figures.markup import Picture, picture
from reports.figures.panels import share_axis
from reports.figures.style import (
    COLOURS,
    GREY,
    INK,
    MARKERS,
    MOST_TOGETHER,
    handle,
    legend,
    new_figure,
    shortened,
    wrapped,
)
from reports.records import Records
from reports.table import Table, count_text, estimate_text, plain
from reports.tradeoff import UNITS, Point, Tradeoff, tradeoffs

MOST_TASKS = 6
CLOSE = 0.09  # of an axis, within which two numbers would overlap


def draw(records: Records, table: Table) -> Picture | None:
    """A row of panels for each task, a column for each cost; None where all cost the same."""
    found = tradeoffs(records, table)
    tasks = list(dict.fromkeys(each.task for each in found))
    if not found or len(tasks) > MOST_TASKS:
        return None
    units = [unit for unit in UNITS if any(each.unit == unit for each in found)]
    by_place = {(each.task, each.unit): each for each in found}
    looks = _looks(found)
    height = 3.4 if len(tasks) == 1 else 2.6 * len(tasks)
    figure, _ = new_figure(8.4, height, len(tasks), len(units), share_x=False)
    places = [(task, unit) for task in tasks for unit in units]
    share_axis(figure.axes[0], [end for t in found for p in t.points for end in p.accuracy])
    for place, axes in zip(places, figure.axes, strict=True):
        axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
        if place not in by_place:
            axes.text(0.5, 0.5, "all cost the same", transform=axes.transAxes, ha="center",
                      color=GREY, fontstyle="italic")  # fmt: skip
            axes.set_xticks([])
        else:
            _panel(axes, by_place[place], looks, num_ticks=14 // len(units))
        if place[0] == tasks[-1]:
            axes.set_xlabel(place[1])
        if place[0] and place[1] == units[0]:
            axes.set_title(wrapped(place[0], 40), loc="left", fontsize=10)
    figure.supylabel("test accuracy", fontsize=11)
    handles = [
        handle(marker, colour, shortened(f"{number}  {name}" if number else name, 60))
        for name, (colour, marker, number) in looks.items()
        if colour != GREY
    ]
    rows = legend(figure, [*handles, handle("", GREY, "none is as cheap and as good")])
    figure.set_figheight(height + 0.22 * rows)
    text = f"Test accuracy against cost. {' '.join(map(_said, found))}"
    return picture(figure, "Cost against quality", text, _caption(records, found))


def _looks(found: Sequence[Tradeoff]) -> Mapping[str, tuple[str, str, int]]:
    """Arm -> colour, marker and number: few have a colour each; of many, those that are on a front
    have a number, the others are grey."""
    arms = list(dict.fromkeys(point.arm for each in found for point in each.points))
    if len(arms) <= MOST_TOGETHER:
        return {
            arm: (colour, marker, 0)
            for arm, colour, marker in zip(arms, COLOURS, MARKERS, strict=False)
        }
    front = {point.arm for each in found for point in each.front}
    numbers = {arm: number for number, arm in enumerate((a for a in arms if a in front), 1)}
    return {
        arm: (COLOURS[0], "o", numbers[arm]) if arm in numbers else (GREY, "o", 0) for arm in arms
    }


def _panel(axes, each: Tradeoff, looks: Mapping, *, num_ticks: int) -> None:
    ratio_axis(axes, [point.cost for point in each.points], num_ticks=num_ticks)
    low, high = axes.get_xlim()
    axes.set_xlim(low / (high / low) ** 0.12, high)  # numbers stand to the left of their points
    ticks = axes.get_xticks()
    axes.set_xticks(ticks, [count_text(t) if t >= 1000 else f"{t:.3g}" for t in ticks])
    front = each.front
    at = [*(point.cost for point in front), axes.get_xlim()[1]]
    best = [point.accuracy.value for point in front]
    axes.plot(at, [*best, best[-1]], color=GREY, lw=1.4, drawstyle="steps-post", zorder=1)
    for point in sorted(each.points, key=lambda point: point.is_on_front):
        colour, marker, number = looks[point.arm]
        colour = colour if not number or point.is_on_front else GREY
        low, high = point.accuracy[1:]
        faint = {"alpha": 0.45} if colour == GREY else {}
        if low is not None:
            axes.plot([point.cost] * 2, [low, high], color=colour, lw=1.2, **faint)
        axes.plot([point.cost], [point.accuracy.value], marker, ms=6, mfc=colour, mec="none",
                  clip_on=False, zorder=3, **faint)  # fmt: skip
    for text, point in _numbers(axes, front, looks):
        axes.annotate(
            text, (point.cost, point.accuracy.value), xytext=(-4, 4),
            textcoords="offset points", ha="right", va="bottom", fontsize=9, color=INK,
        )  # fmt: skip


def _numbers(axes, front: Sequence[Point], looks: Mapping) -> list[tuple[str, Point]]:
    """Numbers and the point at which they stand: one text for points that lie close together."""
    low, high = map(math.log, axes.get_xlim())
    bottom, top = axes.get_ylim()
    out: list[tuple[str, Point]] = []
    for point in front:
        number = str(looks[point.arm][2] or "")
        if out and number:
            text, before = out[-1]
            apart = (math.log(point.cost) - math.log(before.cost)) / (high - low)
            above = point.accuracy.value - before.accuracy.value
            if apart < CLOSE and above < CLOSE * (top - bottom):
                out[-1] = (f"{text}, {number}", before)
                continue
        if number:
            out.append((number, point))
    return out


def _said(each: Tradeoff) -> str:
    points = [
        f"{point.arm} {_cost(point.cost)}, {estimate_text(point.accuracy)}" for point in each.points
    ]
    front = ", ".join(point.arm for point in each.front)
    at = f"{each.task}, by" if each.task else "By"
    return f"{at} {each.unit}: {'; '.join(points)}. On the front: {front}."


def _cost(value: float) -> str:
    return count_text(value) if value >= 1000 else f"{value:.3g}"


def _caption(records: Records, found: Sequence[Tradeoff]) -> str:
    said = ["Mean over finished seeds with its 95 % interval, costs on logarithmic axes."]
    said.append("The front goes by means alone; arms whose intervals overlap may change places.")
    if any(each.unit == "seconds of training" for each in found):
        said.append(f"Seconds: of a run that takes all its steps. {compute.seconds_note(records)}")
    regimes = {plain(arm.facts.get("regime")) for arm in records.arms if arm.facts.get("regime")}
    if len(regimes) > 1:
        said.append(f"Regimes are mixed: {', '.join(sorted(regimes))}.")
    return " ".join(said)
