"""The answer as CSV: a line an arm, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from reports import frames, levels
from reports.records import Records
from reports.table import Row, Table, plain, steps_text

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and full width


def render(records: Records, table: Table) -> str:
    """A header and a line an arm: its levels where several factors vary, then the fields of `Row`;
    empty where nothing is known, `>N` for beyond N steps."""
    keys = levels.varying(records) if levels.are_several(records) else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    arm, *fields = Row._fields
    writer.writerow(map(_cell, [arm, *map(frames.column, keys), *fields]))
    for condition, row in zip(records.arms, table.rows, strict=True):
        label, *values = row._replace(steps_to_solve=_steps(row))
        told = [condition.levels.get(key) for key in keys]
        writer.writerow(map(_cell, [label, *told, *values]))
    return out.getvalue()


def _steps(row: Row) -> Any:
    if row.steps_to_solve is None:
        return None
    return steps_text(row) if math.isinf(row.steps_to_solve) else row.steps_to_solve


def _cell(value: Any) -> Any:
    """Rounded numbers; text on one line, a quote before what a spreadsheet would compute."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        value = plain(value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value
