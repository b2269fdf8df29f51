"""How often every answer of an example is right, where an example has several."""

from __future__ import annotations

from harness.training.metrics import EXACT_MATCH
from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import mean_interval
from reports.table import estimate_text, plain

NOTE = "Share of test examples whose every scored answer is right."


def section(records: Records) -> Section | None:
    """None where examples have one answer each, or answers are drawn."""
    rows = []
    for arm in records.arms:
        found = [values[EXACT_MATCH] for values in records.tested(arm) if EXACT_MATCH in values]
        if found:
            rows.append((plain(arm.label), estimate_text(mean_interval(found).clipped(0, 1))))
    return Section("Exact match", NOTE, [Grid((EXACT_MATCH, "test"), rows)]) if rows else None
