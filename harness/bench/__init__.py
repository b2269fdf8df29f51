"""Measures what is meant to be fast, as ratios on one machine: machines differ, ratios less.

Repetitions of all candidates are interleaved, so that what else the machine does meets them alike.
A section is a module with `measure(...) -> result`, a JSON document that holds `machine()` and
every repetition; `render(result) -> str`, its table; `ratios(result) -> list[Ratio]`; and, where
there is more to draw than ratios, `figures(result) -> {name: text of an SVG file}`.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Key = TypeVar("Key")


class Timing(NamedTuple):
    """Milliseconds: median and spread (see `spread`) of the repetitions, and each of them."""

    median_ms: float
    low_ms: float
    high_ms: float
    each_ms: tuple[float, ...]


class Ratio(NamedTuple):
    """A line of a section's table and figure: `what` is `ratio` times as good as `than`.

    ratio: median over repetitions, each against its neighbour in time; low, high: their spread.
    wanted: what it is held against, if anything.
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
    return Ratio(what, than, statistics.median(found), *spread(found), wanted)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The middle half of the repetitions; where they are under four, their range."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def in_turn(
    candidates: Mapping[Key, Callable[[], object]],
    *,
    repetitions: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, list[float]]:
    """Seconds of each candidate in every round, one after the other, behind the warm-up."""
    times: dict[Key, list[float]] = {key: [] for key in candidates}
    for repetition in range(repetitions + warm_up):
        for key, step in candidates.items():
            start = clock()
            step()
            if repetition >= warm_up:
                times[key].append(clock() - start)
    return times


def interleaved(
    candidates: Mapping[str, Callable[[], object]], *, repetitions: int, warm_up: int = 2
) -> dict[str, Timing]:
    """Times each candidate `repetitions` times, one after the other in every round."""
    found = in_turn(candidates, repetitions=repetitions, warm_up=warm_up)
    times = {name: tuple(1e3 * seconds for seconds in each) for name, each in found.items()}
    return {
        name: Timing(statistics.median(each), *spread(each), each) for name, each in times.items()
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on; gpu: its name, or None. Threads are those of torch."""
    import numpy
    import torch

    from ablations.executors.local import usable_cpus

    return {
        "cpu": _cpu(),
        "cores": usable_cpus(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def _cpu() -> str:
    """The name of its model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe(about: Mapping[str, Any]) -> str:
    """The first line of a section; about: its result, or `machine()`. A section without threads of
    its own, whose commands decide on theirs, has None there."""
    where = f"{about['cpu']}, {_count(about['cores'], 'core')}, {about['gpu'] or 'no GPU'}"
    threads = "" if about["threads"] is None else f"{_count(about['threads'], 'thread')}; "
    return (
        f"{where}; {threads}Python {about['python']}, torch {about['torch']}, "
        f"numpy {about['numpy']}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _short(number: float) -> str:
    return f"{float(f'{number:.3g}'):,.10g}"


def render_ratios(ratios: Sequence[Ratio]) -> str:
    """The table that every section ends with."""
    wide = max(len(each.what) for each in ratios)
    than = max(len(each.than) for each in ratios)
    lines = [
        "ratios, more is better; spread: the middle half of the repetitions, of under four all",
        f"  {'':<{wide}}  {'against':<{than}} {'ratio':>8} {'spread':>18} {'wanted':>7}",
    ]
    for each in ratios:
        between = f"{_short(each.low)} to {_short(each.high)}"
        wanted = "" if each.wanted is None else f"{each.wanted:g}"
        lines.append(
            f"  {each.what:<{wide}}  {each.than:<{than}} {_short(each.ratio):>8} {between:>18} "
            f"{wanted:>7}".rstrip()
        )
    return "\n".join(lines)
