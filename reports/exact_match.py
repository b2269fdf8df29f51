"""How often every answer of an example is right, where an example has several."""

from __future__ import annotations

from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import mean_interval
from reports.table import estimate_text, plain

NOTE = "Share of test examples whose every scored answer is right."
METRIC = "exact match"


def section(records: Records) -> Section | None:
    """None where examples have one answer each, or answers are drawn."""
    rows = []
    for arm in records.arms:
        found = [values[METRIC] for values in records.tested(arm) if METRIC in values]
        if found:
            rows.append((plain(arm.label), estimate_text(mean_interval(found).clipped(0, 1))))
    return Section("Exact match", NOTE, [Grid((METRIC, "test"), rows)]) if rows else None
