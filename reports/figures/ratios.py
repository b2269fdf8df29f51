"""Ratios with their spread on white, for a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reports.figures import forest
from reports.figures.markup import on_white, picture
from reports.figures.style import COLOURS, INK, handle, legend, new_figure, styled, wrapped


class Line(Protocol):
    """`what` is `ratio` times as good as `than`, by its spread low to high; wanted: what it is held
    against, if anything. All are above 0."""

    what: str
    than: str
    ratio: float
    low: float
    high: float
    wanted: float | None


def ratios_on_white(lines: Sequence[Line], title: str) -> str:
    """The text of an SVG file: a dot and its range a line, on a logarithmic axis, a rule at 1, and
    a mark at what is wanted."""
    others = {line.than for line in lines}
    with styled():
        labels, height = forest.names([_label(line, others) for line in lines], width=54)
        figure, axes = new_figure(8.4, 1.5 + height)
        values = [value for line in lines for value in (line.low, line.high, line.wanted)]
        forest.ratio_axis(axes, [1.0, *values], named=[1.0])
        forest.rows(axes, labels)
        forest.reference(axes, 1.0)
        for place, line in enumerate(lines):
            axes.plot([line.low, line.high], [place, place], color=INK, lw=1.6)
            axes.plot(
                [line.ratio], [place], ls="none", marker="o", ms=7, mfc=COLOURS[0], mec="none"
            )
            if line.wanted is not None:
                axes.plot(
                    [line.wanted], [place], ls="none", marker="|", ms=11, mec=COLOURS[1], mew=2
                )
        against = f"ratio to {others.pop()}" if len(others) == 1 else "ratio"
        axes.set_xlabel(f"{against}; to the right of 1 is better")
        axes.tick_params(axis="y", labelsize=9)
        figure.supxlabel(wrapped(title, 110), x=0.01, ha="left", fontsize=8)
        handles = [handle("o", COLOURS[0], "median and spread")]
        if any(line.wanted is not None for line in lines):
            handles.append(handle("|", COLOURS[1], "wanted"))
        legend(figure, handles)
        said = "; ".join(map(_said, lines))
        return on_white(picture(figure, title, f"{title}. {said}", ""))


def _label(line: Line, others: set[str]) -> str:
    return line.what if len(others) == 1 else f"{line.what}, against {line.than}"


def _said(line: Line) -> str:
    wanted = "" if line.wanted is None else f", wanted {line.wanted:g}"
    return (
        f"{line.what} against {line.than}: {line.ratio:.3g} "
        f"({line.low:.3g} to {line.high:.3g}){wanted}"
    )
