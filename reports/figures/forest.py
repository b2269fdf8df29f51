"""Rows of names with what belongs to each: runs as dots, means, intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.figures.panels import log_ticks
from reports.figures.style import COLOURS, GREY, INK, wrapped
from reports.statistics import Estimate


def names(labels: Sequence[str], width: int = 30) -> tuple[list[str], float]:
    """The labels on several lines, and the height in inches that rows of them take."""
    lines = [wrapped(label, width) for label in labels]
    return lines, 0.36 * sum(1.15 + 0.35 * label.count("\n") for label in lines)


def rows(axes, lines: Sequence[str]) -> None:
    """One row a name, from the top down."""
    axes.set_yticks(range(len(lines)), lines)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.set_ylim(len(lines) - 0.45, -0.55)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)


def mark(axes, place: float, estimate: Estimate, *, as_dot: bool = False) -> None:
    """A value and its interval, cut off where it ends beyond what can be drawn; as_dot: where no
    dots of runs stand beside it."""
    if estimate.low is not None:
        low, high = axes.get_xlim()
        ends = [max(estimate.low, low), min(estimate.high, high)]
        axes.plot(ends, [place, place], color=INK, lw=1.6)
    look = {"marker": "o", "ms": 7, "mfc": COLOURS[0], "mec": "none"}
    if not as_dot:
        look = {"marker": "|", "ms": 13, "mec": INK, "mew": 2.2}
    axes.plot([estimate.value], [place], ls="none", clip_on=False, zorder=4, **look)


def reference(axes, value: float) -> None:
    """A line across all rows."""
    axes.axvline(value, color=GREY, lw=1.2, zorder=1)


def ratio_axis(
    axes, values: Sequence[float | None], *, num_ticks: int = 6, named: Sequence[float] = ()
) -> None:
    """Logarithmic, with room for these values; what is 0, infinite or more than a thousandfold from
    the middle one has none. named: values that have a tick in any case."""
    known = sorted(v for v in values if v is not None and 0 < v < math.inf)
    middle = known[len(known) // 2]
    known = [v for v in known if middle / 1000 <= v <= middle * 1000]
    margin = max((known[-1] / known[0]) ** 0.06, 1.04)
    low, high = known[0] / margin, known[-1] * margin
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = log_ticks(low, high, num_ticks)
    if len(ticks) < 3:  # less than a decade or so: round differences are closer than round ratios
        from matplotlib.ticker import MaxNLocator

        near = MaxNLocator(num_ticks).tick_values(low, high)
        least, ticks = math.log(high / low) / (num_ticks + 1), []
        for tick in (*named, *(float(f"{tick:.6g}") for tick in near if low <= tick <= high)):
            if all(abs(math.log(tick / other)) >= least for other in ticks):
                ticks.append(tick)
    axes.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axes.minorticks_off()
