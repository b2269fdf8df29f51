"""Accuracy by the facts that make an answer hard; of real targets, the squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.grid import Grid, Section
from reports.records import Records, Slice
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, estimate_text, plain, quantity_text

Sliced = list[dict[str, list[Slice]]]  # of each finished run of an arm, by fact

MOST_PARTS = 5  # of a fact's values on the page; more values are gathered
MOST_ROWS = 40  # in a terminal, unless the first fact alone has more
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
MORE_NOTE = " Left to the page for lack of room: by {facts}."


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
    return _facts(records, _by_arm(records))


def by_fact(records: Records) -> list[ByFact]:
    """Every fact that has two values or more."""
    sliced = _by_arm(records)
    return [_by_fact(fact, is_error, records, sliced) for fact, is_error in _facts(records, sliced)]


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
    without_room = []
    for found in (each for each in by_fact(records) if each.varies):
        num = len(rows[False]) + len(rows[True])
        if num and num + len(found.rows) > MOST_ROWS:
            without_room.append(plain(found.fact))
            continue
        count = len(found.parts)
        places = [0, None, 1] if count == 2 else [0, count // 2, count - 1]
        shown = [NOTHING if at is None else _part_text(found.parts[at]) for at in places]
        name = f"{plain(found.fact)} {', '.join(text for text in shown if text != NOTHING)}"
        for arm, estimates in found.rows:
            cells = (NOTHING if at is None else found.text(estimates[at]) for at in places)
            rows[found.is_error].append((name, arm, *cells))
    grids = [
        Grid((f"{_name(is_error)} by fact", "arm", "lowest", "middle", "highest"), some, 2)
        for is_error, some in rows.items()
        if some
    ]
    more = MORE_NOTE.format(facts=", ".join(without_room)) if without_room else ""
    return Section("Breakdown", BRIEF_NOTE + more, grids) if grids else None


def _by_arm(records: Records) -> dict[str, Sliced]:
    """condition_id -> its finished runs."""
    out: dict[str, Sliced] = {}
    for arm in records.arms:
        runs = out[arm.condition_id] = []
        for run in records.confirmation(arm):
            if run.accuracy is not None:
                by_fact: dict[str, list[Slice]] = {}
                for each in run.slices:
                    by_fact.setdefault(each.fact, []).append(each)
                runs.append(by_fact)
    return out


def _facts(records: Records, sliced: dict[str, Sliced]) -> list[tuple[str, bool]]:
    found = set()
    for arm in records.arms:
        values: dict[str, set[int]] = {}
        for run in sliced[arm.condition_id]:
            for fact, slices in run.items():
                values.setdefault(fact, set()).update(each.value for each in slices)
        found |= {(fact, arm.is_real) for fact, several in values.items() if len(several) > 1}
    return sorted(found, key=lambda item: (item[0] != "distance", item))


def _by_fact(fact: str, is_error: bool, records: Records, sliced: dict[str, Sliced]) -> ByFact:
    arms = [
        (plain(arm.label), some)
        for arm in records.arms
        if arm.is_real == is_error
        and (some := [run[fact] for run in sliced[arm.condition_id] if fact in run])
    ]
    pooled: dict[int, int] = {}
    for _, runs in arms:
        for each in (each for run in runs for each in run):
            pooled[each.value] = pooled.get(each.value, 0) + each.num
    parts = _parts(pooled)
    rows = [(arm, [_estimate(runs, part, is_error) for part in parts]) for arm, runs in arms]
    return ByFact(fact, is_error, parts, rows)


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
    runs: Sequence[list[Slice]], part: tuple[int, int], is_error: bool
) -> Estimate | None:
    """Mean over the runs of their mean over the targets of this part."""
    means = []
    for run in runs:
        some = [each for each in run if part[0] <= each.value <= part[1]]
        num = sum(each.num for each in some)
        if num:
            total = sum(s.num * (s.loss if is_error else s.accuracy) for s in some)
            means.append(total / num)
    return mean_interval(means).clipped(0, float("inf") if is_error else 1) if means else None


def _name(is_error: bool) -> str:
    return "squared error" if is_error else "accuracy"


def _part_text(part: tuple[int, int]) -> str:
    return f"{part[0]}" if part[0] == part[1] else f"{part[0]}-{part[1]}"
