"""A report as tables and words, before it takes a form.

The answer is shown as a paper shows it: a factor has a column of its own where several vary, and
what is the same in all arms is said once, below the table.
"""

from __future__ import annotations

from typing import NamedTuple

from reports import levels, sections
from reports import table as answer_table
from reports.grid import Grid, Section
from reports.records import Records
from reports.remarks import METHOD, answer, remarks
from reports.table import NOTHING, Table, plain

_ALWAYS = ("arm", "accuracy")


class Document(NamedTuple):
    """title: name and scale of the ablation. remarks: what limits the answer, the gravest first.
    sections: the answer, then what stands beside it."""

    title: str
    question: str
    remarks: list[str]
    sections: list[Section]


def build(records: Records) -> Document:
    """The document of a ledger; equal records give equal documents."""
    table, meta = answer_table.build(records), records.meta
    grid, same = answer_grid(records, table)
    note = " ".join(filter(None, [answer(records, table), same, METHOD]))
    return Document(
        f"{plain(meta['name'])}, scale {plain(meta['scale'])}",
        plain(meta["question"]),
        [plain(remark.text) for remark in remarks(records, table)],
        [Section("Answer", note, [grid]), *sections.for_page(records)],
    )


def answer_grid(records: Records, table: Table) -> tuple[Grid, str]:
    """The answer with the columns that differ between arms, and the others in a sentence."""
    columns = [(each.title, [each.cell(row) for row in table.rows]) for each in table.columns]
    is_same = {
        title: len(table.rows) > 1 and len(set(cells)) == 1 and title not in _ALWAYS
        for title, cells in columns
    }
    same = [f"{title} {cells[0]}" for title, cells in columns if is_same[title]]
    shown = [(title, cells) for title, cells in columns if not is_same[title]]
    num_names = 1
    if levels.are_several(records):
        keys = levels.varying(records)
        names = zip(levels.titles(keys), keys, strict=True)
        told = [(title, [_level(arm, key) for arm in records.arms]) for title, key in names]
        shown, num_names = [*told, *shown[1:]], len(told)
    head = tuple(title for title, _ in shown)
    rows = list(zip(*(cells for _, cells in shown), strict=True))
    said = f"The same in all arms: {', '.join(same)}." if same else ""
    return Grid(head, rows, num_names), said


def _level(arm, key: str) -> str:
    return plain(arm.levels.get(key, NOTHING))
