"""How near a model comes to the best predictor, where targets are drawn and none can be sure."""

from __future__ import annotations

from typing import NamedTuple

from harness.training.metrics import DIVERGENCE, LEGAL, LOSS_ABOVE_OPTIMUM, VARIATION
from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, estimate_text, plain, quantity_text

NOTE = (
    "Targets are drawn, so none can be known. Against the probabilities of the best predictor: "
    "nats of test loss above its loss, Kullback-Leibler divergence (nats) and total variation, "
    "means over test targets."
)
LEGAL_NOTE = " Legal: share of likeliest answers that are possible at all."
SIMPLE_NOTE = " Simple: the best of the predictors that are simpler than that, above the same loss."


class Distance(NamedTuple):
    """One arm's distance from the best predictor; simple: name and nats of the best simpler one."""

    arm: str
    simple: tuple[str, float] | None
    loss: Estimate
    divergence: Estimate
    variation: Estimate
    legal: Estimate


def distances(records: Records) -> list[Distance]:
    """Arms that were held against a best predictor."""
    out = []
    for arm in records.arms:
        runs = [values for values in records.tested(arm) if DIVERGENCE in values]
        if runs:
            loss, divergence, variation, legal = (
                mean_interval([values[name] for values in runs])
                for name in (LOSS_ABOVE_OPTIMUM, DIVERGENCE, VARIATION, LEGAL)
            )
            out.append(
                Distance(
                    plain(arm.label),
                    arm.best_simple,
                    loss,
                    divergence.clipped(0, float("inf")),
                    variation.clipped(0, 1),
                    legal.clipped(0, 1),
                )
            )
    return out


def section(records: Records) -> Section | None:
    """None where targets are determined. `legal` stands there unless all answers are."""
    found = distances(records)
    if not found:
        return None
    head = ["drawn targets", LOSS_ABOVE_OPTIMUM, "KL", VARIATION]
    rows = [
        [row.arm, *map(quantity_text, (row.loss, row.divergence)), estimate_text(row.variation)]
        for row in found
    ]
    has_illegal = any(row.legal.value < 1 for row in found)
    if has_illegal:
        head.append(LEGAL)
        rows = [[*cells, estimate_text(row.legal)] for cells, row in zip(rows, found, strict=True)]
    has_simple = any(row.simple for row in found)
    if has_simple:
        head.append("simple")
        rows = [[*cells, _simple_text(row)] for cells, row in zip(rows, found, strict=True)]
    note = NOTE + LEGAL_NOTE * has_illegal + SIMPLE_NOTE * has_simple
    return Section("Drawn targets", note, [Grid(tuple(head), list(map(tuple, rows)))])


def _simple_text(row: Distance) -> str:
    if row.simple is None:
        return NOTHING
    name, nats = row.simple
    return f"{nats:.3g}, {plain(name)}"
