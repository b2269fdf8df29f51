"""From runs to cohorts, with what they will cost; from specifications and the number of workers
alone, never from timings, so that every executor plans alike and a resumed plan is the same plan.

Only the memory of a worker is the machine's: where it is short, cohorts are smaller there. On a
CPU no number depends on that.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from ablations.ablation import Run
from ablations.estimate import estimate_s, worthwhile_size
from harness.spec import RunSpec
from harness.training.memory import at_most_bytes, peak_bytes

# What a prediction may take of a worker's memory: the rest is what allocators add.
SHARE_OF_MEMORY = 0.8

# Of cutting cohorts shorter so that no worker stands idle: shares of the longest cohort, of a
# worker's time, and of the best time so far, as estimates are no better than that.
CUT_TO, SMALL_PART, CLEARLY_SOONER = 0.97, 0.25, 0.98
FEW_GROUPS = 32  # as many shapes of runs, at the most, are shared out by trying every cut


class Cohort(NamedTuple):
    """Runs to be trained together, an estimate of the seconds on one CPU worker or GPU, and
    whether they fit in its memory, as far as that is known."""

    specs: tuple[RunSpec, ...]
    estimate_s: float
    fits: bool = True

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(spec.run_id for spec in self.specs)


def cohorts(
    runs: Iterable[Run | RunSpec],
    device: str = "cpu",
    workers: int = 1,
    memory: int | None = None,
) -> list[Cohort]:
    """Groups runs that can be trained together; the longest cohorts first.

    workers: how many cohorts are trained at a time. Cohorts are as large as they may be, or
    smaller where by the estimates all of them then end sooner.
    memory: bytes that a worker has, None where that is not known. A run that does not fit by
    itself is trained alone all the same.
    """
    groups = _groups(run.spec if isinstance(run, Run) else run for run in runs)
    sizes = [cohort_size(specs[0], device, memory, most=len(specs)) for specs in groups]
    cuts = _num_parts(groups, sizes, device, workers)
    out = []
    for specs, size, num in zip(groups, sizes, cuts, strict=True):
        for part in range(num):  # of equal size, give or take one
            members = tuple(specs[part::num])
            out.append(Cohort(members, estimate_s(members, device), fits=size > 0))
    return sorted(out, key=lambda cohort: -cohort.estimate_s)


def makespan_s(estimates_s: Iterable[float], workers: int) -> float:
    """Seconds until all have ended, when each worker that falls idle takes the longest left."""
    loads = [0.0] * workers
    for seconds in sorted(estimates_s, reverse=True):
        heapq.heapreplace(loads, loads[0] + seconds)
    return max(loads)


def _groups(specs: Iterable[RunSpec]) -> list[list[RunSpec]]:
    """Those that can be trained together. Runs of one arm and nuisance setting share the parts of
    their specification, so that few keys have to be computed."""
    groups: dict[str, list[RunSpec]] = {}
    group_of_parts: dict[tuple, list[RunSpec]] = {}
    for spec in specs:
        parts = (id(spec.task), id(spec.model), id(spec.train), spec.purpose)
        if parts not in group_of_parts:
            group_of_parts[parts] = groups.setdefault(spec.cohort_key, [])
        group_of_parts[parts].append(spec)  # and so keeps alive what the ids stand for
    return list(groups.values())


class _Groups:
    """Groups of runs, each cut into a number of cohorts (`parts`) of equal size, give or take
    one, for a number of workers."""

    def __init__(self, groups: Sequence[Sequence[RunSpec]], device: str, workers: int):
        self.groups, self.workers = groups, workers
        self.seconds = cache(lambda group, size: estimate_s(groups[group][:size], device))

    def lengths(self, parts: Sequence[int]) -> Iterator[float]:
        """Seconds of every cohort."""
        for group, num in enumerate(parts):
            small, num_larger = divmod(len(self.groups[group]), num)
            yield from [self.seconds(group, small)] * (num - num_larger)
            yield from [self.seconds(group, small + 1)] * num_larger if num_larger else ()

    def makespan_s(self, parts: Sequence[int]) -> float:
        return makespan_s(self.lengths(parts), self.workers)


def _num_parts(
    groups: Sequence[Sequence[RunSpec]], most: Sequence[int], device: str, workers: int
) -> list[int]:
    """Into how many cohorts to cut each group, none larger than its `most`."""
    sizes = [min(len(specs), max(1, size)) for specs, size in zip(groups, most, strict=True)]
    parts = [-(-len(specs) // size) for specs, size in zip(groups, sizes, strict=True)]
    if workers == 1:
        return parts
    of = _Groups(groups, device, workers)
    parts = _cut_longest(of, sizes, parts)
    return _cut_one_by_one(of, parts) if len(groups) <= FEW_GROUPS else parts


def _cut_longest(of: _Groups, sizes: list[int], parts: list[int]) -> list[int]:
    """Cuts the longest cohorts shorter, little by little, down to a small part of what a worker
    has to do; keeps what ends clearly sooner than all before it."""
    sizes, parts = list(sizes), list(parts)
    best, best_s = list(parts), of.makespan_s(parts)
    while True:
        longest = {group: of.seconds(group, size) for group, size in enumerate(sizes) if size > 1}
        limit_s = CUT_TO * max(longest.values(), default=0.0)
        if limit_s <= SMALL_PART * sum(of.lengths(parts)) / of.workers:
            return best
        over = [group for group, length_s in longest.items() if length_s > limit_s]
        for num_cut, group in enumerate(over, 1):
            while sizes[group] > 1 and of.seconds(group, sizes[group]) > limit_s:
                sizes[group] -= 1
            parts[group] = -(-len(of.groups[group]) // sizes[group])
            sizes[group] = -(-len(of.groups[group]) // parts[group])
            if num_cut & (num_cut - 1) and num_cut < len(over):
                continue  # of many, it is enough to look after 1, 2, 4, ...
            found_s = of.makespan_s(parts)
            if found_s < CLEARLY_SOONER * best_s:
                best, best_s = list(parts), found_s


def _cut_one_by_one(of: _Groups, parts: list[int]) -> list[int]:
    """Cuts the group that helps most, while one clearly does: a few groups are seldom even."""
    best_s = of.makespan_s(parts)
    while True:
        cuts = [
            [*parts[:group], num + 1, *parts[group + 1 :]]
            for group, num in enumerate(parts)
            if num < len(of.groups[group])
        ]
        found = min(cuts, key=of.makespan_s, default=parts)
        found_s = of.makespan_s(found)
        if found_s >= CLEARLY_SOONER * best_s:
            return parts
        parts, best_s = found, found_s


def cohort_size(
    spec: RunSpec, device: str = "cpu", memory: int | None = None, *, most: int | None = None
) -> int:
    """How many runs of this shape, of `most` that there are, to train together; 0 where not even
    one fits in `memory` bytes."""
    size = worthwhile_size(spec, device)
    size = size if most is None else min(size, most)
    if memory is None:
        return size
    limit = SHARE_OF_MEMORY * memory
    if at_most_bytes(spec, size, device) <= limit:  # a bound, since a prediction takes a second
        return size
    shared = peak_bytes(spec, 0, device)
    return max(0, min(size, int((limit - shared) // (peak_bytes(spec, 1, device) - shared))))


def largest(planned: Sequence[Cohort], device: str = "cpu") -> Cohort | None:
    """The cohort that takes the most memory, by a bound: a prediction of each takes seconds."""
    of_shape: dict[str, Cohort] = {}
    for cohort in sorted(planned, key=lambda cohort: len(cohort.specs)):
        of_shape[cohort.specs[0].cohort_key] = cohort
    return max(
        of_shape.values(),
        key=lambda cohort: at_most_bytes(cohort.specs[0], len(cohort.specs), device),
        default=None,
    )
