"""A document as GitHub's Markdown. Whatever a user named stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reports.exports.document import Document
from reports.exports.numbers import are_right, is_number
from reports.grid import Grid
from reports.table import plain

# What starts emphasis, code, links, HTML, entities, tables, headings, mathematics, mentions, emoji
# and bare addresses. A backslash before ASCII punctuation always gives the character itself.
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$@]|:(?=//|\w+:)|(?<=www)\.")
_BLOCK = re.compile(r"\d+(?=[.)])|(?=[-+=])")  # would begin a list or underline a heading


def render(document: Document) -> str:
    """The whole document."""
    return "\n".join(_lines(document)) + "\n"


def escape(text: str) -> str:
    """Text on one line that means nothing but itself, within a line."""
    return _SPECIAL.sub(r"\\\g<0>", plain(text))


def paragraph(text: str) -> str:
    """The same as a line of its own."""
    text = escape(text)
    begun = _BLOCK.match(text)
    return text if begun is None else f"{begun[0]}\\{text[begun.end() :]}"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {escape(document.question)}"
    yield f"\n{paragraph(document.title)}"
    for section in document.sections:
        yield f"\n## {escape(section.title)}"
        for grid in section.grids:
            yield ""
            yield from _table(grid)
        if section.note:
            yield f"\n{paragraph(section.note)}"
        if section is document.sections[0] and document.remarks:
            yield ""
            yield from (f"- {paragraph(remark)}" for remark in document.remarks)


def _table(grid: Grid) -> Iterator[str]:
    yield _row(grid.head, grid.num_names)
    yield f"|{'|'.join('--:' if right else '---' for right in are_right(grid))}|"
    for row in grid.rows:
        yield _row(row, grid.num_names)


def _row(cells: tuple[str, ...], num_names: int) -> str:
    written = [
        cell if index >= num_names and is_number(cell) else escape(cell)
        for index, cell in enumerate(cells)
    ]
    return f"| {' | '.join(written)} |"
