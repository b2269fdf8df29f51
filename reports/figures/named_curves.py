"""Named curves on white, for a file of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.figures.markup import on_white, picture
from reports.figures.style import COLOURS, GREY, INK, new_figure, styled


def curves_on_white(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    title: str,
    emphasised: Sequence[str] = (),
) -> str:
    """Named curves of (x, y) on logarithmic axes as the text of an SVG file; names stand at the
    curves' ends, the emphasised ones in colour."""
    with styled():
        figure, axes = new_figure(8.4, 2.0 + 0.21 * len(curves))
        colours = dict(zip(emphasised, COLOURS, strict=False))
        for name, points in curves.items():
            look = {"color": colours.get(name, GREY), "lw": 2.2 if name in colours else 0.9}
            axes.plot(*zip(*points, strict=True), marker="o", ms=3, **look)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({at for points in curves.values() for at, _ in points})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _names_at_ends(axes, curves, colours)
        said = ", ".join(f"{name} {points[-1][1]:.3g}" for name, points in curves.items())
        return on_white(picture(figure, title, f"{title}; at the right end: {said}", ""))


def _names_at_ends(axes, curves: Mapping, colours: Mapping[str, str]) -> None:
    """The names beside the axes, in the order of the curves' ends, a thin line to each."""
    order = sorted(curves, key=lambda name: curves[name][-1][1])
    for place, name in enumerate(order):
        axes.annotate(
            name,
            curves[name][-1],
            xytext=(1.06, (place + 0.5) / len(order)),
            textcoords=axes.transAxes,
            va="center",
            fontsize=9,
            color=colours.get(name, INK),
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": GREY, "relpos": (0, 0.5)},
            annotation_clip=False,
        )
