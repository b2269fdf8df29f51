"""Cost against quality: which arms are beaten by none that is as cheap and as good."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reports import compute
from reports.factors import level_text
from reports.records import Arm, Records
from reports.statistics import Estimate
from reports.table import Row, Table, plain

UNITS = ("FLOPs a token", "parameters", "seconds of training")


class Point(NamedTuple):
    """An arm: what it costs, what it reaches, and whether no other is as cheap and as good."""

    arm: str
    cost: float
    accuracy: Estimate
    is_on_front: bool


class Tradeoff(NamedTuple):
    """The arms of one task over one cost. task: the levels that its arms share; empty where there
    is one task alone."""

    task: str
    unit: str
    points: list[Point]

    @property
    def front(self) -> list[Point]:
        """From the cheapest to the best."""
        return sorted((p for p in self.points if p.is_on_front), key=lambda point: point.cost)


def tradeoffs(records: Records, table: Table) -> list[Tradeoff]:
    """Task by task, in the order of UNITS; only where the costs of finished arms differ by more
    than `compute.ALIKE`. Seconds are those of a run that takes all its steps."""
    spent = compute.spent(records)
    by_task: dict[str, list[tuple[Arm, Row]]] = {}
    for arm, row in zip(records.arms, table.rows, strict=True):
        if row.accuracy is not None:
            task = json.dumps(arm.spec.get("task"), sort_keys=True)
            by_task.setdefault(task, []).append((arm, row))
    out = []
    for pairs in by_task.values():
        name, labels = "", [row.arm for _, row in pairs]
        if len(by_task) > 1:
            name, labels = _named([arm for arm, _ in pairs], records)
        for unit in UNITS:
            costs = [_cost(unit, arm, row, spent) for arm, row in pairs]
            if None in costs or min(costs) <= 0 or max(costs) <= compute.ALIKE * min(costs):
                continue
            values = [row.accuracy for _, row in pairs]
            points = [
                Point(label, cost, row.accuracy_estimate, on)
                for label, (_, row), cost, on in zip(
                    labels, pairs, costs, on_front(costs, values), strict=True
                )
            ]
            out.append(Tradeoff(name, unit, points))
    return out


def on_front(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Whether none is as cheap and as good, and better in one of the two (Pareto)."""
    pairs = list(zip(costs, values, strict=True))
    return [
        not any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in pairs)
        for cost, value in pairs
    ]


def _cost(unit: str, arm: Arm, row: Row, spent: dict[str, compute.Spent]) -> float | None:
    if unit == "seconds of training":
        return spent[arm.condition_id].seconds
    return row.flops_per_token if unit == "FLOPs a token" else row.params


def _named(arms: Sequence[Arm], records: Records) -> tuple[str, list[str]]:
    """A task by the levels that its arms share and not all arms do, and its arms by the others; the
    task's name, and the arms', where there are no such levels."""
    shared = {
        key: level
        for key, level in arms[0].levels.items()
        if all(arm.levels.get(key) == level for arm in arms)
        and any(arm.levels.get(key) != level for arm in records.arms)
    }
    task = plain(arms[0].spec.get("task", {}).get("name", ""))
    own = [{k: v for k, v in arm.levels.items() if k not in shared} for arm in arms]
    labels = [_text(each) or plain(arm.label) for each, arm in zip(own, arms, strict=True)]
    return _text(shared) or task, labels


def _text(levels: Mapping[str, str]) -> str:
    return ", ".join(level_text(key, level) for key, level in levels.items())
