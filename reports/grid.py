"""What stands beside the answer: sections of tables, as text, for terminal and page alike."""

from __future__ import annotations

import re
from typing import NamedTuple

_INTERVAL = re.compile(r" \[\S+, \S+\]$")
GAP = 2  # columns of a terminal between two cells


class Grid(NamedTuple):
    """A table as text. head: the titles of the columns; the first `num_names` cells of a row are
    its names (arm, and perhaps what was done to it), the others its numbers."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    num_names: int = 1

    def within(self, width: int) -> Grid:
        """The table with one name a row, for a terminal of that width.

        Rows of two names are indented below their first. What is too wide does without intervals,
        and if it still is, it has a line for each of its columns.
        """
        for grid in (self, self.without_intervals()):
            grid = grid._indented() if grid.num_names == 2 else grid
            if grid._width <= width:
                return grid
        if self.num_names == 2:
            return grid
        return self._a_line_each()._indented()

    @property
    def intervals(self) -> int:
        """Cells that have one."""
        return sum(bool(_INTERVAL.search(cell)) for row in self.rows for cell in row[1:])

    def without_intervals(self) -> Grid:
        """Each number alone."""
        return self._replace(
            rows=[
                (*row[: self.num_names], *(_INTERVAL.sub("", c) for c in row[self.num_names :]))
                for row in self.rows
            ]
        )

    @property
    def _width(self) -> int:
        columns = zip(self.head, *self.rows, strict=True)
        return sum(max(map(len, column)) + GAP for column in columns)

    def _a_line_each(self) -> Grid:
        rows = [
            (row[0], title, cell)
            for row in self.rows
            for title, cell in zip(self.head[1:], row[1:], strict=True)
        ]
        return Grid((self.head[0], "", ""), rows, 2)

    def _indented(self) -> Grid:
        rows: list[tuple[str, ...]] = []
        above = None
        for first, second, *numbers in self.rows:
            if first != above:
                rows.append((first, *[""] * len(numbers)))
                above = first
            rows.append((f"  {second}", *numbers))
        names = ", ".join(filter(None, self.head[:2]))
        return Grid((names, *self.head[2:]), rows)


class Section(NamedTuple):
    """Tables under one title, and what they show."""

    title: str
    note: str
    grids: list[Grid]
