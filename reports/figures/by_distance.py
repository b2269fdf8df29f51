"""Accuracy over the distance back to the evidence, and beside it over the way round a ring: what
sees all of its input as a ring may find the shorter way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports.figures.markup import Picture, picture
from reports.figures.panels import name_arms, together, unit_axis, yardstick_lines
from reports.figures.style import new_figure
from reports.records import Arm
from reports.table import plain, value_text

Points = dict[str, tuple[list[float], list[float]]]  # condition_id -> places and accuracies

PLAIN, CIRCULAR = "distance", "circular_distance"


def side_by_side(arms: Sequence[Arm], plain_: Points, circular: Points) -> Picture:
    """Two panels that share their axis of accuracy. circular: of those arms alone that see their
    input as a ring."""
    figure, _ = new_figure(8.4, 3.8, 1, 2, share_x=False)
    for axes, points, name in zip(
        figure.axes, (plain_, circular), ("distance", "circular distance"), strict=True
    ):
        together(axes, arms, _line(points))
        unit_axis(axes, many_ticks=True)
        yardstick_lines(axes, arms, labelled=points is plain_)
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("test accuracy")
    name_arms(figure, arms)
    said = []
    for arm in arms:
        parts = []
        for points, name in ((plain_, "distance"), (circular, "circular distance")):
            if arm.condition_id not in points:
                continue
            places, values = points[arm.condition_id]
            ends = [f"{value_text(values[end])} at {places[end]:.3g}" for end in (0, -1)]
            parts.append(f"{name} {' and '.join(ends)}")
        said.append(f"{plain(arm.label)}: {', '.join(parts)}")
    text = f"Test accuracy by distance and by circular distance, seeds pooled. {'; '.join(said)}."
    caption = (
        "Test targets of all finished seeds together; rare values are gathered. Circular: the "
        "shorter way round an input closed to a ring, as a circular convolution sees it; of "
        "bidirectional arms."
    )
    return picture(figure, "Accuracy by distance and circular distance", text, caption)


def _line(points: Points) -> Callable:
    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        style = {"marker": marker, "ms": 4.5, "mec": "none", "clip_on": False}
        if arm.condition_id in points:
            axes.plot(*points[arm.condition_id], color=colour, lw=1.8, **style)

    return line
