"""The table of tuning: arms by settings, the winner marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.page.protocol import SCORES
from reports.records import Records
from reports.table import NOTHING, plain, setting_text


def tuning(records: Records) -> dict[str, Any] | None:
    """Arms by settings: the score on the selection seeds, and whether the setting won."""
    settings = records.meta["nuisances"]
    if len(settings) < 2:
        return None
    metric = records.meta["metric"]
    rows = []
    for arm in records.arms:
        choice = records.choices.get(arm.condition_id)
        runs = records.selection(arm)
        if choice is None:
            ended = sum(run.status != "missing" for run in runs)
            state = f"not chosen yet, {ended} of {len(runs)} runs ended"
            rows.append({"arm": plain(arm.label), "cells": [], "state": state})
            continue
        scores = {_key(score["nuisance"]): score for score in choice.scores}
        cells = [_score_cell(scores.get(_key(s)), metric, s == choice.nuisance) for s in settings]
        rows.append({"arm": plain(arm.label), "cells": cells, "state": plain(choice.note)})
    return {
        "settings": [setting_text(setting) for setting in settings],
        "metric": SCORES[metric],
        "num_seeds": records.meta["seeds"]["selection"],
        "rows": rows,
        "has_notes": any(row["state"] for row in rows),
    }


def _score_cell(score: Mapping[str, Any] | None, metric: str, won: bool) -> dict[str, Any]:
    if score is None:
        return {"score": NOTHING, "solved": "", "won": won}
    value = score.get(metric)  # JSON has no infinity: the loss of a run that diverged
    digits = {"accuracy": ".3f", "loss": ".3g", "steps_to_solve": ".0f"}[metric]
    solved = score.get("solve_rate")
    return {
        "score": "diverged" if value is None else format(value, digits),
        "solved": f"{100 * solved:.0f} % solved" if solved is not None else "",
        "won": won,
    }


def _key(setting: Mapping[str, Any]) -> str:
    return repr(sorted(setting.items()))
