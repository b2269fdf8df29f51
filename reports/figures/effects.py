"""Effects against the baseline: a forest plot."""

from __future__ import annotations

from reports.effects import effects
from reports.figures import forest
from reports.figures.markup import Picture, picture
from reports.figures.style import MOST_ROWS, new_figure
from reports.records import Records
from reports.table import Table, estimate_text, plain, quantity_text


def draw(records: Records, table: Table) -> Picture | None:
    """A row an arm: the difference of its accuracy, and, where all runs solved the task, the ratio
    of its steps to those of the baseline."""
    found = effects(records, table)
    if not found or len(found) > MOST_ROWS:
        return None
    baseline = plain(records.meta["baseline"])
    has_ratios = any(each.ratio for each in found)
    lines, height = forest.names([each.arm for each in found])
    figure, _ = new_figure(8.4, 1.0 + height, 1, 1 + has_ratios, share_x=False)
    axes = figure.axes[0]
    known = [each.difference for each in found if each.difference is not None]
    ends = [0, *(end for each in known for end in each if end is not None)]
    margin = 0.06 * (max(ends) - min(ends)) or 0.1
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    forest.rows(axes, lines)
    forest.reference(axes, 0)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    axes.set_xlabel("difference of test accuracy")
    if has_ratios:
        second = figure.axes[1]
        ratios = [end for each in found if each.ratio for end in each.ratio]
        forest.ratio_axis(second, [1, *ratios], num_ticks=5, named=[1])
        forest.rows(second, lines)
        second.tick_params(labelleft=False)
        forest.reference(second, 1)
        second.set_xlabel("ratio of steps to solve")
    for place, each in enumerate(found):
        if each.difference is not None:
            forest.mark(axes, place, each.difference, as_dot=True)
        if each.ratio is not None:
            forest.mark(figure.axes[1], place, each.ratio, as_dot=True)
    said = []
    for each in found:
        text = f"{each.arm} {estimate_text(each.difference, sign='+')}"
        said.append(text + (f", steps x{quantity_text(each.ratio)}" if each.ratio else ""))
    text = f"Effects against {baseline}: difference of accuracy and ratio of steps to solve. "
    caption = f"Against {baseline}, with Welch's 95 % intervals, not corrected for their number."
    if has_ratios:
        caption += " Steps: below 1 is faster; only where every run of both arms solved the task."
    return picture(figure, "Effects against the baseline", text + "; ".join(said) + ".", caption)
