"""What a report is made of, read from the ledger in one transaction: plain records, no frames.

Only runs of the current plan count. Confirmation runs are the answer; selection runs chose the
nuisances and appear in the tuning table alone.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, NamedTuple

from ablations.claim import Resolved
from ablations.ledger import FILE, PLANNED_STEPS, open_for_reading
from harness.foundation.errors import HarnessError

CONFIRMATION, SELECTION = "confirmation", "selection"


class Measurement(NamedTuple):
    """One number of one evaluation, after `step` steps."""

    split: str
    metric: str
    step: int
    value: float


class Slice(NamedTuple):
    """Accuracy and mean loss on the `num` test targets whose fact has this value."""

    fact: str
    value: int
    accuracy: float
    num: int
    loss: float


class Arm(NamedTuple):
    """One condition of the comparison; facts are its cost, regime and the numbers to beat."""

    condition_id: str
    label: str
    levels: dict[str, str]
    spec: dict[str, Any]
    facts: dict[str, Any]

    @property
    def chance(self) -> float | None:
        return self.facts.get("chance")

    @property
    def best_shortcut(self) -> tuple[str, float] | None:
        """Name and accuracy of the strongest trivial predictor; None where the task has none."""
        shortcuts = self.facts.get("shortcuts") or {}
        return max(shortcuts.items(), key=lambda item: item[1], default=None)

    @property
    def is_real(self) -> bool:
        """Whether targets are real numbers, so that the loss is the mean squared error."""
        return bool(self.facts.get("errors"))

    @property
    def best_shortcut_error(self) -> float | None:
        """The least mean squared error of a trivial predictor; None unless targets are real."""
        errors = self.facts.get("errors") or {}
        return min((value for name, value in errors.items() if name != "oracle"), default=None)

    @property
    def best_simple(self) -> tuple[str, float] | None:
        """Name of the best predictor that is simpler than the very best, and nats a target by which
        it loses to that; None unless targets are drawn and there is one."""
        excess = self.facts.get("excess") or {}
        return min(excess.items(), key=lambda item: item[1], default=None)

    @property
    def optimum(self) -> float | None:
        """Accuracy of the best predictor; None where it is always right, or unknown."""
        oracle = self.facts.get("oracle")
        return None if oracle is None or oracle >= 1 else oracle


@dataclass(frozen=True)
class Run:
    """One planned training and what became of it.

    status: finished, diverged, failed, or missing. steps: trained; planned_steps: what the run may
    take. wall_s: seconds of training and evaluations; seconds: by part (`harness.training.clock`),
    empty where not recorded. steps_to_solve: None where not solved. nuisance: dotted keys and
    values.
    """

    run_id: str
    arm: Arm
    purpose: str
    seed: int
    nuisance: dict[str, Any]
    status: str
    steps: int | None
    planned_steps: int | None
    wall_s: float | None
    seconds: dict[str, float]
    steps_to_solve: int | None
    message: str
    traceback: str
    provenance: dict[str, Any]
    ended_at: float | None
    measurements: tuple[Measurement, ...]
    slices: tuple[Slice, ...]

    @property
    def accuracy(self) -> float | None:
        """Test accuracy; None unless the run finished."""
        return self.tests.get("accuracy")

    @property
    def loss(self) -> float | None:
        """Test loss, in nats a target or mean squared error; None unless the run finished."""
        return self.tests.get("loss")

    @cached_property
    def tests(self) -> dict[str, float]:
        """Everything measured on test examples, metric -> value; empty unless the run finished."""
        if self.status != "finished":
            return {}
        return {m.metric: m.value for m in self.measurements if m.split == "test"}

    @property
    def ended(self) -> bool:
        """Whether the run has a result; diverging is one, failing is none."""
        return self.status in ("finished", "diverged")

    def curve(self, split: str, metric: str) -> list[tuple[int, float]]:
        """(step, value) in the order of steps."""
        return [
            (m.step, m.value) for m in self.measurements if (m.split, m.metric) == (split, metric)
        ]


class Choice(NamedTuple):
    """The nuisance setting that won for an arm, the scores of all settings, and a remark."""

    nuisance: dict[str, Any]
    scores: list[dict[str, Any]]
    note: str


class Failure(NamedTuple):
    """An attempt that raised; its run may have succeeded later."""

    run_id: str
    message: str
    traceback: str


class Stated(NamedTuple):
    """A claim in the ledger. declared_looks: how often it was to be looked at, as said when it was
    first stated; num_looks: the most that any command has asked for since. runs_before: runs of
    its arms that had answered before it was stated. is_withdrawn: no longer in the ablation."""

    resolved: Resolved
    declared_looks: int
    num_looks: int
    runs_before: int
    is_withdrawn: bool


@dataclass(frozen=True)
class Records:
    """Everything a report says, in the order of the plan. choices: condition_id -> Choice.
    claims: those of the ablation in their order, then withdrawn ones. looks: condition_id ->
    numbers of seeds with which the arm has been seen."""

    folder: Path
    meta: dict[str, Any]
    arms: list[Arm]
    runs: list[Run]
    choices: dict[str, Choice]
    failures: list[Failure]
    claims: list[Stated]
    looks: dict[str, set[int]]

    @cached_property
    def known(self) -> dict[Callable, Any]:
        """What `once` keeps; a changed copy of the records begins without."""
        return {}

    @property
    def num_left(self) -> int:
        """Runs of the plan that have not ended, those included that cannot be named yet."""
        return sum(run.status == "missing" for run in self.runs) + self.num_to_choose

    @property
    def num_to_choose(self) -> int:
        """Confirmation runs that cannot be named yet, because their nuisances are not chosen."""
        return self.meta.get("to_choose", 0)

    def confirmation(self, arm: Arm | None = None) -> list[Run]:
        """The runs that answer the question, of one arm or of all."""
        return self._of(CONFIRMATION, arm)

    def tested(self, arm: Arm) -> list[dict[str, float]]:
        """Test measurements of each of an arm's finished confirmation runs: metric -> value."""
        return [run.tests for run in self.confirmation(arm) if run.accuracy is not None]

    def selection(self, arm: Arm | None = None) -> list[Run]:
        """The runs that chose the nuisances, of one arm or of all."""
        return self._of(SELECTION, arm)

    def _of(self, purpose: str, arm: Arm | None) -> list[Run]:
        return list(self._by_arm.get((purpose, arm and arm.condition_id), ()))

    @cached_property
    def _by_arm(self) -> dict[tuple[str, str | None], list[Run]]:
        """(purpose, condition_id) -> runs; None for all arms."""
        out: dict[tuple[str, str | None], list[Run]] = {}
        for run in self.runs:
            for key in (None, run.arm.condition_id):
                out.setdefault((run.purpose, key), []).append(run)
        return out


def once(function: Callable[[Records], Any]) -> Callable[[Records], Any]:
    """For what several parts of a report ask of the same records, which never change: computed
    once, and kept as long as they are."""

    @wraps(function)
    def kept(records: Records) -> Any:
        if function not in records.known:
            records.known[function] = function(records)
        return records.known[function]

    return kept


def read(folder: str | Path | Records) -> Records:
    """Reads a ledger; what has been read already is given back.

    Raises HarnessError if there is none, if it has another format or is damaged, and if nothing
    has been planned in it yet.
    """
    if isinstance(folder, Records):
        return folder
    folder = Path(folder)
    db = open_for_reading(folder)
    try:
        db.execute("BEGIN")  # one state of the file, though a driver may be writing
        return _read(db, folder)
    except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
        raise HarnessError(
            f"the ledger is damaged: {type(error).__name__}: {error}",
            where=str(folder / FILE),
            fix="restore a copy of it, or train again into another folder: orchid run NAME --out",
        ) from None
    finally:
        db.close()


def _read(db: sqlite3.Connection, folder: Path) -> Records:
    meta = {key: json.loads(text) for key, text in db.execute("SELECT key, value FROM meta")}
    if "name" not in meta:
        raise HarnessError(
            "nothing has been planned here yet",
            where=str(folder),
            fix=f"orchid run NAME --out {folder}",
        )
    arms = [
        Arm(row[0], row[1], *map(json.loads, row[2:]))
        for row in db.execute(
            "SELECT condition_id, label, levels, spec, facts FROM arms ORDER BY position"
        )
    ]
    choices = {
        row[0]: Choice(json.loads(row[1]), json.loads(row[2]), row[3])
        for row in db.execute(
            "SELECT condition_id, nuisance, scores, note FROM selections WHERE grid_id = ?",
            (meta["grid_id"],),
        )
    }
    failures = [
        Failure(*row)
        for row in db.execute(
            "SELECT run_id, message, traceback FROM failures "
            "JOIN plan USING (run_id) ORDER BY failures.at"
        )
    ]
    looks: dict[str, set[int]] = {}
    for condition_id, num in db.execute("SELECT condition_id, num_seeds FROM looks"):
        looks.setdefault(condition_id, set()).add(num)
    claims = list(_claims(db, meta.get("claims", [])))
    return Records(folder, meta, arms, list(_runs(db, arms)), choices, failures, claims, looks)


def _claims(db: sqlite3.Connection, hashes: list[str]) -> Iterator[Stated]:
    stored = {
        row[0]: row[1:]
        for row in db.execute(
            "SELECT hash, data, declared_looks, num_looks, runs_before FROM claims "
            "ORDER BY registered_at, rowid"
        )
    }
    for key in (*hashes, *(key for key in stored if key not in hashes)):
        data, *counts = stored[key]
        yield Stated(Resolved.from_ledger(json.loads(data)), *counts, key not in hashes)


def _runs(db: sqlite3.Connection, arms: list[Arm]) -> Iterator[Run]:
    by_id = {arm.condition_id: arm for arm in arms}
    measured = _grouped(db, Measurement, "measurements", "split, metric, step, value")
    sliced = _grouped(db, Slice, "slices", "fact, value, accuracy, num, loss")
    rows = db.execute(
        "SELECT run_id, condition_id, purpose, seed, nuisance, status, steps, wall_s, "
        f"steps_to_solve, message, traceback, provenance, ended_at, seconds, {PLANNED_STEPS} "
        "FROM plan JOIN arms USING (condition_id) LEFT JOIN runs USING (run_id) "
        "ORDER BY purpose, position, plan.rowid"
    )
    for run_id, condition_id, purpose, seed, nuisance, status, *rest in rows:
        steps, wall_s, steps_to_solve, message, traceback, provenance, *rest = rest
        ended_at, seconds, planned_steps = rest
        yield Run(
            run_id=run_id,
            arm=by_id[condition_id],
            purpose=purpose,
            seed=seed,
            nuisance=json.loads(nuisance),
            status=status or "missing",
            steps=steps,
            planned_steps=planned_steps,
            wall_s=wall_s,
            seconds=json.loads(seconds or "{}"),
            steps_to_solve=steps_to_solve,
            message=message or "",
            traceback=traceback or "",
            provenance=json.loads(provenance or "{}"),
            ended_at=ended_at,
            measurements=measured.get(run_id, ()),
            slices=sliced.get(run_id, ()),
        )


def _grouped(db, kind: type, table: str, columns: str) -> Mapping[str, tuple]:
    """run_id -> its rows, in the order of the table's key (run_id, split, metric, step)."""
    rows = db.execute(
        f"SELECT run_id, {columns} FROM {table} JOIN plan USING (run_id) ORDER BY 1, 2, 3, 4"
    )
    names: dict[str, str] = {}  # SQLite gives a new string for every cell

    def one(row: tuple) -> tuple:
        return kind(*(names.setdefault(x, x) if type(x) is str else x for x in row[1:]))

    return {
        run_id: tuple(map(one, group)) for run_id, group in itertools.groupby(rows, lambda r: r[0])
    }
