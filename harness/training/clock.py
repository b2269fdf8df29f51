"""Where the time of a cohort goes: at every moment to one part of its training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# set-up: the stack and the evaluation sets; data: waiting for examples; steps: all else of the
# training steps; evaluation: along the way; test: at the end, with all that is measured there.
PARTS = ("setup", "data", "steps", "evaluation", "test")
TRAINING = ("data", "steps", "evaluation")


class Clock:
    """Seconds of the host's wall time by part.

    It never waits for a GPU. There `data` and `steps` are the time that the host took to hand the
    work over, until it reads the training loss before an evaluation: for that it waits, so what
    the device still had to do is time of the steps.
    """

    def __init__(self, part: str):
        self._part, self._since = part, time.perf_counter()
        self._seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Charges this part; whatever was charged before goes on afterwards."""
        before = self._part
        self._turn_to(part)
        try:
            yield
        finally:
            self._turn_to(before)

    def take(self) -> dict[str, float]:
        """Seconds by part since the last call."""
        self._turn_to(self._part)
        taken, self._seconds = self._seconds, dict.fromkeys(PARTS, 0.0)
        return taken

    def _turn_to(self, part: str) -> None:
        now = time.perf_counter()
        self._seconds[self._part] += now - self._since
        self._part, self._since = part, now
