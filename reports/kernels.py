"""What was measured of trained kernels: accuracy under interventions on h, effective lengths.

Only finished confirmation runs count, as in the answer; arms without such a kernel are left out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.training.metrics import KERNEL_LENGTH, UNDER
from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import Estimate, mean_interval
from reports.table import NOTHING, estimate_text, plain

INTERVENTIONS = (
    "h is the kernel that the example's own input makes, in every layer at once. Drop: what a run "
    "loses with another kernel in its place, paired by run: the causal share of data dependence. "
    "Swapped: the h of another example; frozen: the mean h of all; both leave a kernel of the "
    "usual size, removed (h = 0) does not."
)
LENGTHS = (
    "Taps that hold 95 % of a kernel's energy, mean over channels (and test examples). h0: the "
    "first K; h: those at circular distance up to K/2, first K in the causal form."
)


class Intervened(NamedTuple):
    """One arm under one intervention; kernel: what was done to h. drop: None as trained."""

    arm: str
    kernel: str
    accuracy: Estimate
    drop: Estimate | None

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """As text: arm, kernel, accuracy, drop."""
        drop = self.drop
        if drop is not None and drop.low == drop.high == 0:
            drop = Estimate(0.0)  # nothing was lost in any run
        drop = NOTHING if drop is None else estimate_text(drop, sign="+")
        return self.arm, self.kernel, estimate_text(self.accuracy), drop


class Lengths(NamedTuple):
    """kernels: `h0, layer 1`, ... ; rows: an arm and its mean length of each, None without."""

    kernels: list[str]
    rows: list[tuple[str, list[Estimate | None]]]

    @property
    def cells(self) -> list[tuple[str, list[str]]]:
        """The rows as text."""
        return [(arm, [_length_text(value) for value in values]) for arm, values in self.rows]


def interventions(records: Records) -> list[Intervened]:
    """Arm by arm: accuracy as trained, then under each intervention; empty if none was made."""
    out = []
    for arm in records.arms:
        runs = records.tested(arm)
        names = _names(runs, UNDER)
        if names:
            trained = mean_interval([tested["accuracy"] for tested in runs]).clipped(0, 1)
            out.append(Intervened(plain(arm.label), "as trained", trained, None))
        for name in names:
            pairs = [(t["accuracy"], t[name]) for t in runs if name in t]
            out.append(
                Intervened(
                    plain(arm.label),
                    plain(name.removeprefix(UNDER)),
                    mean_interval([after for _, after in pairs]).clipped(0, 1),
                    mean_interval([before - after for before, after in pairs]).clipped(-1, 1),
                )
            )
    return out


def lengths(records: Records) -> Lengths | None:
    """Mean effective lengths of each arm's kernels; None where none was measured."""
    found = {arm.condition_id: records.tested(arm) for arm in records.arms}
    names = sorted(
        {name for runs in found.values() for name in _names(runs, KERNEL_LENGTH)}, key=_order
    )
    if not names:
        return None
    rows = []
    for arm in records.arms:
        runs = found[arm.condition_id]
        values = [[tested[name] for tested in runs if name in tested] for name in names]
        if any(values):
            means = [mean_interval(each) if each else None for each in values]
            rows.append((plain(arm.label), means))
    return Lengths([plain(name.removeprefix(KERNEL_LENGTH)) for name in names], rows)


def intervention_section(records: Records) -> Section | None:
    """None where nothing was done to a kernel."""
    rows = [row.cells for row in interventions(records)]
    head = ("arm", "kernel h", "accuracy", "drop")
    return Section("Interventions", INTERVENTIONS, [Grid(head, rows, 2)]) if rows else None


def length_section(records: Records) -> Section | None:
    """Arms by kernels; None where no length was measured."""
    found = lengths(records)
    if found is None:
        return None
    rows = [(arm, *cells) for arm, cells in found.cells]
    return Section("Effective kernel lengths", LENGTHS, [Grid(("arm", *found.kernels), rows)])


def _names(runs: list[dict[str, float]], prefix: str) -> list[str]:
    return list(dict.fromkeys(n for tested in runs for n in tested if n.startswith(prefix)))


def _order(name: str) -> tuple[list[int | str], str]:
    """Layer by layer, layer 10 after layer 9; h before h0."""
    kernel, _, place = name.removeprefix(KERNEL_LENGTH).partition(", ")
    return [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", place)], kernel


def _length_text(value: Estimate | None) -> str:
    if value is None:
        return NOTHING
    if value.low is None:
        return f"{value.value:.1f}"
    return f"{value.value:.1f} [{value.low:.1f}, {value.high:.1f}]"
