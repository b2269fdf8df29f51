"""Verdicts frozen in a file, for one's own continuous integration.

own-is-faster: supported
static-suffices: refuted
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from harness.foundation import yaml
from harness.foundation.errors import HarnessError, Problem, did_you_mean
from reports import write_text
from reports.claims.verdict import Verdict, Word


def write(verdicts: list[Verdict], path: Path) -> Path:
    """One line a claim; the file may be edited by hand."""
    lines = [f"{verdict.claim.id}: {verdict.word}\n" for verdict in verdicts]
    return write_text(path, "".join(lines) or "{}\n")


def compare(verdicts: list[Verdict], path: Path) -> list[str]:
    """Differences in words. Raises HarnessError for a file that is none of ours."""
    if not path.is_file():
        raise HarnessError(
            "there is no such file", where=str(path), fix=f"--freeze {path} writes it"
        )
    document = yaml.load_file(path)
    wanted = document.data if document.data is not None else {}
    if not isinstance(wanted, dict):
        raise HarnessError("expected one line a claim", where=str(path), fix="id: supported")
    words = get_args(Word)
    problems = [
        Problem(f"{word!r} is no verdict", document.where((key,)), did_you_mean(str(word), words))
        for key, word in wanted.items()
        if word not in words
    ]
    if problems:
        raise HarnessError(problems)
    found = {verdict.claim.id: verdict for verdict in verdicts}
    out = []
    for key in dict.fromkeys([*wanted, *found]):
        if key not in found:
            out.append(f"{key}: expected {wanted[key]}, but there is no such claim")
        elif key not in wanted:
            out.append(f"{key}: {found[key].word}, which {path} does not expect")
        elif found[key].word != wanted[key]:
            verdict = found[key]
            out.append(f"{key}: expected {wanted[key]}, got {verdict.word} ({verdict.reason})")
    return out
