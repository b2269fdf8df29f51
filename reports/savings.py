"""Steps that were planned and not trained: of runs that stopped when solved, and that diverged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # `orchid status` starts without all that records stand on
    from reports.records import Records


class Savings(NamedTuple):
    """Steps of the runs that ended. planned: what their specifications allow; by_stopping: left
    out by runs that stopped when solved; by_diverging: left out by runs that diverged."""

    planned: int
    by_stopping: int
    by_diverging: int

    def render(self) -> str:
        """A sentence; empty where nothing was left out."""
        stopping, diverging = (self._text(n) for n in (self.by_stopping, self.by_diverging))
        if self.by_stopping:
            more = f"; runs that diverged left out {diverging}" if self.by_diverging else ""
            return f"Early stopping saved {stopping}{more}."
        return f"Runs that diverged left out {diverging}." if self.by_diverging else ""

    def _text(self, steps: int) -> str:
        share = round(100 * steps / max(1, self.planned))
        return f"{share or 'under 1'} % of the planned steps ({steps:,} of {self.planned:,})"


def savings(rows: Iterable[tuple[str, int, int]]) -> Savings:
    """rows: status, steps trained and steps planned of runs, or of several of one status."""
    planned, left = 0, {"finished": 0, "diverged": 0}
    for status, trained, allowed in rows:
        if status in left:
            planned += allowed
            left[status] += allowed - trained
    return Savings(planned, left["finished"], left["diverged"])


def steps_saved(records: Records) -> str:
    """What `Savings.render` says of all runs, those of tuning included."""
    ended = [run for run in records.runs if run.ended]
    return savings((run.status, run.steps, run.planned_steps) for run in ended).render()
