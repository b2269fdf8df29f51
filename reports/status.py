"""How far an ablation has come, read from its ledger while it runs or after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ablations.ledger import PLANNED_STEPS, driver, open_for_reading, read_meta
from harness.foundation.errors import HarnessError
from reports.savings import Savings, savings


def read_status(folder: Path) -> dict[str, Any]:
    """Counts of the current plan. planned: all runs, those to be chosen included; left: what the
    same command would still do; steps: of the runs that ended, see `Savings`. Raises
    HarnessError where nothing has been planned."""
    meta = read_meta(folder)
    if "name" not in meta:
        raise HarnessError(
            "nothing has been planned here yet", where=str(folder), fix="orchid run NAME"
        )
    db = open_for_reading(folder)
    counts = dict(
        db.execute(
            "SELECT COALESCE(runs.status, 'missing'), COUNT(*) FROM plan "
            "LEFT JOIN runs USING (run_id) GROUP BY 1"
        )
    )
    steps = savings(
        db.execute(
            f"SELECT status, SUM(steps), SUM({PLANNED_STEPS}) FROM plan "
            "JOIN runs USING (run_id) JOIN arms USING (condition_id) GROUP BY status"
        )
    )
    holder = driver(db)
    db.close()
    planned = sum(counts.values()) + meta["to_choose"]
    found = {key: counts.get(key, 0) for key in ("finished", "diverged", "failed")}
    return {
        "name": meta["name"],
        "scale": meta["scale"],
        "folder": str(folder),
        "planned": planned,
        **found,
        "to_be_chosen": meta["to_choose"],
        "left": planned - found["finished"] - found["diverged"],
        "steps": steps._asdict(),
        "driver": holder,
    }


def render_status(status: dict[str, Any]) -> str:
    """The counts as text."""
    lines = [
        f"{status['name']} ({status['scale']}) in {status['folder']}",
        f"  planned {status['planned']}, finished {status['finished']}, "
        f"diverged {status['diverged']}, failed {status['failed']}, left {status['left']}",
    ]
    if status["to_be_chosen"]:
        lines.append(f"  {status['to_be_chosen']} of them wait for the choice of nuisances")
    if saved := Savings(**status["steps"]).render():
        lines.append(f"  {saved}")
    if status["driver"]:
        lines.append(f"  driver: {status['driver']}")
    return "\n".join(lines)
