"""The outcome of a threshold search as a table, with the uncertainty of each solve rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.grid import Grid, Section
from reports.statistics import Estimate, rate_interval
from reports.table import NOTHING, plain

if TYPE_CHECKING:
    from ablations.threshold import Found

NOTE = (
    "A value passes where the share of seeds that solve the task is at least the wanted one; "
    "brackets are Wilson's 95 % intervals. Values between those shown were not trained: the search "
    "takes for granted that a later value solves no less. {open}"
)


def section(found: Sequence[Found]) -> Section:
    """Arm by arm: the first value that passes, and every solve rate that was seen."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        passes = f"passes from {plain(each.passes)}" if each.passes else "never passes"
        name = f"{plain(each.arm)}: {passes}"
        for probe in each.probes:
            rate = rate_text(probe.solved, probe.ended)
            rows.append((name, f"{each.over} {plain(probe.value)}", rate))
    unsure = [plain(each.arm) for each in found if not is_certain(each)]
    said = (
        f"More seeds could move the threshold of {', '.join(unsure)}: an interval beside it holds "
        "the wanted rate."
        if unsure
        else ""
    )
    rate = f"{found[0].solve_rate:.0%}" if found else ""
    head = (f"threshold at {rate} solved", "", "solved")
    return Section("Threshold", NOTE.format(open=said).strip(), [Grid(head, rows, 2)])


def rate_text(solved: int, ended: int) -> str:
    """`4/5 [0.38, 0.96]`."""
    if not ended:
        return NOTHING
    low, high = rate_interval(solved, ended)[1:]
    return f"{solved}/{ended} [{low:.2f}, {high:.2f}]"


def is_certain(found: Found) -> bool:
    """Whether neither side of the threshold could as well be on the other: no interval of a probe
    that failed holds the wanted rate."""
    return all(
        rate_interval(probe.solved, probe.ended).high < found.solve_rate
        for probe in found.probes
        if probe.ended and probe.solved < found.solve_rate * probe.ended
    )


def as_data(found: Found) -> dict[str, Any]:
    """Plain data."""

    def interval(solved: int, ended: int) -> Estimate:
        return rate_interval(solved, ended) if ended else Estimate(0.0)

    probes = [
        {**probe._asdict(), "interval": list(interval(probe.solved, probe.ended)[1:])}
        for probe in found.probes
    ]
    return {**found._asdict(), "probes": probes, "is_certain": is_certain(found)}
