"""A document as GitHub's Markdown. Whatever a user named stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reports.exports.document import Document
from reports.exports.numbers import is_number
from reports.grid import Grid
from reports.table import plain

# What starts emphasis, code, links, HTML, entities, tables, headings, mathematics, mentions and
# bare addresses. A backslash before ASCII punctuation always gives the character itself.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~&$@:!^]")
_BLOCK = re.compile(r"^([-+=]|\d+(?=[.)]))")  # what would start a list or underline a heading


def render(document: Document) -> str:
    """The whole document."""
    return "\n".join(_lines(document)) + "\n"


def escape(text: str) -> str:
    """Text on one line that means nothing but itself."""
    text = _SPECIAL.sub(r"\\\g<0>", plain(text)).replace("www.", r"www\.")
    return _BLOCK.sub(lambda m: f"{m[0]}\\" if m[0][0].isdigit() else f"\\{m[0]}", text)


def _lines(document: Document) -> Iterator[str]:
    yield f"# {escape(document.question)}"
    yield f"\n{escape(document.title)}"
    for section in document.sections:
        yield f"\n## {escape(section.title)}"
        for grid in section.grids:
            yield ""
            yield from _table(grid)
        if section.note:
            yield f"\n{escape(section.note)}"
        if section is document.sections[0] and document.remarks:
            yield ""
            yield from (f"- {escape(remark)}" for remark in document.remarks)


def _table(grid: Grid) -> Iterator[str]:
    num_others = len(grid.head) - grid.num_names
    yield _row(grid.head, grid.num_names)
    yield f"|{'---|' * grid.num_names}{'--:|' * num_others}"
    for row in grid.rows:
        yield _row(row, grid.num_names)


def _row(cells: tuple[str, ...], num_names: int) -> str:
    written = [
        cell if index >= num_names and is_number(cell) else escape(cell)
        for index, cell in enumerate(cells)
    ]
    return f"| {' | '.join(written)} |"
