"""A paper's tables and figures as claims: what it published, what we found, at which scale.

The claims are those of the library whose source is the paper; the findings are those of the output
folders that are there. What has not been run says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ablations.ledger import FILE
from ablations.protocol import load as load_protocol
from harness.foundation import yaml
from harness.foundation.errors import HarnessError, did_you_mean
from reports.claims.text import as_data as verdict_data
from reports.claims.text import effect_text, published_text
from reports.claims.verdict import Verdict, judge
from reports.records import read
from reports.table import plain

if TYPE_CHECKING:
    from rich.console import Console

NOT_RUN = "not run"


class Entry(NamedTuple):
    """A published claim. verdicts: scale -> ours, of the scales that have been run."""

    id: str
    statement: str
    where: str
    published: Any
    verdicts: dict[str, Verdict]


class Source(NamedTuple):
    """An ablation of the library and its claims about the paper. not_matched: what the re-run
    cannot do as published."""

    ablation: str
    question: str
    scales: tuple[str, ...]
    not_matched: tuple[str, ...]
    entries: list[Entry]


def find(paper: str, library: Mapping[str, Path], runs: Path) -> list[Source]:
    """The sources of a paper, by its arXiv number or another part of how it is cited.

    library: name -> file. runs: the folder of output folders.
    Raises HarnessError for a paper that no claim of the library is about.
    """
    known: set[str] = set()
    found = []
    for name, path in library.items():
        data = yaml.load_file(path).data
        entries = []
        for claim in data.get("claims") or []:
            source = claim.get("source") or data["source"]
            cited = str(source.get("paper", ""))
            known |= {cited} - {""}
            if cited and paper.lower() in cited.lower():
                entries.append((claim, str(source.get("where", ""))))
        if entries:
            found.append(_source(name, data, entries, runs))
    if not found:
        near = [re.sub("(?i)^arxiv:", "", each) for each in known]
        raise HarnessError(
            f"no claim of the library is about {paper!r}", fix=did_you_mean(paper, near)
        )
    return found


def show(paper: str, sources: list[Source], console: Console) -> None:
    """Prints the claims with the published value, ours, the verdict and its regime."""
    from rich.padding import Padding
    from rich.text import Text

    for source in sources:
        console.print(Text(plain(source.question), style="bold"))
        console.print(Text(f"orchid run {source.ablation}", style="dim"))
        for entry in source.entries:
            console.print()
            console.print(Text(f"{entry.id}  ", style="bold").append(plain(entry.where), "dim"))
            for line in _lines(entry, source):
                console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
        for line in source.not_matched:
            console.print(Padding(Text(f"not matched: {plain(line)}", "dim"), (0, 0, 0, 2)))
        console.print()


def as_data(sources: list[Source]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [
        {
            **source._asdict(),
            "entries": [
                {
                    **entry._asdict(),
                    "verdicts": {k: verdict_data(v) for k, v in entry.verdicts.items()},
                }
                for entry in source.entries
            ],
        }
        for source in sources
    ]


def _source(name: str, data: dict, entries: list[tuple[dict, str]], runs: Path) -> Source:
    scales = tuple(data.get("scales") or ())
    judged = {scale: dict(_judged(runs / f"{name}-{scale}")) for scale in scales}
    not_matched = list(data["source"].get("not_matched") or [])
    if data.get("protocol"):
        not_matched += load_protocol(data["protocol"]).about["not_matched"]
    return Source(
        name,
        data["question"],
        scales,
        tuple(not_matched),
        [
            Entry(
                claim["id"],
                claim.get("statement", ""),
                where,
                claim.get("published"),
                {
                    scale: found[claim["id"]]
                    for scale, found in judged.items()
                    if claim["id"] in found
                },
            )
            for claim, where in entries
        ],
    )


def _judged(folder: Path) -> Iterator[tuple[str, Verdict]]:
    if (folder / FILE).is_file():
        for verdict in judge(read(folder)):
            yield verdict.claim.id, verdict


def _lines(entry: Entry, source: Source) -> Iterator[str]:
    if entry.statement:
        yield plain(entry.statement)
    yield f"published: {published_text(entry.published)}"
    for scale in source.scales:
        verdict = entry.verdicts.get(scale)
        if verdict is None:
            yield f"{scale}: {NOT_RUN}"
            continue
        seeds = sum(side.seeds for side in verdict.conditions.sides)
        said = f"{scale}: {verdict.word} ({verdict.reason}); {effect_text(verdict)}"
        yield f"{said}; {verdict.conditions.regime}; {seeds} runs"
