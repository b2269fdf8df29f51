"""docs/claims.md: every verdict on the library's claims, from the output folders that are there.

python -m reports.claims.page runs > docs/claims.md
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ablations.ledger import FILE
from ablations.library import files
from reports import multiverse
from reports.claims.text import common_text, effect_text, p_texts, published_text
from reports.claims.verdict import Verdict, judge
from reports.records import Records, read
from reports.table import plain

SCALES = ("smoke", "laptop", "paper")
HEAD = """# What our runs say of the claims

Every claim of the library whose ablation has been run, unfavourable verdicts included. A verdict
holds for its scale: smoke runs, minutes on two cores, neither confirm nor refute a published
result. Effects point the way of the claim (x: a ratio of steps or seconds); brackets are their
intervals at 1 - alpha / number of the ablation's claims; p is two-sided, then after Holm. Made by
`python -m reports.claims.page`; `orchid claims NAME` says more of each.
"""


def render(folders: Sequence[Path]) -> str:
    """The page. Folders without claims are passed over."""
    found = [(records, judge(records)) for records in map(read, folders)]
    found = [(records, verdicts) for records, verdicts in found if verdicts]
    parts = [HEAD, *_totals(found)]
    for records, verdicts in found:
        parts += (
            _multiverse(records)
            if records.meta.get("is_multiverse")
            else _ablation(records, verdicts)
        )
    return "\n".join(parts)


def library_folders(runs: Path, library: Mapping[str, Path]) -> list[Path]:
    """Output folders of library ablations, in their order, scale by scale."""
    names = [f"{name}{ending}" for name in library for ending in ("", "-multiverse")]
    wanted = [runs / f"{name}-{scale}" for name in names for scale in SCALES]
    return [folder for folder in wanted if (folder / FILE).is_file()]


def _totals(found: Sequence[tuple[Records, list[Verdict]]]) -> Iterator[str]:
    words = [v.word for records, each in found if not records.meta["is_multiverse"] for v in each]
    counts = {word: words.count(word) for word in dict.fromkeys(sorted(words))}
    yield f"{len(words)} verdicts: {', '.join(f'{n} {word}' for word, n in counts.items())}.\n"


def _ablation(records: Records, verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield f"## {records.meta['name']}, {records.meta['scale']}\n"
    yield f"{plain(records.meta['question'])} {_circumstances(records)}\n"
    yield "| claim | verdict | effect | p | corrected | runs | training |"
    yield "|---|---|---|---|---|---|---|"
    for verdict in verdicts:
        runs = " / ".join(str(side.seeds) for side in verdict.conditions.sides[:4])
        runs += " / ..." * (len(verdict.conditions.sides) > 4)
        said = plain(verdict.claim.statement) or verdict.claim.id
        word = f"**{verdict.word}**" + (" (exploratory)" if verdict.is_exploratory else "")
        cells = [said, word, effect_text(verdict), *p_texts(verdict), runs]
        cells.append(f"{verdict.conditions.cost_s:.0f} s")
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
    yield ""
    for verdict in verdicts:
        yield f"- `{verdict.claim.id}`: {plain(verdict.reason)}.{_beside(verdict)}"
    yield ""


def _beside(verdict: Verdict) -> str:
    """Regime, solve rates, published value and what would settle it, in a line."""
    parts = [f" {verdict.conditions.regime}" if verdict.conditions.regime else ""]
    solved = [f"{side.label} {side.solved}/{side.runs}" for side in verdict.conditions.sides]
    if len(solved) <= 6 and verdict.claim.metric != "seconds":
        parts.append(f" Solved: {', '.join(solved)}")
    if verdict.at_common:
        parts.append(f" At common settings: {common_text(verdict)}")
    if verdict.claim.published is not None:
        parts.append(f" Published: {published_text(verdict.claim.published)}")
    if verdict.settle:
        parts.append(f" Would be settled by {plain(verdict.settle)}")
    return "".join(f"{part}." for part in parts if part)


def _multiverse(records: Records) -> Iterator[str]:
    yield f"## {records.meta['name']}, {records.meta['scale']}\n"
    yield f"{plain(records.meta['question'])} {_circumstances(records)}\n"
    for each in multiverse.judged(records):
        yield f"`{each.id}` {each.head}.\n"
        yield "| protocol | verdict | effect | why |"
        yield "|---|---|---|---|"
        for verdict in each.verdicts:
            cells = (verdict.universe, verdict.word, effect_text(verdict), verdict.reason)
            yield f"| {' | '.join(plain(cell).replace('|', '/') for cell in cells)} |"
        yield ""
        for choice in each.levels[0]:
            shares = ", ".join(
                f"{plain(level)}: {held} of {num}"
                for level, (held, num) in each.shares(choice).items()
            )
            yield f"- `{choice}`: {shares}"
        yield f"\n{each.flips_text.capitalize()}.\n"


def _circumstances(records: Records) -> str:
    """Date, versions and machine of the runs."""
    runs = [run for run in records.confirmation() if run.provenance]
    if not runs:
        return ""
    last = max(run.ended_at for run in runs if run.ended_at)
    when = datetime.datetime.fromtimestamp(last, datetime.UTC)
    seen = {
        key: ", ".join(dict.fromkeys(plain(run.provenance.get(key, "?")) for run in runs))
        for key in ("torch", "device", "threads", "commit")
    }
    return (
        f"{when:%Y-%m-%d}, torch {seen['torch']}, {seen['device']}, {seen['threads']} thread a "
        f"worker, commit {seen['commit']}."
    )


if __name__ == "__main__":
    runs = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    print(render(library_folders(runs, files())))
