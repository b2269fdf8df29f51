"""What tuning found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.figures.markup import Picture, picture
from reports.figures.panels import panels
from reports.figures.style import GREY, style
from reports.records import Arm, Choice, Records
from reports.table import plain, value_text


def draw_tuning(records: Records) -> Picture | None:
    """Selection accuracy over a single tuned number, by arm: a peak at an end is no peak."""
    settings = records.meta["nuisances"]
    keys = list(settings[0])
    arms = [arm for arm in records.arms if arm.condition_id in records.choices]
    if len(settings) < 2 or len(keys) != 1 or not arms:
        return None
    (key,) = keys
    values = [setting[key] for setting in settings]
    if not all(isinstance(value, (int, float)) for value in values):
        return None
    values.sort()
    scores = {
        arm.condition_id: _scores(records.choices[arm.condition_id], key, values) for arm in arms
    }

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        style = {"marker": marker, "ms": 5, "mec": "none", "clip_on": False}
        axes.plot(range(len(values)), scores[arm.condition_id], color=colour, lw=1.8, **style)
        axes.set_xticks(range(len(values)), [value_text(value) for value in values])

    def faint(axes, arm: Arm) -> None:
        axes.plot(range(len(values)), scores[arm.condition_id], color=GREY, lw=0.9, alpha=0.35)

    name = plain(key)
    with style():
        figure = panels(arms, line, faint, x=name, y="selection accuracy", many_ticks=False)
        said = [
            f"{plain(arm.label)} {max(scores[arm.condition_id]):.2f} at "
            f"{value_text(records.choices[arm.condition_id].nuisance[key])}"
            for arm in arms
        ]
        text = f"Accuracy on the selection seeds over {name}, by arm. Chosen: {'; '.join(said)}."
        caption = "Mean over the selection seeds; a run that diverged or failed counts as 0."
        return picture(figure, "Tuning curves", text, caption)


def _scores(choice: Choice, key: str, values: Sequence[float]) -> list[float]:
    known = {score["nuisance"][key]: score["accuracy"] for score in choice.scores}
    return [known.get(value, math.nan) for value in values]
