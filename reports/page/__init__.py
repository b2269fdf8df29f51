"""The report as one HTML file: verdicts, answer, figures, tables, broken runs, protocol, YAML.

It refers to nothing outside itself, and its content policy forbids it to. Everything that a user
named goes through autoescaping; the figures alone are markup, and escape their own text. Without
JavaScript it is complete; with it, tables can be sorted and filtered.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports import figures, multiverse, sections
from reports import table as answer_table
from reports.claims.text import NOTE as CLAIMS_NOTE
from reports.claims.verdict import judge
from reports.grid import Grid
from reports.page import verdicts
from reports.page.pictures import grouped, marked
from reports.page.protocol import fixed, protocol, provenance
from reports.page.runs import broken, every_run
from reports.page.tuning import tuning
from reports.records import Records
from reports.remarks import METHOD, answer, remarks
from reports.table import plain

REDRAWN = " <span>This page is redrawn as runs end.</span>"
TEMPLATES = Path(__file__).parents[1] / "templates"


def render(found: Sequence[Records], *, reload_s: int | None = None) -> str:
    """The whole page, of one ablation or of several; equal records give equal text.

    reload_s: seconds after which the browser is to load it again, for a page that is watched.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "tables.js").read_text(encoding="utf-8")
    prefixes = [""] if len(found) == 1 else [f"a{i}-" for i in range(1, len(found) + 1)]
    shown = [_ablation(each, prefix) for each, prefix in zip(found, prefixes, strict=True)]
    return environment.get_template("page.html.j2").render(
        title=shown[0]["question"] if len(shown) == 1 else f"{len(shown)} ablations",
        ablations=shown,
        reload_s=reload_s,
        redrawn=Markup(REDRAWN) if reload_s else "",
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def without_reload(text: str) -> str:
    """A page that is no longer watched; what it says of being redrawn goes too."""
    head, rest = text.split("</head>", 1)
    head = re.sub(r'<meta http-equiv="refresh"[^>]*>\n', "", head)
    return f"{head}</head>{rest.replace(REDRAWN, '')}"


def _ablation(records: Records, prefix: str) -> dict[str, Any]:
    """What the page says of one ablation. prefix: of the names that it gives to its parts."""
    table, meta = answer_table.build(records), records.meta
    many_worlds = multiverse.section(records)
    judged = [] if many_worlds else judge(records)
    runs, left_out = every_run(records)
    return {
        "prefix": prefix,
        "question": plain(meta["question"]),
        "name": plain(meta["name"]),
        "scale": plain(meta["scale"]),
        "source": _source(meta["source"]),
        "progress": _progress(records),
        "unfinished": _unfinished(records),
        "counts": verdicts.counts(judged),
        "cards": verdicts.cards(judged),
        "claims_note": CLAIMS_NOTE,
        "multiverse": many_worlds,
        "answer": answer(records, table),
        "grid": _answer_grid(table),
        "text_columns": [column.is_text for column in table.columns],
        "baseline": table.baseline and plain(table.baseline),
        "remarks": remarks(records, table),
        "method": METHOD,
        "figures": grouped(figures.draw(records), prefix),
        "sections": sections.beside(records),
        "tuning": tuning(records),
        "tuning_figures": [marked(each, prefix) for each in figures.draw_tuning(records)],
        "broken": broken(records),
        "protocol": protocol(records),
        "fixed": fixed(records),
        "provenance": provenance(records),
        "runs": runs,
        "runs_note": left_out,
        "text": meta["text"],
        "file": meta["file"],
    }


def _answer_grid(table: answer_table.Table) -> Grid:
    rows = [tuple(column.cell(row) for column in table.columns) for row in table.rows]
    return Grid(tuple(column.title for column in table.columns), rows)


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
    parts = [f"{count['finished']:,} of {total:,} runs finished"]
    parts += [f"{count[status]:,} {status}" for status in ("diverged", "failed") if count[status]]
    if missing:
        parts.append(f"{missing:,} missing")
    return ", ".join(parts)


def _unfinished(records: Records) -> str:
    """What has not been run yet, tuning included; empty where nothing is left."""
    left = records.num_left
    if not left:
        return ""
    total = len(records.runs) + records.num_to_choose
    text = f"{total - left:,} of {total:,} runs have ended, those of tuning included"
    if records.num_to_choose:
        text += f"; {records.num_to_choose:,} wait for the choice of nuisances"
    return f"{text}. The same orchid run command does what is left."
