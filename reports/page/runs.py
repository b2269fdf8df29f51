"""Runs one by one: those that failed or diverged, and all that answer the question."""

from __future__ import annotations

from typing import NamedTuple

from reports.grid import Grid
from reports.records import Records, Run
from reports.table import NOTHING, plain, seconds_text, setting_text

MOST_RUNS = 5000  # lines of the table of runs; `reports.load` has all
MOST_NAMED = 200  # runs that broke alike


class Broken(NamedTuple):
    """Runs that broke alike. what: failed or diverged, and what came of it."""

    title: str
    what: str
    message: str
    trace: str
    runs: list[str]


def broken(records: Records) -> list[Broken]:
    """Runs that failed or diverged, and failures that a later attempt made good."""
    by_id = {run.run_id: run for run in records.runs}
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in records.runs:
        if run.status in ("diverged", "failed"):
            key = (run.status, run.message, run.traceback)
            found.setdefault(key, []).append(_title(run))
    for failure in records.failures:
        run = by_id[failure.run_id]
        if run.status != "failed":
            what = f"failed, then tried again: {run.status}"
            found.setdefault((what, *failure[1:]), []).append(_title(run))
    return [_alike(*key, runs) for key, runs in found.items()]


def every_run(records: Records) -> tuple[Grid, str]:
    """The runs that answer the question, and what the table leaves out."""
    runs = records.confirmation()
    head = (
        "arm", "seed", "tuned", "status", "accuracy", "loss", "solved at", "time", "run",
    )  # fmt: skip
    left_out = len(runs) - MOST_RUNS
    note = f"{left_out:,} more runs are in the ledger: `reports.load(FOLDER)` has them all."
    return Grid(head, [_row(run) for run in runs[:MOST_RUNS]]), note if left_out > 0 else ""


def _alike(what: str, message: str, trace: str, runs: list[str]) -> Broken:
    title = runs[0] if len(runs) == 1 else f"{len(runs):,} runs"
    named = runs if len(runs) > 1 else []
    if len(named) > MOST_NAMED:
        named = [*named[:MOST_NAMED], f"and {len(runs) - MOST_NAMED:,} more"]
    return Broken(title, what, message, trace, named)


def _title(run: Run) -> str:
    return f"{plain(run.arm.label)}, {run.purpose} seed {run.seed}" + (
        f", {setting_text(run.nuisance)}" if run.nuisance else ""
    )


def _row(run: Run) -> tuple[str, ...]:
    return (
        plain(run.arm.label),
        str(run.seed),
        setting_text(run.nuisance) or NOTHING,
        run.status,
        NOTHING if run.accuracy is None else f"{run.accuracy:.3f}",
        NOTHING if run.loss is None else f"{run.loss:.3g}",
        _solved(run),
        NOTHING if run.wall_s is None else seconds_text(run.wall_s),
        run.run_id,
    )


def _solved(run: Run) -> str:
    if not run.ended:
        return NOTHING
    return "unsolved" if run.steps_to_solve is None else str(run.steps_to_solve)
