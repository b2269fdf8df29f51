"""Main effects of the factors of a full grid, and the interaction of two."""

from __future__ import annotations

from statistics import fmean

from reports.factors import FullGrid, full_grid, main_effects, short_names
from reports.figures import forest
from reports.figures.markup import Picture, picture
from reports.figures.panels import share_axis
from reports.figures.style import (
    COLOURS,
    INK,
    MARKERS,
    MOST_ROWS,
    MOST_TOGETHER,
    handle,
    legend,
    new_figure,
    shortened,
    wrapped,
)
from reports.records import Records
from reports.table import Table, estimate_text, plain

MOST_PLACES = 8  # levels along an axis that their names have room for


def draw(records: Records, table: Table) -> list[Picture]:
    """Main effects as dots; crossed lines where there are two factors."""
    return [each for each in (_main(records), _crossed(records, table)) if each is not None]


def _main(records: Records) -> Picture | None:
    found = main_effects(records)
    names = short_names(dict.fromkeys(each.factor for each in found))
    if not found or len(found) + len(names) > MOST_ROWS:
        return None
    rows: list = []  # a factor's name, then its levels
    for name in names:
        rows += [name, *(each for each in found if each.factor == name)]
    labels = [names[row] if isinstance(row, str) else row.level for row in rows]
    lines, height = forest.names(labels)
    figure, axes = new_figure(8.4, 0.8 + 0.8 * height)
    ends = [end for each in found for end in each.accuracy if end is not None]
    margin = 0.05 * (max(ends) - min(ends)) or 0.05
    axes.set_xlim(max(0, min(ends) - margin), min(1, max(ends) + margin))
    forest.rows(axes, lines)
    forest.reference(axes, fmean(e.accuracy.value for e in found if e.factor == found[0].factor))
    for place, (row, tick) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        if isinstance(row, str):
            tick.set_fontweight("bold")
        else:
            forest.mark(axes, place, row.accuracy, as_dot=True)
    axes.set_xlabel("mean test accuracy")
    said = [
        f"{names[each.factor]} {plain(each.level)} {estimate_text(each.accuracy)}" for each in found
    ]
    text = f"Mean accuracy at each level of each factor, over the others. {'; '.join(said)}."
    caption = (
        "Mean over all combinations of the other factors, with equal weights, and 95 % interval "
        "from the spread of runs within combinations. Grey: the mean of all."
    )
    return picture(figure, "Main effects", text, caption)


def _crossed(records: Records, table: Table) -> Picture | None:
    """Lines that are parallel where two factors do not interact."""
    grid = full_grid(records)
    if grid is None or len(grid.factors) != 2:
        return None
    sizes = [len(levels) for levels in grid.factors.values()]
    along = 0 if sizes[0] > sizes[1] else 1
    if sizes[along] > MOST_PLACES or sizes[1 - along] > MOST_TOGETHER:
        return None
    return _lines(records, table, grid, along)


def _lines(records: Records, table: Table, grid: FullGrid, along: int) -> Picture | None:
    estimates = {
        arm.condition_id: row.accuracy_estimate
        for arm, row in zip(records.arms, table.rows, strict=True)
    }
    factors, names = list(grid.factors), short_names(grid.factors)
    x_levels, levels = grid.factors[factors[along]], grid.factors[factors[1 - along]]
    figure, axes = new_figure(8.4, 4.0)
    said, handles, ends = [], [], []
    for index, level in enumerate(levels):
        colour, places, values = COLOURS[index], [], []
        for place, x_level in enumerate(x_levels):
            key = (x_level, level) if along == 0 else (level, x_level)
            found = estimates[grid.arms[key].condition_id]
            if found is None:
                continue
            beside = place + 0.06 * (index - (len(levels) - 1) / 2)
            places.append(beside)
            values.append(found.value)
            ends += found
            if found.low is not None:
                axes.plot([beside] * 2, found[1:], color=colour, lw=1.4)
            said.append(f"{plain(level)}, {plain(x_level)} {estimate_text(found)}")
        axes.plot(places, values, color=colour, marker=MARKERS[index], ms=5.5, mec="none", lw=1.8,
                  clip_on=False)  # fmt: skip
        handles.append(handle("", colour, shortened(level, 60)))
    if not said:
        return None
    share_axis(axes, ends)
    axes.set_xlim(-0.4, len(x_levels) - 0.6)
    width = int(84 / len(x_levels))
    is_long = any(len(word) > width for level in x_levels for word in plain(level).split())
    slant = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
    labels = [wrapped(level, 30 if is_long else width) for level in x_levels]
    axes.set_xticks(range(len(x_levels)), labels, **slant)
    axes.set_xlabel(names[factors[along]])
    axes.set_ylabel("test accuracy")
    legend(figure, [handle("", "none", f"{names[factors[1 - along]]}:"), *handles])
    for text in figure.legends[0].get_texts():
        text.set_color(INK)
    text = f"Mean accuracy by {names[factors[0]]} and {names[factors[1]]}. {'; '.join(said)}."
    caption = (
        "Mean over finished seeds with its 95 % interval. Parallel lines: what one factor does "
        "does not depend on the other."
    )
    return picture(figure, "Interaction", text, caption)
