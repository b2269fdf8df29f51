"""Performance profiles over tasks: share of runs above each accuracy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reports.aggregates import aggregates, suite
from reports.figures.markup import Picture, picture
from reports.figures.panels import panels, unit_axis
from reports.figures.style import MOST_ROWS
from reports.records import Records
from reports.statistics import performance_profile
from reports.table import estimate_text

THRESHOLDS = np.linspace(0, 1, 201)


class Entrant(NamedTuple):
    """What was run on all tasks, by the name of its panel or line."""

    label: str


def draw(records: Records) -> Picture | None:
    """A curve for each entrant; None where there are no several tasks, or too many entrants."""
    found = suite(records)
    if found is None or len(found.scores) > MOST_ROWS:
        return None
    curves = {
        entrant: performance_profile([v for runs in scores.values() for v in runs], THRESHOLDS)
        for entrant, scores in found.scores.items()
    }

    def line(axes, entrant: Entrant, colour: str, marker: str) -> None:
        axes.plot(THRESHOLDS, curves[entrant.label], color=colour, lw=1.8, clip_on=False)

    def curve(entrant: Entrant) -> tuple[np.ndarray, np.ndarray]:
        return THRESHOLDS, curves[entrant.label]

    entrants = [Entrant(entrant) for entrant in curves]
    figure = panels(
        entrants, line, curve, x="test accuracy", y="share of runs above", is_share=False
    )
    for axes in figure.axes[: len(entrants)]:
        unit_axis(axes, many_ticks=False)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    said = [
        f"{each.entrant} {estimate_text(each.iqm)} over {each.num_runs} runs"
        for each in aggregates(records)
    ]
    text = f"Share of runs of all tasks above each accuracy. Interquartile mean: {'; '.join(said)}."
    caption = (
        f"All runs of {len(found.tasks)} tasks together. A curve above another everywhere is of "
        "the better arm; where they cross, it depends on what accuracy is asked for."
    )
    return picture(figure, "Performance profile", text, caption)
