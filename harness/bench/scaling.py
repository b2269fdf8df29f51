"""How the harness scales: two workers against one, growth of time, a schedule for 1,000 GPUs.

See `workers`, `growth` and `schedule`, of which this section is made.
"""

from __future__ import annotations

from typing import Any

from harness.bench import Ratio, describe, growth, machine, schedule, workers

PARTS = {"workers": workers, "growth": growth, "schedule": schedule}


def measure() -> dict[str, Any]:
    """All parts, one after the other, each with every repetition."""
    return {**machine(), "threads": 1, **{name: part.measure() for name, part in PARTS.items()}}


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    parts = (part.render(result[name]) for name, part in PARTS.items())
    return "\n\n".join([describe(result), *parts])


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Of all parts."""
    return [ratio for name, part in PARTS.items() for ratio in part.ratios(result[name])]
