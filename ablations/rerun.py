"""One run of a ledger, trained again by itself: are its numbers those that were recorded?

On one CPU thread they must be, bit for bit, whatever cohort the run was trained in; where they
are not, what was recorded of the circumstances says why. The ledger stays as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ablations.executors import worker
from ablations.ledger import FILE, open_for_reading
from ablations.runner import source_state
from harness.foundation.config import parse
from harness.foundation.errors import HarnessError, did_you_mean
from harness.spec import RunSpec
from harness.training.cohort import train_cohort
from harness.training.events import Diverged, Event, Finished, Measured

# Circumstances that do not move a number, or are the question itself.
_IRRELEVANT = ("executor", "cohort_size", "cohort")


class Recorded(NamedTuple):
    """What a ledger holds of a run. numbers: `test accuracy after 400 steps` -> value."""

    folder: Path
    run_id: str
    title: str
    status: str
    message: str
    spec: dict[str, Any] | None
    numbers: dict[str, float]
    provenance: dict[str, Any]


class Outcome(NamedTuple):
    """How a rerun went.

    differing: numbers that are not the recorded ones, as (name, then, now), None where one side
    has none. circumstances: what was recorded beside them and is not so now.
    weights: the trained state dict; None where the run diverged.
    """

    recorded: Recorded
    spec: RunSpec
    num: int
    differing: list[tuple[str, float | None, float | None]]
    circumstances: dict[str, tuple[Any, Any]]
    provenance: dict[str, Any]
    weights: dict[str, Tensor] | None

    @property
    def is_equal(self) -> bool:
        return not self.differing

    def as_data(self) -> dict[str, Any]:
        return {
            "run_id": self.recorded.run_id,
            "folder": str(self.recorded.folder),
            "equal": self.is_equal,
            "numbers": self.num,
            "differing": [
                dict(zip(("number", "then", "now"), each, strict=True)) for each in self.differing
            ],
            "circumstances": {
                key: {"then": then, "now": now} for key, (then, now) in self.circumstances.items()
            },
        }

    def render(self) -> str:
        """The same in words."""
        head = f"{self.recorded.run_id}: {self.recorded.title}, from {self.recorded.folder}"
        if self.is_equal:
            return f"{head}\n  all {self.num} numbers are those of the ledger, bit for bit"
        name, then, now = self.differing[0]
        lines = [
            head,
            f"  {len(self.differing)} of {self.num} numbers differ from those of the ledger, "
            f"by {_largest(self.differing)}",
            f"  the first: {name}, {_shown(then)} then, {_shown(now)} now",
        ]
        lines += [
            f"  {key}: {then} then, {now} now" for key, (then, now) in self.circumstances.items()
        ]
        if not self.circumstances:
            lines.append(
                "  nothing that was recorded of the circumstances differs: the source has changed "
                "without a new commit, or this is a fault of the harness"
            )
        return "\n".join(lines)


def find(prefix: str, folders: Sequence[Path]) -> Recorded:
    """The run whose id begins so. Raises HarnessError where there is none, or several, and where
    it has no numbers."""
    known: dict[str, tuple[Path, str, str | None]] = {}
    for folder in folders:
        for run_id, title, status in _listed(folder):
            if run_id not in known or (known[run_id][2] is None and status is not None):
                known[run_id] = (folder, title, status)
    matching = {run_id: known[run_id] for run_id in known if run_id.startswith(prefix)}
    if not known:
        raise HarnessError(
            "there are no runs here",
            where=", ".join(map(str, folders)) or "runs/",
            fix="orchid run NAME makes some; --in takes another folder",
        )
    if not matching or not prefix:
        raise HarnessError(
            f"no run {prefix!r} among {len(known)}",
            where=", ".join(map(str, folders)),
            fix=_suggestion(prefix, known),
        )
    if len(matching) > 1:
        listed = [f"{run_id}  {title}" for run_id, (_, title, _) in sorted(matching.items())]
        shown = listed[:12] + [f"and {len(listed) - 12} more"] * (len(listed) > 12)
        raise HarnessError(
            f"{len(matching)} runs begin with {prefix!r}:\n    " + "\n    ".join(shown),
            fix="give more of its id",
        )
    ((run_id, (folder, title, status)),) = matching.items()
    if status is None:
        raise HarnessError(
            f"the run {run_id} ({title}) has not been trained yet",
            where=str(folder),
            fix=f"orchid run {folder}",
        )
    found = _read(folder, run_id, title)
    if found.status == "failed":
        raise HarnessError(
            f"the run {run_id} ({title}) failed, so there is nothing to compare with: "
            f"{found.message}",
            where=str(folder),
            fix=f"orchid run {folder} tries it again",
        )
    return found


def rerun(recorded: Recorded, *, device: str | None = None) -> Outcome:
    """Trains the run, by default on the kind of device it was recorded on."""
    if recorded.spec is None:
        raise HarnessError(f"the ledger has no specification of {recorded.run_id}")
    spec = parse(RunSpec, recorded.spec)
    if spec.run_id != recorded.run_id:
        commit = recorded.provenance.get("commit", "not recorded")
        raise HarnessError(
            f"the code has changed since {recorded.run_id} was trained: the same specification "
            f"is now the run {spec.run_id}",
            where=str(recorded.folder),
            fix=f"check out what trained it (commit {commit}), or train it anew with orchid run",
        )
    worker.prepare(1, ())
    events: list[Event] = []
    weights: list[dict[str, Tensor]] = []
    train_cohort(
        [spec],
        events.append,
        device=device or recorded.provenance.get("device", "cpu").split()[0],
        take_weights=lambda _, values: weights.append(values),
    )
    end = next(event for event in events if isinstance(event, Finished | Diverged))
    provenance = {**end.provenance, **source_state()}
    now = _numbers(events, end)
    names = list(dict.fromkeys([*recorded.numbers, *now]))
    return Outcome(
        recorded,
        spec,
        len(names),
        [
            (name, recorded.numbers.get(name), now.get(name))
            for name in names
            if recorded.numbers.get(name) != now.get(name)
        ],
        {
            key.replace("_", " "): (recorded.provenance.get(key, "not recorded"), value)
            for key, value in provenance.items()
            if key not in _IRRELEVANT and recorded.provenance.get(key) != value
        },
        provenance,
        weights[0] if weights else None,
    )


def _listed(folder: Path) -> list[tuple[str, str, str | None]]:
    """(run_id, title, status) of the runs of the plan; status is None where not trained."""
    if not (folder / FILE).is_file():
        raise HarnessError("there is no ledger here", where=str(folder))
    db = open_for_reading(folder)
    rows = db.execute(
        "SELECT run_id, label, purpose, seed, nuisance, status "
        "FROM plan JOIN arms USING (condition_id) LEFT JOIN runs USING (run_id)"
    ).fetchall()
    others = db.execute(
        "SELECT run_id, status FROM runs WHERE run_id NOT IN (SELECT run_id FROM plan)"
    ).fetchall()
    db.close()
    planned = [(row[0], _title(*row[1:5]), row[5]) for row in rows]
    return planned + [(run_id, "no longer planned", status) for run_id, status in others]


def _title(label: str, purpose: str, seed: int, nuisance: str) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in json.loads(nuisance).items())
    return ", ".join(filter(None, [label, f"{purpose} seed {seed}", settings]))


def _read(folder: Path, run_id: str, title: str) -> Recorded:
    db = open_for_reading(folder)
    status, steps, to_solve, message, spec, provenance = db.execute(
        "SELECT status, steps, steps_to_solve, message, spec, provenance FROM runs "
        "WHERE run_id = ?",
        (run_id,),
    ).fetchone()
    measured = db.execute(
        "SELECT split, metric, step, value FROM measurements WHERE run_id = ? "
        "ORDER BY step, split, metric",
        (run_id,),
    ).fetchall()
    slices = db.execute(
        "SELECT fact, value, accuracy, num, loss FROM slices WHERE run_id = ?", (run_id,)
    ).fetchall()
    db.close()
    return Recorded(
        folder,
        run_id,
        title,
        status,
        message or "",
        json.loads(spec) if spec else None,
        _named(measured, slices, steps, to_solve),
        json.loads(provenance or "{}"),
    )


def _numbers(events: Iterable[Event], end: Finished | Diverged) -> dict[str, float]:
    measured = [
        (event.split, metric, event.step, value)
        for event in events
        if isinstance(event, Measured)
        for metric, value in event.values.items()
    ]
    if isinstance(end, Diverged):
        return _named(measured, (), end.step, None)
    return _named(measured, end.breakdown, end.steps, end.steps_to_solve)


def _named(measured, slices, steps: int, steps_to_solve: int | None) -> dict[str, float]:
    """Every number of a run under a name that reads."""
    numbers = {"steps": steps}
    if steps_to_solve is not None:
        numbers["steps to solve"] = steps_to_solve
    for split, metric, step, value in sorted(measured, key=lambda row: row[2]):
        numbers[f"{split} {metric} after {step} steps"] = value
    for fact, value, accuracy, _, loss in slices:
        numbers[f"test accuracy where {fact} is {value}"] = accuracy
        numbers[f"test loss where {fact} is {value}"] = loss
    return numbers


def _suggestion(prefix: str, known: Iterable[str]) -> str:
    near = did_you_mean(prefix, known).partition("?")
    if near[1]:
        return near[0] + "?"
    return (
        "`Every run` at the end of report.html lists them, their first characters do; --in takes "
        "another folder"
    )


def _largest(differing) -> str:
    sizes = [
        abs(then - now) / max(abs(then), abs(now))
        for _, then, now in differing
        if then is not None and now is not None
    ]
    if not sizes or not math.isfinite(max(sizes)):
        return "numbers that one of them lacks"
    return f"at most {max(sizes):.1g} of their size"


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.9g}"
