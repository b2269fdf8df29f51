"""How figures look: colours, fonts, sizes, legends."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from reports.table import plain

INK = "#010203"  # becomes currentColor
GREY = "#888888"
# Okabe and Ito, the blue a little lighter for dark pages
COLOURS = ("#1b80c2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
CHANCE, SHORTCUT = (0, (1, 1.5)), (0, (4, 2))  # dashes
MARKERS = ("o", "s", "^", "D", "v", "P")
MOST_TOGETHER = len(COLOURS)  # arms in one panel; more get a panel each
MOST_ROWS = 60  # arms, beyond which a figure with marks of its own for each cannot be read

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "orchid",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Everything is drawn inside of this."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name may use letters that the font lacks; the browser has others.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def new_figure(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    share_x: bool = True,
    share_y: bool = True,
    layout: str | None = "constrained",
):
    """A figure of this size in inches and its axes; without pyplot, whose figures
    are global."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    figure.patch.set_visible(False)
    axes = figure.subplots(rows, columns, sharex=share_x, sharey=share_y)
    for each in [axes] if rows == columns == 1 else axes.flat:
        each.patch.set_visible(False)
    return figure, axes


def stacked(width: float, height: float, heights: Sequence[float]):
    """A figure of axes one above the other that share nothing; heights: their shares."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)
    for each in figure.axes:
        each.patch.set_visible(False)
    return figure


def handle(marker: str, colour: str, label: str, *, alpha: float = 1.0, dashes: Any = "-"):
    from matplotlib.lines import Line2D

    if not marker:
        return Line2D([], [], color=colour, lw=2, ls=dashes, label=label)
    return Line2D(
        [], [], ls="none", marker=marker, ms=9 if marker == "|" else 6, mfc=colour, mec=colour,
        mew=1.8 if marker == "|" else 0, alpha=alpha, label=label,
    )  # fmt: skip


def legend(figure, handles: Sequence) -> int:
    """Above the axes; returns its rows."""
    lengths = [len(handle.get_label()) + 6 for handle in handles]
    columns = len(handles) if sum(lengths) <= 96 else max(1, 96 // max(lengths))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, fontsize=10, handletextpad=0.5
    )
    return math.ceil(len(handles) / columns)


def wrapped(label: str, width: int) -> str:
    """At most three lines."""
    label = plain(label)
    width = max(width, min(width + 10, max(map(len, label.split()), default=0)))
    return "\n".join(textwrap.wrap(label, width, max_lines=3, placeholder=" ...") or [" "])


def shortened(label: str, width: int) -> str:
    label = plain(label)
    return label if len(label) <= width else label[: width - 3] + "..."
