"""What answers do when the context is edited: do they follow it, or are they known by heart?"""

from __future__ import annotations

from typing import NamedTuple

from harness.training.metrics import FOLLOWS, KEEPS, STAYS
from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import Estimate, mean_interval
from reports.table import estimate_text, plain

NOTE = (
    "Test examples whose context is edited. Evidence edited: the right answer is another one now; "
    "share of answers that are the new one (follows), the old one (stays), or neither. Distractor "
    "edited: nothing that matters was changed; share of answers that are as before (keeps)."
)


class Edited(NamedTuple):
    """One arm's answers after edits, as shares. lost: accuracy before the edit less `follows`,
    paired by run."""

    arm: str
    follows: Estimate
    stays: Estimate
    neither: Estimate
    keeps: Estimate
    lost: Estimate
    chance: float

    @property
    def is_from_weights(self) -> bool:
        """Answers stay where the evidence went: `stays` is above chance and `follows` below the
        accuracy on unedited examples, both by their intervals."""
        if self.stays.low is None:
            return False
        return self.stays.low > self.chance and self.lost.low > 0


def edited(records: Records) -> list[Edited]:
    """Arms whose test examples were edited."""
    out = []
    for arm in records.arms:
        runs = [values for values in records.tested(arm) if FOLLOWS in values]
        if not runs:
            continue
        shares = [
            [values[FOLLOWS] for values in runs],
            [values[STAYS] for values in runs],
            [max(0.0, 1 - values[FOLLOWS] - values[STAYS]) for values in runs],
            [values[KEEPS] for values in runs],
        ]
        lost = mean_interval([values["accuracy"] - values[FOLLOWS] for values in runs])
        estimates = [mean_interval(each).clipped(0, 1) for each in shares]
        out.append(Edited(plain(arm.label), *estimates, lost.clipped(-1, 1), arm.chance or 0.0))
    return out


def section(records: Records) -> Section | None:
    """None where nothing was edited."""
    found = edited(records)
    rows = [
        (row.arm, *map(estimate_text, (row.follows, row.stays, row.neither, row.keeps)))
        for row in found
    ]
    head = ("context edited", "follows", "stays", "neither", "distractor keeps")
    return Section("Edited context", NOTE, [Grid(head, rows)]) if rows else None
