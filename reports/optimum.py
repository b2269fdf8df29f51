"""How near a model comes to the best predictor, where targets are drawn and none can be sure."""

from __future__ import annotations

from typing import NamedTuple

from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import Estimate, mean_interval
from reports.table import estimate_text, plain, quantity_text

NOTE = (
    "Targets are drawn, so none can be known. Against the probabilities of the best predictor: "
    "nats of test loss above its loss, Kullback-Leibler divergence (nats) and total variation, "
    "means over test targets."
)
LEGAL_NOTE = " Legal: share of likeliest answers that are possible at all."
LOSS, DIVERGENCE = "loss above optimum", "KL from optimum"
VARIATION, LEGAL = "total variation", "legal"


class Distance(NamedTuple):
    """One arm's distance from the best predictor."""

    arm: str
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
                for name in (LOSS, DIVERGENCE, VARIATION, LEGAL)
            )
            out.append(
                Distance(
                    plain(arm.label),
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
    head = ["drawn targets", LOSS, "KL", VARIATION]
    rows = [
        [row.arm, *map(quantity_text, (row.loss, row.divergence)), estimate_text(row.variation)]
        for row in found
    ]
    has_illegal = any(row.legal.value < 1 for row in found)
    if has_illegal:
        head.append(LEGAL)
        rows = [[*cells, estimate_text(row.legal)] for cells, row in zip(rows, found, strict=True)]
    note = NOTE + (LEGAL_NOTE if has_illegal else "")
    return Section("Drawn targets", note, [Grid(tuple(head), list(map(tuple, rows)))])
