"""Accuracy over the length of test examples."""

from __future__ import annotations

from collections.abc import Sequence

from reports import lengths
from reports.figures.markup import Picture, picture
from reports.figures.panels import named_upright, panels, spread
from reports.figures.style import GREY, MOST_TOGETHER
from reports.records import Arm, Records
from reports.table import plain


def draw(records: Records) -> list[Picture]:
    """Test accuracy over the length of the test examples: a figure for each word for length."""
    found = lengths.at_lengths(records)
    words = dict.fromkeys(each.word for each in found)
    return [_over(records, word, [each for each in found if each.word == word]) for word in words]


def _over(records: Records, word: str, found: Sequence[lengths.AtLength]) -> Picture:
    points: dict[str, list[lengths.AtLength]] = {}
    for each in found:
        points.setdefault(each.arm.condition_id, []).append(each)
    arms = [arm for arm in records.arms if arm.condition_id in points]
    together = len(arms) <= MOST_TOGETHER

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        own = points[arm.condition_id]
        at, values = [each.length for each in own], [each.accuracy for each in own]
        style = {"marker": marker if together else "o", "ms": 4.5, "mec": "none"}
        axes.plot(at, [v.value for v in values], color=colour, lw=1.8, clip_on=False, **style)
        if all(value.low is not None for value in values):
            low, high = [value.low for value in values], [value.high for value in values]
            axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)

    def curve(arm: Arm) -> tuple[list[int], list[float]]:
        own = points[arm.condition_id]
        return [each.length for each in own], [each.accuracy.value for each in own]

    figure = panels(arms, line, curve, x=word, y="test accuracy")
    at = sorted({each.length for each in found})
    for index, axes in enumerate(figure.axes[: len(arms)]):
        shown = found if together else points[arms[index].condition_id]
        axes.set_xscale("log", base=2)
        axes.set_xticks(spread(at, 12), [f"{length:,}" for length in spread(at, 12)])
        axes.minorticks_off()
        for length in sorted({each.length for each in shown if each.is_trained}):
            axes.axvline(length, color=GREY, lw=1.2, zorder=1)
            if index == 0:
                named_upright(axes, length, "trained here")
    said = []
    for arm in arms:
        ends = [points[arm.condition_id][end] for end in (0, -1)]
        texts = [f"{each.accuracy.value:.2f} at {each.length:,}" for each in ends]
        said.append(f"{plain(arm.label)} {' and '.join(texts)}")
    text = f"Test accuracy over {word}, by arm. " + "; ".join(said) + "."
    caption = (
        "Mean over finished seeds; shaded: 95 % interval. Chance and best shortcut are those at "
        "the trained length."
    )
    return picture(figure, f"Accuracy by test {word}", text, caption)
