"""Curves of arms over something: in one panel, or, if they are many, in a panel each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

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

MOST_BEHIND = 24  # arms, beyond which a panel has no room for the others, nor a page for so many


def panels(
    arms: Sequence[Arm],
    line: Callable,
    curve: Callable[[Arm], tuple[Sequence[float], Sequence[float]]],
    *,
    x: str,
    y: str,
    many_ticks: bool = True,
    is_share: bool = True,
):
    """All arms in one panel, or, if they are many, one panel each with the others in grey; of more
    than MOST_BEHIND, each alone.

    line: draws an arm onto axes in a colour, with a marker. curve: what stands for an arm in grey,
    x and y. is_share: y is in [0, 1], where chance and the best shortcut have their places.
    """
    if len(arms) <= MOST_TOGETHER:
        figure, axes = new_figure(8.4, 4.0)
        together(axes, arms, line)
        if is_share:
            unit_axis(axes, many_ticks=many_ticks)
            yardstick_lines(axes, arms)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        name_arms(figure, arms)
        return figure
    columns = 3
    figure, grid = _grid(math.ceil(len(arms) / columns), columns)
    curves = [curve(arm) for arm in arms] if len(arms) <= MOST_BEHIND else []
    for index, axes in enumerate(grid.flat):
        if index >= len(arms):
            axes.set_visible(False)
            continue
        if curves:
            joined(axes, curves[:index] + curves[index + 1 :], color=GREY, lw=0.9, alpha=0.35)
        line(axes, arms[index], COLOURS[0], "o")
        axes.set_title(wrapped(arms[index].label, 28), loc="left", fontsize=9)
        if is_share:
            unit_axis(axes, many_ticks=many_ticks)
            yardstick_lines(axes, [arms[index]], labelled=index == 0)
        axes.tick_params(labelbottom=index + columns >= len(arms), labelleft=index % columns == 0)
    _span_alike(figure.axes[: len(arms)])
    figure.supxlabel(x, y=0.08 / figure.get_figheight(), va="bottom", fontsize=11)
    figure.supylabel(y, x=0.008, ha="left", fontsize=11)
    return figure


def _span_alike(panels: Sequence) -> None:
    """Gives every panel the data limits of all. Axes that are shared do so themselves, in a time
    that grows with the square of their number."""
    corners = [corner for axes in panels for corner in axes.dataLim.get_points()]
    for axes in panels:
        axes.update_datalim(corners)


def _grid(rows: int, columns: int):
    """Panels with room for titles of three lines, placed by hand: matplotlib's layouts measure
    every panel twice, which takes longer than drawing them."""
    title, below, above = 0.52, 0.6, 0.55  # inches
    width, height = 8.4, 0.6 + 2.05 * rows
    figure, grid = new_figure(
        width, height, rows, columns, share_x=False, share_y=False, layout=None
    )
    tall = (height - below - above - title * (rows - 1)) / rows
    figure.subplots_adjust(
        left=0.72 / width,
        right=1 - 0.12 / width,
        bottom=below / height,
        top=1 - above / height,
        wspace=0.1,
        hspace=title / tall,
    )
    return figure, grid


def joined(axes, curves: Sequence[tuple[Sequence[float], Sequence[float]]], **look) -> None:
    """Many curves, each x and y, as one path with gaps: as a path each, hundreds take seconds."""
    gap = (math.nan,)
    xs = [value for x, _ in curves for value in (*x, *gap)]
    ys = [value for _, y in curves for value in (*y, *gap)]
    axes.plot(xs, ys, **look)


def together(axes, arms: Sequence[Arm], line: Callable) -> None:
    """Each arm in its own colour; at most `MOST_TOGETHER`."""
    for arm, colour, marker in zip(arms, COLOURS, MARKERS, strict=False):
        line(axes, arm, colour, marker)


def name_arms(figure, arms: Sequence[Arm], *, and_yardsticks: bool = False) -> int:
    """A legend of the arms of one panel, and of what is drawn beside them; returns its rows."""
    handles = [
        handle("", colour, shortened(arm.label, 84))
        for arm, colour in zip(arms, COLOURS, strict=False)
    ]
    if and_yardsticks:
        handles += [handle("", GREY, name, dashes=dashes) for _, name, dashes in yardsticks(arms)]
    return legend(figure, handles)


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers for a logarithmic axis with room for about so many names, from 1, 2, 3, 5, 7 to
    1 a decade; the ends where there are none between them."""
    gap = math.log10(high / low) / most
    least_gaps = {(1, 2, 3, 5, 7): 0.146, (1, 2, 5): 0.3, (1, 3): 0.47, (1,): math.inf}
    digits = next(digits for digits, least in least_gaps.items() if least >= gap)
    places = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{place}") for place in places for digit in digits]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if len(ticks) < 2:
        return sorted({low, high})
    return ticks[:: math.ceil(len(ticks) / (most + 1))]


def spread(values: Sequence[float], most: int) -> list[float]:
    """Those, of ascending ones, that leave their names room on a logarithmic axis with room for
    about so many, the last one among them."""
    least = (math.log(values[-1]) - math.log(values[0])) / most
    kept = [values[-1]]
    for value in values[-2::-1]:
        if math.log(kept[-1]) - math.log(value) >= least:
            kept.append(value)
    return kept[::-1]


def unit_axis(axes, *, many_ticks: bool) -> None:
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    if many_ticks:
        axes.locator_params(axis="x", nbins=5, integer=True)


def share_axis(axes, values: Sequence[float | None]) -> None:
    """A part of [0, 1], wherever these values lie, with room above for what stands on them."""
    known = [value for value in values if value is not None]
    span = max(max(known) - min(known), 0.1)
    axes.set_ylim(max(0, min(known) - 0.08 * span) - 0.01 * span, max(known) + 0.12 * span)
    axes.locator_params(axis="y", nbins=5)
    axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)


def yardsticks(arms: Sequence[Arm]) -> list[tuple[float, str, Any]]:
    """Height, name and dashes of chance and best shortcut, where the arms agree on them."""
    chances = {arm.chance for arm in arms} - {None}
    shortcuts = {arm.best_shortcut for arm in arms} - {None}
    lines = []
    if len(chances) == 1:
        lines.append((chances.pop(), "chance", CHANCE))
    if len(shortcuts) == 1:
        lines.append((shortcuts.pop()[1], "best shortcut", SHORTCUT))
    return sorted(lines)


def yardstick_lines(axes, arms: Sequence[Arm], *, labelled: bool = True) -> None:
    """The yardsticks across a panel; labelled: with their names."""
    lines = yardsticks(arms)
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


def named_above(axes, place: float, name: str) -> None:
    """Ends at the place, above the axes."""
    axes.annotate(
        name,
        (place, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
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
