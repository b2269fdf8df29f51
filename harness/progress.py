"""What a person sees while an ablation runs: a live display, or plain lines in a log file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from ablations.show import duration, too_large
from harness.training.events import Diverged, Event, Failed, Finished, Measured, Started

if TYPE_CHECKING:
    from ablations.todo import Plan

PLAIN_EVERY_S = 10.0


class Progress:
    """Follows a run on standard error."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True)
        self._live: Live | None = None
        self._begin()

    def _begin(self) -> None:
        self._num = self._ended = self._solved = self._failed = self._diverged = 0
        self._steps: dict[str, int] = {}
        self._budget: dict[str, int] = {}
        self._begun = self._said = time.monotonic()
        self._latest = ""

    def planned(self, plan: Plan, stage: str, workers: int) -> None:
        """Says what will run, and about how long it takes."""
        self.close()
        self._begin()
        todo = [run for run in plan.pending if run.spec.purpose == stage]
        if not todo:
            return
        self._num = len(todo)
        self._budget = {run.spec.run_id: run.spec.train.steps for run in todo}
        self._label = {run.spec.run_id: run.arm.label for run in todo}
        later = f", then {plan.to_choose} with the nuisances chosen" if plan.to_choose else ""
        self.console.print(
            f"{stage}: {len(todo)} runs in {len(plan.cohorts)} cohorts on {workers} workers, "
            f"about {duration(plan.estimate_s(workers))}{later}; "
            f"{plan.counts['cached']} runs are there already",
            highlight=False,
        )
        for memory in plan.too_large():
            self.console.print(too_large(memory), highlight=False)
        if self.console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}")
            )
            self._task = self._bar.add_task(stage, total=1.0, note="starting workers")
            self._live = Live(self._bar, console=self.console, refresh_per_second=4)
            self._live.start()

    def take(self, event: Event) -> None:
        """Counts an event."""
        if isinstance(event, Started):
            self._steps[event.run_id] = 0
        elif isinstance(event, Measured):
            self._steps[event.run_id] = event.step
            if event.split != "train":
                accuracy = event.values.get("accuracy", float("nan"))
                self._latest = f"{self._label[event.run_id]} at {accuracy:.2f}"
        else:
            self._ended += 1
            self._steps[event.run_id] = self._budget[event.run_id]
            self._solved += isinstance(event, Finished) and event.steps_to_solve is not None
            self._failed += isinstance(event, Failed)
            self._diverged += isinstance(event, Diverged)
        self._show(now=self._said == self._begun and bool(self._latest))

    def close(self) -> None:
        """Ends the display."""
        if self._live is not None:
            self._show(now=True)
            self._live.stop()
            self._live = None

    def _show(self, *, now: bool) -> None:
        done = sum(self._steps.values()) / max(1, sum(self._budget.values()))
        elapsed = time.monotonic() - self._begun
        left = f", {duration(elapsed * (1 - done) / done)} left" if done > 0.01 else ""
        parts = [f"{self._ended}/{self._num} runs ended", f"{self._solved} solved"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if self._diverged:
            parts.append(f"{self._diverged} diverged")
        note = f"{100 * done:.0f} %{left}: {', '.join(parts)}" + (
            f"; {self._latest}" if self._latest else ""
        )
        if self._live is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif now or self._ended == self._num or time.monotonic() - self._said > PLAIN_EVERY_S:
            self.console.print(note, highlight=False, soft_wrap=True)
            self._said = time.monotonic()
