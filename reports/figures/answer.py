"""The answer: test accuracy of every arm."""

from __future__ import annotations

from reports.figures.markup import Picture, picture
from reports.figures.style import (
    CHANCE,
    COLOURS,
    GREY,
    INK,
    SHORTCUT,
    handle,
    legend,
    new_figure,
    wrapped,
)
from reports.records import Arm, Records
from reports.table import Table, estimate_text


def draw(records: Records, table: Table) -> Picture | None:
    """A row an arm: every seed a dot, mean and interval, its chance and best shortcut."""
    if not any(row.n for row in table.rows):
        return None
    labels = [wrapped(row.arm, 30) for row in table.rows]
    num_lines = sum(1.15 + 0.35 * label.count("\n") for label in labels)
    figure, axes = new_figure(8.4, 1.1 + 0.36 * num_lines)
    for place, (arm, row) in enumerate(zip(records.arms, table.rows, strict=True)):
        if row.accuracy is None:
            axes.text(0.01, place, "no finished run", va="center", color=GREY, fontstyle="italic")
            continue
        _yardstick_ticks(axes, arm, place)
        seeds = [r.accuracy for r in records.confirmation(arm) if r.accuracy is not None]
        spread = [place + 0.2 * (k - (len(seeds) - 1) / 2) / len(seeds) for k in range(len(seeds))]
        axes.plot(seeds, spread, "o", ms=5.5, mfc=COLOURS[0], mec="none", alpha=0.7, clip_on=False)
        if row.accuracy_low is not None:
            ends = [row.accuracy_low, row.accuracy_high]
            axes.plot(ends, [place, place], color=INK, lw=1.6, clip_on=False)
        axes.plot([row.accuracy], [place], "|", ms=13, mec=INK, mew=2.2, clip_on=False, zorder=4)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("test accuracy")
    handles = [
        handle("|", INK, "mean, with 95 % interval"),
        handle("o", COLOURS[0], "one seed", alpha=0.7),
        handle("", GREY, "chance", dashes=CHANCE),
        handle("", GREY, "best shortcut", dashes=SHORTCUT),
    ]
    legend(figure, handles)
    said = [f"{row.arm} {estimate_text(row.accuracy_estimate)}" for row in table.rows]
    text = "Test accuracy by arm. " + "; ".join(said) + "."
    return picture(figure, "Accuracy", text, "The dashed and dotted marks are each arm's own.")


def _yardstick_ticks(axes, arm: Arm, place: int) -> None:
    ends = [place - 0.42, place + 0.42]
    if arm.chance is not None:
        axes.plot([arm.chance] * 2, ends, color=GREY, lw=1.5, ls=CHANCE)
    if arm.best_shortcut is not None:
        axes.plot([arm.best_shortcut[1]] * 2, ends, color=GREY, lw=1.5, ls=SHORTCUT)
