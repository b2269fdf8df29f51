"""Tidy pandas frames of a ledger, for questions that the report does not ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.training.metrics import EXACT_MATCH, SHORT
from reports import lengths
from reports.records import Records, Run

if TYPE_CHECKING:
    import pandas as pd


class Frames(NamedTuple):
    """runs: one row a planned run, selection runs included (`purpose` tells), with a column for
    every factor (level labels) and every nuisance (values), under the names of the YAML file.
    measurements: one row a number; slices: one row a value of a fact of the test targets;
    lengths: one row a run and a length at which it was tested, the trained one included.
    """

    runs: pd.DataFrame
    measurements: pd.DataFrame
    slices: pd.DataFrame
    lengths: pd.DataFrame


_FACTS = (
    "regime", "params", "params_without_embedding", "flops_per_token", "training_flops",
    "state_size", "chance", "oracle",
)  # fmt: skip
_RUN = (
    "run_id", "arm", "purpose", "seed", "status", "accuracy", "loss", "steps", "steps_to_solve",
    "wall_s", "message",
)  # fmt: skip


def build(records: Records) -> Frames:
    """The frames, in the order of the plan."""
    import pandas as pd

    varied = _unique(key for run in records.runs for key in (*run.arm.levels, *run.nuisance))
    columns = [_column(key) for key in varied]
    runs = pd.DataFrame(
        [_run_row(run) for run in records.runs],
        columns=[*_RUN[:2], *columns, *_RUN[2:], *SHORT, *_FACTS],
    ).astype(
        {"steps": "Int64", "steps_to_solve": "Int64", "accuracy": float, "loss": float}
        | dict.fromkeys([*SHORT, "oracle"], float)
    )
    head = ["run_id", "arm", "purpose", "seed"]
    measurements = pd.DataFrame(
        [(*_key(run), *m) for run in records.runs for m in run.measurements],
        columns=[*head, "split", "metric", "step", "value"],
    )
    slices = pd.DataFrame(
        [(*_key(run), *part) for run in records.runs for part in run.slices],
        columns=[*head, "fact", "value", "accuracy", "num", "loss"],
    )
    tested = pd.DataFrame(
        [row for run in records.runs for row in _length_rows(run)],
        columns=[*head, "length", "is_trained", "accuracy", "loss", "exact_match"],
    )
    return Frames(runs, measurements, slices, tested)


def _run_row(run: Run) -> dict[str, Any]:
    facts = {key: run.arm.facts.get(key) for key in _FACTS}
    varied = {_column(key): value for key, value in (run.arm.levels | run.nuisance).items()}
    own = {key: getattr(run, key) for key in _RUN if key != "arm"}
    tests = {column: run.tests.get(metric) for column, metric in SHORT.items()}
    return {**facts, **varied, **own, **tests, "arm": run.arm.label}


def _length_rows(run: Run) -> Iterator[tuple]:
    for _, length, is_trained, ending in lengths.places(run.arm, run.tests):
        values = (run.tests.get(what + ending) for what in ("accuracy", "loss", EXACT_MATCH))
        yield (*_key(run), length, is_trained, *values)


def _column(key: str) -> str:
    """A factor may be called like a column of ours; then it yields."""
    return f"factor.{key}" if key in (*_RUN, *SHORT, *_FACTS) else key


def _key(run: Run) -> tuple:
    return run.run_id, run.arm.label, run.purpose, run.seed


def _unique(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keys))
