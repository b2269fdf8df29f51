"""Measures what is meant to be fast, as ratios within one process: machines differ, ratios less.

Repetitions of all candidates are interleaved, so that what else the machine does meets them alike.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch


class Timing(NamedTuple):
    """Milliseconds: median, and the middle half of the repetitions."""

    median_ms: float
    low_ms: float
    high_ms: float


class Ratio(NamedTuple):
    """A line of a section's table and figure: `what` is `ratio` times as good as `than`.

    ratio: median over repetitions, each against its neighbour in time; low, high: the middle half
    of them, or their range where there are few. wanted: what it is held against, if anything.
    """

    what: str
    than: str
    ratio: float
    low: float
    high: float
    wanted: float | None = None


def ratio_of(
    what: str,
    than: str,
    values: Sequence[float],
    yardstick: Sequence[float],
    wanted: float | None = None,
) -> Ratio:
    """Of paired repetitions, larger values being better; times go in the other way round."""
    found = [ours / theirs for ours, theirs in zip(values, yardstick, strict=True)]
    few = len(found) < 4
    low, high = (min(found), max(found)) if few else statistics.quantiles(found, n=4)[::2]
    return Ratio(what, than, statistics.median(found), low, high, wanted)


def interleaved(
    candidates: Mapping[str, Callable[[], object]], *, repetitions: int, warm_up: int = 2
) -> dict[str, Timing]:
    """Times each candidate `repetitions` times, one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(repetitions + warm_up):
        for name, step in candidates.items():
            start = time.perf_counter()
            step()
            if repetition >= warm_up:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {
        name: Timing(statistics.median(found), *statistics.quantiles(found, n=4)[::2])
        for name, found in times.items()
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
