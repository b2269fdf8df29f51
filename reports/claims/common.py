"""A claim at settings that all arms share.

Each arm's best setting is the fair one, yet a reader asks whether the verdict hangs on it. The
selection runs answer that: every arm was trained at every setting, with the same seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from reports.records import CONFIRMATION, Records, Run
from reports.statistics import Estimate


class AtCommon(NamedTuple):
    """The verdict at one setting of the nuisances, not corrected for there being several. reason:
    as of a verdict; effect, bound: as of a verdict."""

    setting: dict[str, Any]
    word: str
    reason: str
    effect: Estimate | None
    bound: str


def settings_of(records: Records) -> list[dict[str, Any]]:
    """Settings at which all arms were tried, with seeds enough for an interval."""
    settings = records.meta["nuisances"]
    if len(settings) < 2 or records.meta["seeds"]["selection"] < 2:
        return []
    return settings if any(run.ended for run in records.selection()) else []


def records_at(records: Records, setting: Mapping[str, Any]) -> Records:
    """The ledger as if this setting had been the only one, and the selection seeds the answer."""
    runs = [_answering(run) for run in records.selection() if run.nuisance == setting]
    meta = records.meta | {"nuisances": [dict(setting)]}
    return replace(records, runs=runs, meta=meta, choices={}, looks={})


def _answering(run: Run) -> Run:
    """What was measured last on selection examples stands for the test."""
    at_end = tuple(
        each._replace(split="test")
        for each in run.measurements
        if each.split == "selection" and each.step == run.steps
    )
    return replace(run, purpose=CONFIRMATION, measurements=run.measurements + at_end)
