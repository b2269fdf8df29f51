"""Where the time of the runs went: seconds by part of a training."""

from __future__ import annotations

from harness.training.clock import PARTS
from reports.records import Records
from reports.table import seconds_text

NAMES = {
    "setup": "set-up",
    "data": "waiting for examples",
    "steps": "training steps",
    "evaluation": "evaluation",
    "test": "tests",
}


def time_by_part(records: Records) -> str:
    """A sentence on the seconds of all runs that recorded them; empty where none did."""
    found = [run.seconds for run in records.runs if run.seconds]
    sums = {part: sum(seconds.get(part, 0.0) for seconds in found) for part in PARTS}
    total = sum(sums.values())
    if not total:
        return ""
    shares = sorted(((sums[part] / total, NAMES[part]) for part in PARTS), reverse=True)
    said = [f"{100 * share:.0f} % {name}" for share, name in shares if round(100 * share)]
    said[0] = said[0].replace("% ", "% were ", 1)
    ended = sum(run.ended for run in records.runs)
    some = f" (of {len(found)} of {ended} runs)" if len(found) < ended else ""
    return f"Of {seconds_text(total)} on workers{some} {', '.join(said)}."
