"""Accuracy, or squared error, over a fact of the test targets."""

from __future__ import annotations

from collections.abc import Sequence

from reports import breakdown
from reports.figures import by_distance
from reports.figures.by_distance import CIRCULAR, PLAIN, Points
from reports.figures.markup import Picture, picture
from reports.figures.panels import named_line, panels
from reports.figures.style import GREY, MOST_TOGETHER, SHORTCUT
from reports.records import Arm, Records
from reports.table import plain, value_text

FEW_VALUES = 12  # of a fact, which are drawn as they are; more are binned


def draw(records: Records) -> list[Picture]:
    """A figure for each fact; one for both distances where some arm sees its input as a ring."""
    facts, drawn = breakdown.facts(records), []
    if {(PLAIN, False), (CIRCULAR, False)} <= set(facts):
        both = _by_both_distances(records)
        if both is not None:
            drawn.append(both)
            facts = [each for each in facts if each not in ((PLAIN, False), (CIRCULAR, False))]
    return drawn + [_over(records, fact, is_error=error) for fact, error in facts]


def _by_both_distances(records: Records) -> Picture | None:
    """None without a bidirectional arm, or if there are too many arms for one panel."""
    points, circular = (_points(records, fact, is_error=False) for fact in (PLAIN, CIRCULAR))
    arms = [arm for arm in records.arms if arm.condition_id in points]
    on_ring = {
        arm.condition_id: circular[arm.condition_id]
        for arm in arms
        if arm.condition_id in circular and arm.facts.get("regime") == "bidirectional"
    }
    if not on_ring or len(arms) > MOST_TOGETHER:
        return None
    return by_distance.side_by_side(arms, points, on_ring)


def _points(records: Records, fact: str, *, is_error: bool) -> Points:
    """condition_id -> places and means of an arm that has the fact, seeds pooled, rare values
    gathered."""
    points = {}
    for arm in records.arms:
        pooled: dict[int, list[float]] = {}
        for run in records.confirmation(arm):
            for part in run.slices:
                if (part.fact, arm.is_real) == (fact, is_error) and run.status == "finished":
                    totals = pooled.setdefault(part.value, [0.0, 0.0])
                    totals[0] += (part.loss if is_error else part.accuracy) * part.num
                    totals[1] += part.num
        if pooled:
            points[arm.condition_id] = _binned(pooled)
    return points


def _over(records: Records, fact: str, *, is_error: bool) -> Picture:
    """Test accuracy, or squared error, by a fact of the targets."""
    points = _points(records, fact, is_error=is_error)
    arms = [arm for arm in records.arms if arm.condition_id in points]
    together = len(arms) <= MOST_TOGETHER

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        style = {"marker": marker if together else "o", "ms": 4.5, "mec": "none"}
        axes.plot(*points[arm.condition_id], color=colour, lw=1.8, clip_on=False, **style)

    name, what = plain(fact).replace("_", " "), "squared error" if is_error else "accuracy"
    figure = panels(
        arms, line, lambda arm: points[arm.condition_id], x=name, y=f"test {what}",
        is_share=not is_error,
    )  # fmt: skip
    if is_error:
        _error_axis(figure, [arm.best_shortcut_error for arm in arms])
    said = []
    for arm in arms:
        places, values = points[arm.condition_id]
        ends = [f"{value_text(values[end])} at {places[end]:.3g}" for end in (0, -1)]
        said.append(f"{plain(arm.label)} {' and '.join(ends)}")
    text = f"Test {what} by {name}, seeds pooled. " + "; ".join(said) + "."
    caption = "Test targets of all finished seeds together; rare values are gathered."
    return picture(figure, f"{what.capitalize()} by {name}", text, caption)


def _error_axis(figure, floors: Sequence[float | None]) -> None:
    """Squared errors on a logarithmic axis, and the best shortcut's where the arms agree on it."""
    from matplotlib.ticker import LogLocator, NullLocator

    same = set(floors) - {None}
    for axes in figure.axes:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
        if len(same) == 1:
            axes.axhline(*same, color=GREY, lw=1.2, ls=SHORTCUT, zorder=1)
    if len(same) == 1:
        named_line(figure.axes[0], *same, "best shortcut")


def _binned(pooled: dict[int, list[float]]) -> tuple[list[float], list[float]]:
    """Places and means; many values are gathered into bins of about equal counts."""
    values = sorted(pooled)
    least = 0.0
    if len(values) > FEW_VALUES:
        least = sum(num for _, num in pooled.values()) / FEW_VALUES
    places, accuracies = [], []
    hits = num = moment = 0.0
    for value in values:
        hits += pooled[value][0]
        num += pooled[value][1]
        moment += value * pooled[value][1]
        if num and (num >= least or value == values[-1]):
            places.append(moment / num)
            accuracies.append(hits / num)
            hits = num = moment = 0.0
    return places, accuracies
