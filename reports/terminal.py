"""The answer in a terminal: question, table, remarks; readable at 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports import sections
from reports import table as answer_table
from reports.grid import Grid, Section
from reports.records import Records
from reports.remarks import METHOD, answer, remarks
from reports.savings import steps_saved
from reports.table import plain
from reports.time_by_part import time_by_part

if TYPE_CHECKING:
    from rich.console import Console


def show(records: Records, console: Console) -> None:
    """Prints to the console; narrow ones do without the secondary columns."""
    from rich.padding import Padding
    from rich.text import Text

    table, meta = answer_table.build(records), records.meta
    console.print(Text(plain(meta["question"]), style="bold"))
    console.print(Text(f"{plain(meta['name'])}, scale {plain(meta['scale'])}", style="dim"))
    console.print()
    console.print(_grid(table, console.width))
    console.print()
    console.print(Text(answer(records, table)))
    found = remarks(records, table)
    if found:
        console.print()
    for remark in found:
        mark, style = ("! ", "yellow") if remark.is_warning else ("- ", "dim")
        body = Text(mark, style=style).append(remark.text, style="default")
        console.print(Padding(body, (0, 0, 0, 1), expand=False))
    shown_whole = [show_section(each, console) for each in sections.for_terminal(records)]
    has_intervals = all(shown_whole)
    if not has_intervals:
        console.print()
        console.print(Text("Intervals that had no room are on the page.", style="dim"))
    console.print()
    console.print(Text(METHOD, style="dim"))
    for sentence in filter(None, (time_by_part(records), steps_saved(records))):
        console.print(Text(sentence, style="dim"))


def show_section(section: Section, console: Console) -> bool:
    """Prints its tables and its note; returns whether all intervals had room."""
    from rich.text import Text

    is_whole = True
    for grid in section.grids:
        shown = grid.within(console.width)
        is_whole &= shown.intervals == grid.intervals
        console.print()
        console.print(_beside(shown))
    console.print(Text(section.note, style="dim"))
    return is_whole


def _beside(found: Grid):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    grid.add_column(Text(found.head[0]), overflow="fold")
    for title in found.head[1:]:
        grid.add_column(Text(title), justify="right", no_wrap=True)
    for row in found.rows:
        grid.add_row(*map(Text, row))
    return grid


def _grid(table: answer_table.Table, width: int):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    columns = _that_fit(table, width)
    for column in columns:
        is_arm = column is columns[0]
        grid.add_column(
            column.title,
            justify="left" if column.is_text else "right",
            no_wrap=not is_arm,
            overflow="fold",
            min_width=8 if is_arm else None,
        )
    for row in table.rows:
        style = "bold" if row.arm == table.baseline else ""
        grid.add_row(*(Text(column.cell(row), style=style) for column in columns))
    return grid


def _that_fit(table: answer_table.Table, width: int) -> list[answer_table.Column]:
    """The primary columns, and as many others, in their order, as leave the names whole."""
    shown = [column for column in table.columns if not column.is_secondary]
    free = width - sum(_width(column, table) for column in shown)
    for column in table.columns:
        if column.is_secondary:
            free -= _width(column, table)
            if free < 0:
                break
            shown.append(column)
    return shown


def _width(column: answer_table.Column, table: answer_table.Table) -> int:
    cells = [column.title, *(column.cell(row) for row in table.rows)]
    return max(map(len, cells)) + 2
