"""Accuracy by the facts that make an answer hard; of real targets, the squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.grid import Grid, Section
from reports.records import Arm, Records, Run
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, estimate_text, plain, quantity_text

MOST_PARTS = 5  # of a fact's values on the page; more values are gathered
VARIES, VARIES_TIMES = 0.05, 1.5  # accuracy, and squared error, that make a fact worth a line

NOTE = (
    "Test targets by a fact about each; many values are gathered into parts with about equally "
    "many targets. A fact of more than 64 values is recorded by powers of two: 16 is 16 to 31."
)
BRIEF_NOTE = (
    "Test targets by a fact about each: those with its lowest, its middle and its highest values. "
    "Left out are facts along which no arm varies by more than "
    f"{VARIES} (squared error: by {VARIES_TIMES} times); the page has them."
)


class ByFact(NamedTuple):
    """One fact. parts: its values from .. to, ascending, which all arms share. rows: an arm and
    its accuracy, or squared error, in each part; None where it has no targets there."""

    fact: str
    is_error: bool
    parts: list[tuple[int, int]]
    rows: list[tuple[str, list[Estimate | None]]]

    @property
    def title(self) -> str:
        return f"{_name(self.is_error)} by {plain(self.fact)}"

    @property
    def varies(self) -> bool:
        """Whether some arm does better in one part than in another."""
        for _, estimates in self.rows:
            values = [each.value for each in estimates if each is not None]
            spread = VARIES_TIMES * min(values) if self.is_error else min(values) + VARIES
            if max(values) > spread:
                return True
        return False

    def text(self, estimate: Estimate | None) -> str:
        if estimate is None:
            return NOTHING
        return quantity_text(estimate) if self.is_error else estimate_text(estimate)


def facts(records: Records) -> list[tuple[str, bool]]:
    """Facts by which some arm can be broken down, distance first; and whether its targets are
    real."""
    found = {
        (fact, arm.is_real)
        for arm in records.arms
        for fact, values in _values(arm, records).items()
        if len(values) > 1
    }
    return sorted(found, key=lambda item: (item[0] != "distance", item))


def by_fact(records: Records) -> list[ByFact]:
    """Every fact that has two values or more."""
    return [_by_fact(fact, is_error, records) for fact, is_error in facts(records)]


def section(records: Records) -> Section | None:
    """All facts, for the page."""
    grids = [
        Grid(
            (found.title, *map(_part_text, found.parts)),
            [(arm, *map(found.text, estimates)) for arm, estimates in found.rows],
        )
        for found in by_fact(records)
    ]
    return Section("Breakdown", NOTE, grids) if grids else None


def brief(records: Records) -> Section | None:
    """The facts that matter, at three places each, for a terminal."""
    rows: dict[bool, list[tuple[str, ...]]] = {False: [], True: []}
    for found in by_fact(records):
        count = len(found.parts)
        places = [0, None, 1] if count == 2 else [0, count // 2, count - 1]
        shown = [NOTHING if at is None else _part_text(found.parts[at]) for at in places]
        name = f"{plain(found.fact)} {', '.join(text for text in shown if text != NOTHING)}"
        for arm, estimates in found.rows if found.varies else ():
            cells = (NOTHING if at is None else found.text(estimates[at]) for at in places)
            rows[found.is_error].append((name, arm, *cells))
    grids = [
        Grid((f"{_name(is_error)} by fact", "arm", "lowest", "middle", "highest"), some, 2)
        for is_error, some in rows.items()
        if some
    ]
    return Section("Breakdown", BRIEF_NOTE, grids) if grids else None


def _by_fact(fact: str, is_error: bool, records: Records) -> ByFact:
    arms = [arm for arm in records.arms if arm.is_real == is_error]
    pooled: dict[int, int] = {}
    for arm in arms:
        for value, num in _values(arm, records).get(fact, {}).items():
            pooled[value] = pooled.get(value, 0) + num
    parts, rows = _parts(pooled), []
    for arm in arms:
        if fact in _values(arm, records):
            runs = [run for run in records.confirmation(arm) if run.accuracy is not None]
            rows.append((plain(arm.label), [_estimate(runs, fact, p, is_error) for p in parts]))
    return ByFact(fact, is_error, parts, rows)


def _values(arm: Arm, records: Records) -> dict[str, dict[int, int]]:
    """fact -> value -> test targets, of an arm's finished runs."""
    out: dict[str, dict[int, int]] = {}
    for run in records.confirmation(arm):
        for part in run.slices if run.accuracy is not None else ():
            known = out.setdefault(part.fact, {})
            known[part.value] = known.get(part.value, 0) + part.num
    return out


def _parts(pooled: dict[int, int]) -> list[tuple[int, int]]:
    """Values, or, if they are many, runs of them with about equally many targets."""
    values = sorted(pooled)
    least = 1.0
    if len(values) > MOST_PARTS:
        least = sum(pooled.values()) / MOST_PARTS
    parts, first, before, num = [], None, None, 0
    for value in values:
        if num and pooled[value] >= least:  # a frequent value does not swallow rare ones
            parts.append((first, before))
            first, num = None, 0
        first, before = value if first is None else first, value
        num += pooled[value]
        if num >= least or value == values[-1]:
            parts.append((first, value))
            first, num = None, 0
    return parts


def _estimate(
    runs: Sequence[Run], fact: str, part: tuple[int, int], is_error: bool
) -> Estimate | None:
    """Mean over the runs of their mean over the targets of this part."""
    means = []
    for run in runs:
        some = [s for s in run.slices if s.fact == fact and part[0] <= s.value <= part[1]]
        num = sum(s.num for s in some)
        if num:
            total = sum(s.num * (s.loss if is_error else s.accuracy) for s in some)
            means.append(total / num)
    return mean_interval(means).clipped(0, float("inf") if is_error else 1) if means else None


def _name(is_error: bool) -> str:
    return "squared error" if is_error else "accuracy"


def _part_text(part: tuple[int, int]) -> str:
    return f"{part[0]}" if part[0] == part[1] else f"{part[0]}-{part[1]}"
