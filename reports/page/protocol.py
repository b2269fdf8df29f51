"""What the numbers rest on: factors, nuisances, what all arms share or were matched in, and what
the runs were made with.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reports.records import Records
from reports.savings import steps_saved
from reports.table import plain, seconds_text, setting_text, value_text
from reports.time_by_part import time_by_part

SCORES = {"accuracy": "accuracy", "loss": "loss", "steps_to_solve": "mean steps to solve"}


class Made(NamedTuple):
    """What runs were made with. is_mixed: not the same in all of them."""

    what: str
    value: str
    is_mixed: bool = False


def protocol(records: Records) -> list[tuple[str, str]]:
    """Factors, nuisances, seeds, budgets, and what the arms were matched in."""
    meta = records.meta
    seeds = meta["seeds"]
    out = [(f"factor {plain(key)}", "; ".join(map(plain, v))) for key, v in meta["factors"].items()]
    beside = [plain(arm.label) for arm in records.arms if "variant" in arm.levels]
    if beside:
        out.append(("arms beside the grid", "; ".join(beside)))
    if len(meta["nuisances"]) > 1:
        choices = "; ".join(map(setting_text, meta["nuisances"]))
        out.append(
            ("tuned for each arm", f"{choices} (on {seeds['selection']} selection seeds)"),
        )
    out.append(("seeds for the answer", f"{seeds['confirmation']}, none of them used in tuning"))
    out.append(("compared by", SCORES[meta["metric"]]))
    for title, key in (("steps of training", "steps"), ("loss over", "loss"), ("regime", "regime")):
        values = _distinct(arm.facts.get(key) for arm in records.arms)
        if values:
            out.append((title, ", ".join(values)))
    out.append(("training data", ", ".join(_distinct(_data(arm.spec) for arm in records.arms))))
    matched = [(arm, arm.facts["matched"]) for arm in records.arms if arm.facts.get("matched")]
    if matched:
        match = matched[0][1]
        values = ", ".join(f"{plain(arm.label)} {part['value']:g}" for arm, part in matched)
        text = f"{match['what']}, to {plain(match['to'])} within {match['tolerance']:.0%}"
        out.append(("arms matched in", f"{text}, by {plain(match['by'])}: {values}"))
    if meta["overrides"]:
        out.append(("changed on the command line", ", ".join(map(plain, meta["overrides"]))))
    return out


def _data(spec: Mapping[str, Any]) -> str:
    examples = spec.get("train", {}).get("train_examples")
    return "fresh examples in every batch" if examples is None else f"{examples} fixed examples"


def fixed(records: Records) -> list[tuple[str, str]]:
    """Dotted keys that have the same value in all arms, and are neither seed nor tuned."""
    tuned = {key for setting in records.meta["nuisances"] for key in setting}
    flat = [dict(_flat(arm.spec)) for arm in records.arms]
    return [
        (plain(key), value_text(value))
        for key, value in (flat[0].items() if flat else ())
        if key not in tuned | {"seed", "purpose"}
        and all(key in other and other[key] == value for other in flat)
    ]


def _flat(spec: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in spec.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from _flat({str(i): item for i, item in enumerate(value)}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def provenance(records: Records) -> list[Made]:
    """Device, threads, versions, plug-ins, and how long it took."""
    runs = [run for run in records.runs if run.provenance]
    if not runs:
        return []
    out = []
    for key in sorted({key for run in runs for key in run.provenance}):
        if key not in ("cohort", "plugins"):
            counts = Counter(plain(run.provenance.get(key, "not recorded")) for run in runs)
            is_mixed = len(counts) > 1 and key != "cohort_size"
            out.append(Made(key.replace("_", " "), _counted(counts), is_mixed))
    plugins = Counter(
        f"{name} {digest}"
        for run in runs
        for name, digest in run.provenance.get("plugins", {}).items()
    )
    if plugins:
        out.append(Made("plug-in sources", _counted(plugins)))
    wall = [run.wall_s for run in runs if run.wall_s is not None]
    if wall:
        each = sum(wall) / len(wall)
        text = f"{seconds_text(sum(wall))} in all, {seconds_text(each)} a run"
        out.append(Made("training time", text))
    named = (("time by part", time_by_part), ("steps saved", steps_saved))
    out += [Made(what, text) for what, say in named if (text := say(records))]
    last = max((run.ended_at for run in runs if run.ended_at), default=None)
    if last:
        when = datetime.datetime.fromtimestamp(last, datetime.UTC)
        out.append(Made("last run ended", f"{when:%Y-%m-%d %H:%M} UTC"))
    return out


def _counted(counts: Counter) -> str:
    if len(counts) == 1:
        return plain(next(iter(counts)))
    return ", ".join(f"{plain(key)} (runs: {count})" for key, count in counts.most_common())


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(plain(value) for value in values if value is not None))
