"""A section's reference job and a foreign command in turn, each as a whole process.

What a command costs is all of it: start of the interpreter, imports, and the processes that it
starts and waits for. Which goes first changes from repetition to repetition; a first round, which
fills the caches of files, is not counted. Both see the same environment.
"""

from __future__ import annotations

import shlex
import statistics
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from harness.bench import Ratio, describe, machine, ratio_of
from harness.bench.jobs import JOBS
from harness.bench.process import Cost, cost_of
from harness.foundation.errors import HarnessError

_OUT = "{out}"


def measure(
    section: str, theirs: str, ours: str | None = None, *, repetitions: int
) -> dict[str, Any]:
    """theirs, ours: shell commands, in which {out} stands for a fresh empty folder; without ours,
    the section's reference job. Raises HarnessError if a command fails."""
    words = "as given"
    if ours is None:
        ours, words = reference(section)
    commands = {"ours": ours, "theirs": theirs}
    costs = _in_turn(commands, repetitions)
    return {
        **machine(),
        "threads": None,  # the commands' own
        "section": section,
        "repetitions": repetitions,
        "job": words,
        "commands": commands,
        "each_s": {name: [cost.seconds for cost in each] for name, each in costs.items()},
        "each_cpu_s": {name: [cost.cpu_s for cost in each] for name, each in costs.items()},
    }


def reference(section: str) -> tuple[str, str]:
    """The command of a section's reference job, and what it does."""
    if section not in JOBS:
        raise HarnessError(f"the section {section} has no reference job", fix="--ours COMMAND")
    command = shlex.join([sys.executable, "-m", "harness.bench.jobs", section])
    return f"{command} {_OUT}", JOBS[section].words


def _in_turn(commands: Mapping[str, str], repetitions: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for repetition in range(repetitions + 1):
        for name in list(commands)[:: -1 if repetition % 2 else 1]:
            with tempfile.TemporaryDirectory() as folder:
                command = commands[name].replace(_OUT, shlex.quote(folder))
                cost = cost_of(command)
            if repetition:
                costs[name].append(cost)
    return costs


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        describe(result),
        f"whole processes in turn, {result['repetitions']} times each after one that is not "
        "counted; medians and ranges",
        f"ours: {result['job']}",
        f"  $ {result['commands']['ours']}",
        "theirs:",
        f"  $ {result['commands']['theirs']}",
        "",
        f"  {'':<8} {'wall s':>9} {'range':>18} {'CPU s':>9} {'range':>18}",
    ]
    for name in result["commands"]:
        cells = [_cells(result[what][name]) for what in ("each_s", "each_cpu_s")]
        lines.append(f"  {name:<8} {' '.join(cells)}")
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Their time over ours."""
    kinds = (("wall time", "each_s"), ("CPU time, processes that it waits for too", "each_cpu_s"))
    return [
        ratio_of(f"ours, {what}", "theirs", result[key]["theirs"], result[key]["ours"])
        for what, key in kinds
    ]


def _cells(seconds: list[float]) -> str:
    between = f"{min(seconds):.2f} to {max(seconds):.2f}"
    return f"{statistics.median(seconds):9.2f} {between:>18}"
