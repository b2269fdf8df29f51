"""The report as one HTML file: question, answer, figures, tuning, broken runs, protocol, YAML.

It refers to nothing outside itself. Everything that a user named goes through autoescaping; the
figures alone are markup, and escape their own text.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports import figures, sections
from reports import table as answer_table
from reports.records import Records, Run
from reports.remarks import METHOD, answer, remarks
from reports.table import NOTHING, plain, seconds_text, setting_text, value_text

TEMPLATES = Path(__file__).parent / "templates"
SCORES = {"accuracy": "accuracy", "loss": "loss", "steps_to_solve": "mean steps to solve"}


def render(records: Records) -> str:
    """The whole page; equal records give equal text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table, meta = answer_table.build(records), records.meta
    return environment.get_template("report.html.j2").render(
        question=plain(meta["question"]),
        name=plain(meta["name"]),
        scale=plain(meta["scale"]),
        source=_source(meta["source"]),
        progress=_progress(records),
        answer=answer(records, table),
        remarks=remarks(records, table),
        method=METHOD,
        columns=table.columns,
        rows=table.rows,
        baseline=table.baseline and plain(table.baseline),
        figures=[_marked(picture) for picture in figures.draw(records, table)],
        sections=sections.for_page(records),
        tuning_figures=[_marked(picture) for picture in figures.draw_tuning(records)],
        tuning=_tuning(records),
        broken=_broken(records),
        runs=_runs(records),
        protocol=_protocol(records),
        fixed=_fixed(records),
        provenance=_provenance(records),
        text=meta["text"],
        file=meta["file"],
    )


def _marked(picture: figures.Picture) -> figures.Picture:
    """Its drawing taken as markup by the template."""
    return picture._replace(svg=Markup(picture.svg))


def _source(source: Any) -> str:
    """Paper and place, whichever way the file wrote them."""
    if isinstance(source, Mapping):
        return ", ".join(map(plain, source.values()))
    return ", ".join(map(plain, source)) if isinstance(source, list) else plain(source)


def _progress(records: Records) -> str:
    runs = records.confirmation()
    count = Counter(run.status for run in runs)
    total = len(runs) + records.num_to_choose
    missing = count["missing"] + records.num_to_choose
    parts = [f"{count['finished']} of {total} runs finished"]
    parts += [f"{count[status]} {status}" for status in ("diverged", "failed") if count[status]]
    if missing:
        parts.append(f"{missing} missing")
    return ", ".join(parts)


# -- tuning ---------------------------------------------------------------------------------------


def _tuning(records: Records) -> dict[str, Any] | None:
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


# -- runs -----------------------------------------------------------------------------------------


def _broken(records: Records) -> list[dict[str, str]]:
    """Runs that failed or diverged, and failures that a later attempt made good."""
    by_id = {run.run_id: run for run in records.runs}
    out = [
        {"run": _title(run), "what": run.status, "message": run.message, "trace": run.traceback}
        for run in records.runs
        if run.status in ("diverged", "failed")
    ]
    for failure in records.failures:
        run = by_id[failure.run_id]
        if run.status != "failed":
            what = f"failed, then tried again: {run.status}"
            out.append(
                {
                    "run": _title(run),
                    "what": what,
                    "message": failure.message,
                    "trace": failure.traceback,
                }
            )
    return out


def _title(run: Run) -> str:
    return f"{plain(run.arm.label)}, {run.purpose} seed {run.seed}" + (
        f", {setting_text(run.nuisance)}" if run.nuisance else ""
    )


def _runs(records: Records) -> list[dict[str, str]]:
    return [
        {
            "arm": plain(run.arm.label),
            "seed": str(run.seed),
            "setting": setting_text(run.nuisance) or NOTHING,
            "status": run.status,
            "accuracy": NOTHING if run.accuracy is None else f"{run.accuracy:.3f}",
            "loss": NOTHING if run.loss is None else f"{run.loss:.3g}",
            "solved": _solved(run),
            "wall": NOTHING if run.wall_s is None else seconds_text(run.wall_s),
            "run_id": run.run_id,
        }
        for run in records.confirmation()
    ]


def _solved(run: Run) -> str:
    if not run.ended:
        return NOTHING
    return "unsolved" if run.steps_to_solve is None else str(run.steps_to_solve)


# -- protocol and provenance ----------------------------------------------------------------------


def _protocol(records: Records) -> list[tuple[str, str]]:
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
    if meta["overrides"]:
        out.append(("changed on the command line", ", ".join(map(plain, meta["overrides"]))))
    return out


def _data(spec: Mapping[str, Any]) -> str:
    examples = spec.get("train", {}).get("train_examples")
    return "fresh examples in every batch" if examples is None else f"{examples} fixed examples"


def _fixed(records: Records) -> list[tuple[str, str]]:
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


def _provenance(records: Records) -> list[tuple[str, str]]:
    runs = [run for run in records.runs if run.provenance]
    if not runs:
        return []
    out = []
    for key in sorted({key for run in runs for key in run.provenance}):
        if key not in ("cohort", "plugins"):
            counts = Counter(plain(run.provenance.get(key, "not recorded")) for run in runs)
            out.append((key.replace("_", " "), _counted(counts)))
    plugins = Counter(
        f"{name} {digest}"
        for run in runs
        for name, digest in run.provenance.get("plugins", {}).items()
    )
    if plugins:
        out.append(("plug-in sources", _counted(plugins)))
    wall = [run.wall_s for run in runs if run.wall_s is not None]
    if wall:
        each = sum(wall) / len(wall)
        out.append(
            ("training time", f"{seconds_text(sum(wall))} in all, {seconds_text(each)} a run")
        )
    last = max((run.ended_at for run in runs if run.ended_at), default=None)
    if last:
        when = datetime.datetime.fromtimestamp(last, datetime.UTC)
        out.append(("last run ended", f"{when:%Y-%m-%d %H:%M} UTC"))
    return out


def _counted(counts: Counter) -> str:
    if len(counts) == 1:
        return plain(next(iter(counts)))
    return ", ".join(f"{plain(key)} (runs: {count})" for key, count in counts.most_common())


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(plain(value) for value in values if value is not None))
