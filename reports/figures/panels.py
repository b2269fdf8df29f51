"""Curves of arms over something: in one panel, or, if they are many, in a panel each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reports.figures.style import (
    CHANCE,
    COLOURS,
    GREY,
    MARKERS,
    MOST_TOGETHER,
    SHORTCUT,
    handle,
    legend,
    new_figure,
    shortened,
    wrapped,
)
from reports.records import Arm


def panels(
    arms: Sequence[Arm],
    line: Callable,
    faint: Callable,
    *,
    x: str,
    y: str,
    many_ticks: bool = True,
    is_share: bool = True,
):
    """All arms in one panel, or, if they are many, one panel each with the others in grey.

    is_share: y is in [0, 1], where chance and the best shortcut have their places.
    """
    if len(arms) <= MOST_TOGETHER:
        figure, axes = new_figure(8.4, 4.0)
        handles = []
        for arm, colour, marker in zip(arms, COLOURS, MARKERS, strict=False):
            line(axes, arm, colour, marker)
            handles.append(handle("", colour, shortened(arm.label, 84)))
        if is_share:
            unit_axis(axes, many_ticks=many_ticks)
            yardstick_lines(axes, arms)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        legend(figure, handles)
        return figure
    columns = 3
    rows = math.ceil(len(arms) / columns)
    figure, grid = new_figure(8.4, 0.7 + 2.05 * rows, rows, columns)
    for index, axes in enumerate(grid.flat):
        if index >= len(arms):
            axes.set_visible(False)
            continue
        for other in arms:
            if other is not arms[index]:
                faint(axes, other)
        line(axes, arms[index], COLOURS[0], "o")
        axes.set_title(wrapped(arms[index].label, 28), loc="left", fontsize=9)
        if is_share:
            unit_axis(axes, many_ticks=many_ticks)
            yardstick_lines(axes, [arms[index]], labelled=index == 0)
        axes.tick_params(labelbottom=index + columns >= len(arms), labelleft=index % columns == 0)
    figure.supxlabel(x, fontsize=11)
    figure.supylabel(y, fontsize=11)
    return figure


def unit_axis(axes, *, many_ticks: bool) -> None:
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    if many_ticks:
        axes.locator_params(axis="x", nbins=5, integer=True)


def yardstick_lines(axes, arms: Sequence[Arm], *, labelled: bool = True) -> None:
    """Chance and best shortcut, where the arms agree on them."""
    chances = {arm.chance for arm in arms} - {None}
    shortcuts = {arm.best_shortcut for arm in arms} - {None}
    lines = []
    if len(chances) == 1:
        lines.append((chances.pop(), "chance", CHANCE))
    if len(shortcuts) == 1:
        lines.append((shortcuts.pop()[1], "best shortcut", SHORTCUT))
    lines.sort()
    close = len(lines) == 2 and lines[1][0] - lines[0][0] < 0.16
    for index, (height, name, dashes) in enumerate(lines):
        axes.axhline(height, color=GREY, lw=1.2, ls=dashes, zorder=1)
        below = close and index == 0
        if labelled:
            named_line(axes, height, name, below=below)


def named_line(axes, height: float, name: str, *, below: bool = False) -> None:
    axes.annotate(
        name,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(-2, -3 if below else 3),
        textcoords="offset points",
        ha="right",
        va="top" if below else "bottom",
        fontsize=9,
        color=GREY,
    )


def named_upright(axes, place: float, name: str) -> None:
    axes.annotate(
        name,
        (place, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        rotation=90,
        fontsize=9,
        color=GREY,
    )
