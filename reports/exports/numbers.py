"""Cells that are numbers, as `reports.table` and the sections write them, taken apart."""

from __future__ import annotations

import re

from reports.grid import Grid
from reports.table import NOTHING

_VALUE = r"(?:[+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf)"
NUMBER = re.compile(
    rf"(?P<bound>at least |at most )?(?P<sign>[x<>]?)(?P<value>{_VALUE})(?P<unit>[kMGTP]|/\d+| s)?"
    rf"(?: \[(?P<low>{_VALUE}), (?P<high>{_VALUE})\])?"
)


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with or without interval, bound and unit."""
    return NUMBER.fullmatch(cell) is not None


def are_right(grid: Grid) -> list[bool]:
    """Which columns stand to the right: those of numbers, behind the names."""
    columns = [[row[index] for row in grid.rows] for index in range(len(grid.head))]
    return [
        index >= grid.num_names
        and (any(map(is_number, column)) or all(cell == NOTHING for cell in column))
        for index, column in enumerate(columns)
    ]
