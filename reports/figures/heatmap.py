"""Accuracy, and steps to solve, over two factors: a number in each cell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.factors import FullGrid, full_grid, level_text, short_names
from reports.figures.markup import Picture, picture
from reports.figures.style import GREY, INK, MOST_ROWS, new_figure, wrapped
from reports.records import Records
from reports.table import NOTHING, Row, Table, plain, steps_text

MOST_PANELS, MOST_COLUMNS = 6, 12
PALE, DEEP = "#e8f1f8", "#0a4a78"  # of one hue, readable with every kind of colour vision
DARK_TEXT, LIGHT_TEXT = "#111111", "#ffffff"
LABEL_IN, NARROWEST_CELL_IN, CELL_HEIGHT_IN = 1.9, 0.7, 0.36


def draw(records: Records, table: Table) -> list[Picture]:
    """Two pictures at most; none unless the arms are a full grid that few enough panels hold."""
    grid = full_grid(records)
    if grid is None:
        return []
    rows = {arm.condition_id: row for arm, row in zip(records.arms, table.rows, strict=True)}
    cells = {levels: rows[arm.condition_id] for levels, arm in grid.arms.items()}
    across = _axes(grid)
    if across is None or not any(row.accuracy is not None for row in cells.values()):
        return []
    values = {levels: row.accuracy for levels, row in cells.items()}
    floors = [row.chance for row in cells.values() if row.chance is not None]
    low = min(v for v in (*values.values(), *floors) if v is not None)
    shades = {k: None if v is None else _part(v, low, 1) for k, v in values.items()}
    texts = {k: NOTHING if v is None else f"{v:.3f}" for k, v in values.items()}
    caption = "Mean over finished seeds; darker is better."
    title, what = "Accuracy by factors", "mean test accuracy"
    drawn = [_drawn(title, what, grid, across, shades, texts, caption)]
    solved = [r.steps_to_solve for r in cells.values() if _is_solved(r)]
    if solved:
        low, high = math.log(min(solved)), math.log(max(solved))
        shades = {
            k: _part(-math.log(r.steps_to_solve), -high, -low) if _is_solved(r) else None
            for k, r in cells.items()
        }
        texts = {k: steps_text(row) for k, row in cells.items()}
        caption = (
            "Median over the runs that ended; darker is faster, on a logarithmic scale. Without "
            "colour: fewer than half of the runs solved the task in their budget."
        )
        title, what = "Steps to solve by factors", "median steps to solve"
        drawn.append(_drawn(title, what, grid, across, shades, texts, caption))
    return drawn


def _is_solved(row: Row) -> bool:
    return row.steps_to_solve is not None and math.isfinite(row.steps_to_solve)


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 1.0


def _axes(grid: FullGrid) -> tuple[int, int] | None:
    """Places of the factors of rows and of columns: the largest pair, of equal ones the last; None
    where that leaves more than MOST_PANELS, or a side too long."""
    sizes = [len(levels) for levels in grid.factors.values()]
    pairs = itertools.combinations(range(len(sizes)), 2)
    pair = max(pairs, key=lambda each: (sizes[each[0]] * sizes[each[1]], each))
    down, across = sorted(pair, key=lambda place: (-sizes[place], place))
    if sizes[down] > MOST_ROWS or sizes[across] > MOST_COLUMNS:
        return None
    return (down, across) if math.prod(sizes) <= MOST_PANELS * sizes[down] * sizes[across] else None


def _drawn(
    title: str,
    what: str,
    grid: FullGrid,
    across: tuple[int, int],
    shades: Mapping[tuple[str, ...], float | None],
    texts: Mapping[tuple[str, ...], str],
    caption: str,
) -> Picture:
    names = short_names(grid.factors)
    factors = list(grid.factors)
    down, right = (grid.factors[factors[place]] for place in across)
    others = [place for place in range(len(factors)) if place not in across]
    panels = list(itertools.product(*(grid.factors[factors[place]] for place in others)))
    columns, height, below = _layout(len(panels), down, right)
    labels, slant = _column_labels(right, columns)
    figure, _ = new_figure(8.4, height + below, math.ceil(len(panels) / columns), columns)
    for index, axes in enumerate(figure.axes):
        if index >= len(panels):
            axes.set_visible(False)
            continue
        for (y, a), (x, b) in itertools.product(enumerate(down), enumerate(right)):
            at = dict(zip((*across, *others), (a, b, *panels[index]), strict=True))
            levels = tuple(at[place] for place in range(len(factors)))
            _cell(axes, x, y, shades[levels], texts[levels])
        axes.set_xlim(-0.5, len(right) - 0.5)
        axes.set_ylim(len(down) - 0.5, -0.5)
        axes.set_xticks(range(len(right)), labels, **slant)
        axes.set_yticks(range(len(down)), [wrapped(level, 26) for level in down])
        is_last = index + columns >= len(panels)
        axes.tick_params(length=0, labelbottom=is_last, labelleft=index % columns == 0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        if others:
            held = zip((factors[place] for place in others), panels[index], strict=True)
            held_at = ", ".join(level_text(factor, level) for factor, level in held)
            axes.set_title(wrapped(held_at, 40), loc="left", fontsize=10)
    figure.supxlabel(names[factors[across[1]]], fontsize=11)
    down_name = names[factors[across[0]]]
    is_long = len(down_name) > 12 * height
    figure.supylabel(down_name.replace(".", ".\n") if is_long else down_name, fontsize=11)
    said = [f"{', '.join(map(plain, levels))}: {text}" for levels, text in texts.items()]
    text = f"{what[0].upper()}{what[1:]} by {', '.join(names.values())}. {'; '.join(said)}."
    return picture(figure, title, text, caption)


def _layout(num: int, down: Sequence[str], right: Sequence[str]) -> tuple[int, float, float]:
    """Panels side by side, the height in inches of all panels, and of what stands below them."""
    columns = max(1, int((8.4 - LABEL_IN) / (NARROWEST_CELL_IN * len(right) + 0.25)))
    columns = min(num, columns)
    labels, slant = _column_labels(right, columns)
    below = 0.75 + (0.4 if slant else 0.15 * max(label.count("\n") for label in labels))
    return columns, math.ceil(num / columns) * (CELL_HEIGHT_IN * len(down) + 0.3 * (num > 1)), below


def _column_labels(right: Sequence[str], columns: int) -> tuple[list[str], dict[str, Any]]:
    """Names of the columns, and how they are turned where they are longer than a cell is wide."""
    cell = (8.4 - LABEL_IN) / (columns * len(right))
    labels = [wrapped(level, max(8, int(cell * 11))) for level in right]
    if max(len(line) for label in labels for line in label.split("\n")) <= cell * 13:
        return labels, {}
    slant = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    return [wrapped(level, 22) for level in right], slant


def _cell(axes, x: int, y: int, shade: float | None, text: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_hex
    from matplotlib.patches import Rectangle

    colour, ink = "none", INK
    if shade is not None:
        colour = to_hex(LinearSegmentedColormap.from_list("", [PALE, DEEP])(float(shade)))
        ink = text_colour(colour)
    box = Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fc=colour, ec=GREY, lw=0.4)
    axes.add_patch(box)
    axes.text(x, y, text, ha="center", va="center", fontsize=10, color=ink)


def text_colour(colour: str) -> str:
    """Dark or light, whichever has the higher contrast on a colour (WCAG 2, relative luminance)."""
    from matplotlib.colors import to_rgb

    def contrast(ink: str) -> float:
        bright, dark = sorted((_luminance(to_rgb(ink)), _luminance(to_rgb(colour))), reverse=True)
        return (bright + 0.05) / (dark + 0.05)

    return max((DARK_TEXT, LIGHT_TEXT), key=contrast)


def _luminance(rgb: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
