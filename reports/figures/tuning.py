"""Tuning curves: the score on the selection seeds over each tuned number, the learning rate above
all. A curve that is best at an end of the grid has no peak there, and is marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.figures.markup import Picture, picture
from reports.figures.panels import log_ticks, panels, spread
from reports.figures.style import INK, MOST_TOGETHER, styled
from reports.records import Arm, Records, once
from reports.table import plain, value_text
from reports.tuning import Point, is_at_edge, points, tuned_numbers

NAMES = {"train.lr": "learning rate", "train.weight_decay": "weight decay"}
SCORES = {  # what a metric is called, and how runs without one count
    "accuracy": ("accuracy", "A run that diverged counts as 0."),
    "loss": ("loss", "A run that diverged leaves no mean, and a cross."),
    "steps_to_solve": (
        "steps to solve",
        "The mean is the geometric one; a run that did not solve the task counts with all its "
        "steps.",
    ),
}
APART = 7  # points from one arm to the next at the same value
BEYOND = 0.18  # of the axis at either end, for marks beside the first and last value


@once
def draw_tuning(records: Records) -> list[Picture]:
    """A figure for each tuned number, of the arms whose setting is chosen."""
    arms = [arm for arm in records.arms if arm.condition_id in records.choices]
    if not arms:
        return []
    with styled():
        numbers = tuned_numbers(records)
        return [_over(records, key, values, arms) for key, values in numbers.items()]


def _over(records: Records, key: str, values: Sequence[float], arms: Sequence[Arm]) -> Picture:
    found = {arm.condition_id: points(records, arm, key) for arm in arms}
    metric, together = records.meta["metric"], len(arms) <= MOST_TOGETHER
    is_log = values[0] > 0
    places = {value: value if is_log else index for index, value in enumerate(values)}

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        right = APART * (arms.index(arm) - (len(arms) - 1) / 2) if together else 0.0
        for point in found[arm.condition_id]:
            _point(axes, point, places[point.value], colour, right)
            if point.is_chosen and math.isfinite(point.score):
                _chosen(axes, point, places[point.value], values, right)
        look = {"marker": marker, "ms": 6, "mec": "none", "transform": _moved(axes, right)}
        axes.plot(*curve(arm), color=colour, lw=1.8, **look)

    def curve(arm: Arm) -> tuple[list[float], list[float]]:
        own = {point.value: point.score for point in found[arm.condition_id]}
        scores = [own.get(value, math.nan) for value in values]
        return list(places.values()), [each if math.isfinite(each) else math.nan for each in scores]

    name, (score, odd) = NAMES.get(key, plain(key)), SCORES[metric]
    is_share = metric == "accuracy"
    figure = panels(
        arms, line, curve, x=name, y=f"selection {score}", many_ticks=False, is_share=is_share
    )
    for axes in figure.axes[: 1 if together else len(arms)]:
        _value_axis(axes, places, is_log=is_log, most=12 if together else 4)
        if not is_share:
            _score_axis(axes, [point for own in found.values() for point in own])
    said = [f"{plain(arm.label)} {_said(found[arm.condition_id], values)}" for arm in arms]
    text = f"{score.capitalize()} on the selection seeds over {name}, by arm. Chosen: "
    others = [NAMES.get(other, plain(other)) for other in _tuned(records) if other != key]
    caption = (
        "Dots: every selection run. Line: their mean, by which the setting was chosen; bars: its "
        f"95 % interval. {odd} Ring: chosen. Arrowhead: chosen at the edge of the grid, so that a "
        "better value may lie beyond."
    )
    if others:
        caption += f" What else was tuned ({', '.join(others)}) is at its best for each value."
    return picture(figure, f"Tuning curves: {name}", text + "; ".join(said) + ".", caption)


def _tuned(records: Records) -> list[str]:
    """Dotted keys that have several values, numbers or not."""
    settings = records.meta["nuisances"]
    return [key for key in settings[0] if any(each[key] != settings[0][key] for each in settings)]


def _point(axes, point: Point, place: float, colour: str, right: float) -> None:
    """Every seed, the interval of their mean, and a cross at the top where there is no mean."""
    look = {"color": colour, "transform": _moved(axes, right)}
    if point.low is not None:
        axes.plot([place] * 2, [point.low, point.high], lw=1.1, alpha=0.7, **look)
    seeds = [score for score in point.seeds if math.isfinite(score)]
    axes.plot([place] * len(seeds), seeds, "o", ms=4.5, mec="none", alpha=0.35, **look)
    if not math.isfinite(point.score):
        top = {"transform": _moved(axes, right, axes.get_xaxis_transform())}
        axes.plot([place], [1], "x", color=colour, ms=7, mew=1.8, clip_on=False, **top)


def _chosen(axes, point: Point, place: float, values: Sequence[float], right: float) -> None:
    look = {"color": INK, "ls": "none", "clip_on": False, "zorder": 4}
    ring = {"marker": "o", "ms": 13, "mfc": "none", "mew": 1.3}
    axes.plot([place], [point.score], transform=_moved(axes, right), **ring, **look)
    if is_at_edge(point.value, values):
        outwards = -1 if point.value == values[0] else 1
        at = _moved(axes, right + outwards * 12)
        axes.plot([place], [point.score], "<>"[outwards > 0], ms=6, mew=0, transform=at, **look)


def _moved(axes, right: float, transform=None):
    """Data coordinates, or other ones, so many points to the right."""
    from matplotlib.transforms import ScaledTranslation

    moved = ScaledTranslation(right / 72, 0, axes.figure.dpi_scale_trans)
    return (transform or axes.transData) + moved


def _value_axis(axes, places: dict[float, float], *, is_log: bool, most: int) -> None:
    """The values of the grid; logarithmic, or one after the other where they start at 0."""
    shown, (low, *_, high) = list(places), places.values()
    if is_log:
        shown, beyond = spread(shown, most), (high / low) ** BEYOND
        axes.set_xscale("log")
        axes.set_xlim(low / beyond, high * beyond)
    else:
        axes.set_xlim(low - BEYOND * (high - low), high + BEYOND * (high - low))
    axes.set_xticks([places[value] for value in shown], [value_text(value) for value in shown])
    axes.minorticks_off()


def _score_axis(axes, found: Sequence[Point]) -> None:
    """Losses and steps on a logarithmic axis that holds every run; intervals may leave it."""
    scores = [score for point in found for score in (*point.seeds, point.score)]
    scores = [score for score in scores if math.isfinite(score) and score > 0]
    if scores:
        low, high = min(scores) / 1.15, max(scores) * 1.15
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        ticks = log_ticks(low, high, 8)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()


def _said(found: Sequence[Point], values: Sequence[float]) -> str:
    (chosen,) = (point for point in found if point.is_chosen)
    edge = ", the edge of the grid" if is_at_edge(chosen.value, values) else ""
    return f"{chosen.score:.3g} at {value_text(chosen.value)}{edge}"
