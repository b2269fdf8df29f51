"""Threshold search: the smallest value of a field at which an arm solves the task, by bisection.

    thresholds:
      width-for-recall:
        over: model.width
        values: [8, 16, 32, 64, 128]        # in the order in which the task gets easier
        solve_rate: 0.9
        arms: [attention, base_conv]        # each is searched by itself; by default every arm

Only values that decide are trained: about log2(n) of n for each arm. A value passes where the
share of its confirmation runs that solve the task is at least solve_rate. So the search takes for
granted that a later value never solves less; its table shows what was seen.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ablations.ablation import Ablation, Arm, Threshold
from ablations.labels import level_label
from ablations.reading import find, from_document
from harness.foundation.errors import HarnessError, did_you_mean

NAME_ENDING = "threshold"
Solved = Callable[[Ablation], dict[str, tuple[int, int]]]


class Probe(NamedTuple):
    """What was seen at one value: runs that solved the task, of those that ended."""

    value: str
    solved: int
    ended: int


class Found(NamedTuple):
    """An arm's search. passes: the first value that does; None where the last fails too. probes:
    what was trained, in the order of the values."""

    arm: str
    over: str
    solve_rate: float
    passes: str | None
    probes: list[Probe]


class Search(NamedTuple):
    """A threshold and the ablation that holds every arm at every value."""

    threshold: Threshold
    ablation: Ablation
    arms: dict[str, list[Arm]]  # label -> the arm at each value


def load(
    name: str, id_: str | None = None, *, scale: str = "smoke", overrides: Sequence[str] = ()
) -> Search:
    """The search that an ablation declares; id_ where it declares several.

    Raises HarnessError where there is none, and for a mistake in it.
    """
    document, text, scale, overrides, _ = find(name, scale=scale, overrides=overrides)
    plain = from_document(document, text, scale, overrides)
    declared = plain.thresholds
    if not declared:
        raise HarnessError(
            f"{plain.name} declares no thresholds",
            where=plain.file,
            fix="thresholds: {width: {over: model.width, values: [8, 16, 32]}}",
        )
    if id_ is None and len(declared) > 1:
        known = ", ".join(declared)
        raise HarnessError("there are several thresholds", where=plain.file, fix=f"one of {known}")
    id_ = next(iter(declared)) if id_ is None else id_
    if id_ not in declared:
        raise HarnessError(
            f"no threshold {id_!r}", where=plain.file, fix=did_you_mean(id_, declared)
        )
    place, threshold = ("thresholds", id_), declared[id_]
    values = [level_label(value) for value in threshold.values]
    # Each value is set as a choice of a multiverse is: over base, below the arms' own settings.
    data = copy.deepcopy(document.data) | {"multiverse": {threshold.over: list(threshold.values)}}
    for changes in (data.get("scales") or {}).values():
        changes.pop("multiverse", None)
    document = document._replace(data=data)
    arms: dict[str, list[Arm]] = {}
    seen: set[str] = set()
    for value in values:
        for arm in from_document(document, text, scale, overrides, {threshold.over: value}).arms:
            if threshold.arms and arm.label not in threshold.arms:
                continue
            if arm.condition_id in seen:
                raise HarnessError(
                    f"{threshold.over} changes nothing in the arm {arm.label!r}",
                    where=document.where((*place, "over")),
                    fix="a field that no factor sets",
                )
            seen.add(arm.condition_id)
            levels = {threshold.over: value, **arm.levels}
            named = arm._replace(label=f"{arm.label}, {threshold.over}={value}", levels=levels)
            arms.setdefault(arm.label, []).append(named)
    ablation = dataclasses.replace(
        plain,
        name=f"{plain.name}-{NAME_ENDING}-{id_}",
        arms=[arm for each in arms.values() for arm in each],
        baseline=None,
        score=None,
        match=None,
        claims=(),
        multiverse=None,
    )
    return Search(threshold, ablation, arms)


def bisect(search: Search, solved: Solved) -> list[Found]:
    """Searches every arm at once.

    solved: trains the arms of an ablation and gives condition_id -> (solved, ended); called once a
    halving, with what was trained before among the arms.
    """
    rate = search.threshold.solve_rate
    bounds = {label: (-1, len(arms)) for label, arms in search.arms.items()}  # fails, passes
    probed: list[Arm] = []
    counts: dict[str, tuple[int, int]] = {}
    while True:
        middles = {label: (a + b) // 2 for label, (a, b) in bounds.items() if b - a > 1}
        if not middles:
            break
        probed += [search.arms[label][at] for label, at in middles.items()]
        counts = solved(dataclasses.replace(search.ablation, arms=list(probed)))
        for label, at in middles.items():
            low, high = bounds[label]
            arm = search.arms[label][at]
            num, ended = counts.get(arm.condition_id, (0, 0))
            if not ended:
                raise HarnessError(
                    f"every run of {arm.label!r} failed, so the search cannot go on",
                    fix="the report of its folder has the messages; the same command goes on",
                )
            passes = num >= rate * ended
            bounds[label] = (low, at) if passes else (at, high)
    return list(_found(search, bounds, counts))


def _found(search: Search, bounds, counts) -> Iterator[Found]:
    over = search.threshold.over
    for label, arms in search.arms.items():
        _, high = bounds[label]
        probes = [
            Probe(arm.levels[over], *counts[arm.condition_id])
            for arm in arms
            if arm.condition_id in counts
        ]
        passes = arms[high].levels[over] if high < len(arms) else None
        yield Found(label, over, search.threshold.solve_rate, passes, probes)
