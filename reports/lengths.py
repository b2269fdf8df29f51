"""What trained weights do on longer and shorter examples of their task."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from harness.training.metrics import EXACT_MATCH
from reports.grid import Grid, Section
from reports.records import Arm, Records
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, estimate_text, loss_name, plain, quantity_text

NOTE = (
    "The weights trained at one length (*), tested on the same task at others. What chance and "
    "shortcuts give may change with the length as well."
)


class AtLength(NamedTuple):
    """An arm's finished runs, tested at one length. word: what the task calls it. exact: None where
    an example has one answer."""

    arm: Arm
    word: str
    length: int
    is_trained: bool
    accuracy: Estimate
    loss: Estimate
    exact: Estimate | None


def at_lengths(records: Records) -> list[AtLength]:
    """Arm by arm, the lengths in order; the trained one is among them. Empty if no other length
    was tested."""
    return [found for arm in records.arms for found in _at_lengths(arm, records)]


def section(records: Records) -> Section | None:
    """Arms by lengths: accuracy, exact match, loss; None where nothing was measured."""
    found = at_lengths(records)
    grids = []
    for word in dict.fromkeys(each.word for each in found):
        some = [each for each in found if each.word == word]
        grids.append(_grid(some, f"accuracy by {word}", "accuracy"))
        several = [each for each in some if each.exact is not None]
        if several:
            grids.append(_grid(several, f"{EXACT_MATCH} by {word}", "exact"))
        for name in dict.fromkeys(loss_name(each.arm) for each in some):
            alike = [each for each in some if loss_name(each.arm) == name]
            grids.append(_grid(alike, f"{name} by {word}", "loss"))
    return Section("Test length", NOTE, grids) if grids else None


class Place(NamedTuple):
    """A tested length. word: what the task calls it. suffix: how the metrics at it end."""

    word: str
    length: int
    is_trained: bool
    suffix: str


def places(arm: Arm, metrics: Iterable[str]) -> list[Place]:
    """The lengths at which these metrics of an arm were measured, the trained one among them."""
    task, endings = arm.spec.get("task", {}), {}
    for metric in metrics:
        match = re.fullmatch(r"accuracy, (\w+) (\d+)", metric)
        if match is not None and match[1] in task:
            endings[match[1], int(match[2])] = f", {match[1]} {match[2]}"
    for word in {word for word, _ in endings}:
        endings.setdefault((word, task[word]), "")  # the trained length: the test itself
    return [Place(word, at, at == task[word], endings[word, at]) for word, at in sorted(endings)]


def _at_lengths(arm: Arm, records: Records) -> list[AtLength]:
    tested, out = records.tested(arm), []
    metrics = dict.fromkeys(metric for values in tested for metric in values)
    for word, length, is_trained, suffix in places(arm, metrics):
        accuracy, loss, exact = (
            [values[what + suffix] for values in tested if what + suffix in values]
            for what in ("accuracy", "loss", EXACT_MATCH)
        )
        out.append(
            AtLength(
                arm,
                word,
                length,
                is_trained,
                mean_interval(accuracy).clipped(0, 1),
                mean_interval(loss).clipped(0, float("inf")),
                mean_interval(exact).clipped(0, 1) if exact else None,
            )
        )
    return out


def _grid(found: list[AtLength], title: str, what: str) -> Grid:
    lengths = sorted({each.length for each in found})
    text = quantity_text if what == "loss" else estimate_text
    rows: dict[str, dict[int, str]] = {}
    for each in found:
        cell = ("* " if each.is_trained else "") + text(getattr(each, what))
        rows.setdefault(plain(each.arm.label), {})[each.length] = cell
    return Grid(
        (title, *(f"{length:,}" for length in lengths)),
        [(arm, *(cells.get(length, NOTHING) for length in lengths)) for arm, cells in rows.items()],
    )
