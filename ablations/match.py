"""Matching: arms made equal in parameters, FLOPs or state by solving for one field of the model.

    match: {what: params, by: model.channel_mixer.ratio, to: orchid, tolerance: 0.05}

Every arm but the one it is matched to gets the value of `by` that brings it nearest. What is found
is a part of the arm's specification, like any value that a file gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from harness.cost import cost, flops_per_token, state_size
from harness.foundation.config import Config, Path
from harness.spec import RunSpec

What = Literal["params", "flops", "state"]

WORDS: dict[What, str] = {
    "params": "parameters outside embedding and readout",
    "flops": "FLOPs per token",
    "state": "numbers of state",
}

FINEST = 1e-3  # steps in which a field that is no whole number is varied
MOST_DOUBLINGS = 12
MOST_REFUSED = 128  # values in a row that are tried where an arm refuses some: heads, say


class Match(Config):
    """what: the quantity, as `orchid plan` shows it. by: the dotted key of a number of the model.
    to: the arm whose quantity the others take; by default the baseline, or else the arm that has
    most, which another arm can then change. tolerance: the largest relative difference.
    """

    what: What = "params"
    by: str
    to: str | None = None
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05

    def measure(self, spec: RunSpec) -> float:
        """The quantity of a run."""
        if self.what == "params":
            return cost(spec).params_without_embedding
        return flops_per_token(spec) if self.what == "flops" else state_size(spec)

    def agrees(self, got: float, goal: float) -> bool:
        return abs(got - goal) <= self.tolerance * goal


class Tried(NamedTuple):
    """A value of the field, and the quantity that it gives."""

    value: int | float
    got: float


class Solution(NamedTuple):
    """The value that comes nearest, and the ends of the range that was tried."""

    nearest: Tried
    low: Tried
    high: Tried


def number_at(spec: RunSpec, path: Path) -> int | float | None:
    """The number that a specification has at a path, or None where it has no number there."""
    value: object = spec
    for part in path:
        value = getattr(value, str(part), None)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def solve(
    measure: Callable[[int | float], float | None], start: int | float, goal: float
) -> Solution:
    """The value whose quantity is nearest to the goal; near values first among equals.

    measure: the quantity at a value, which must not fall as the value grows, or None where the
    value is refused. start: a value that is not refused; whole if all values must be.
    """
    return _Search(measure, start, goal).run()


class _Search:
    """Bisection over whole multiples of a unit, some of which may be refused."""

    def __init__(self, measure, start: int | float, goal: float):
        self.measure, self.goal = measure, goal
        self.whole = isinstance(start, int)
        self.start = start if self.whole else round(start / FINEST)
        self.tried: dict[int, Tried | None] = {}
        own = measure(start)
        self.own = Tried(start, own)

    def run(self) -> Solution:
        if self.own.got != self.goal:
            self._narrow(*self._bracket())
        known = sorted(t for t in (self.own, *self.tried.values()) if t is not None)
        nearest = min(known, key=lambda t: (abs(t.got - self.goal), abs(t.value - self.own.value)))
        return Solution(nearest, known[0], known[-1])

    def _bracket(self) -> tuple[int, int]:
        """Multiples between which the goal lies, or a refused one at the end of the range."""
        low = high = self.start
        if self.own.got < self.goal:
            for doubling in range(MOST_DOUBLINGS):
                low, high = high, max(1, 2 * high)
                found = self._first(range(high, high + MOST_REFUSED))
                if found is None or self._at(found).got >= self.goal:
                    break
                if doubling >= 2 and self._at(found).got == self.own.got:
                    break  # it has no effect
                high = found
        else:
            while low > 0:
                low, high = low // 2, low
                found = self._first(range(low, high))
                if found is not None and self._at(found).got <= self.goal:
                    break
        return low, high

    def _narrow(self, low: int, high: int) -> None:
        """Bisects what lies strictly between."""
        while high - low > 1:
            middle = (low + high) // 2
            found = self._first(range(middle, low, -1))
            if found is None:
                found = self._first(range(middle + 1, high))
            if found is None or self._at(found).got > self.goal:
                high = middle if found is None else found
            elif self._at(found).got < self.goal:
                low = max(found, middle)  # between the two all are refused
            else:
                return

    def _first(self, multiples: range) -> int | None:
        """The first of the multiples that is not refused."""
        for multiple in multiples[:MOST_REFUSED]:
            if self._at(multiple) is not None:
                return multiple
        return None

    def _at(self, multiple: int) -> Tried | None:
        if multiple not in self.tried:
            value = multiple if self.whole else round(multiple * FINEST, 6)
            got = self.measure(value)
            self.tried[multiple] = None if got is None else Tried(value, got)
        return self.tried[multiple]
