"""Claims judged: supported, refuted, inconclusive or untestable, with how sure that is.

evidence: an arm's runs as values on the scale of comparison. obstacles: what makes a claim
untestable. comparison: effect, interval, p. conditions: under which a verdict holds. verdict: all
claims of a ledger, corrected for their number. text, expected: what becomes of verdicts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from reports.claims.verdict import Verdict


def of(folder: str | Path) -> list[Verdict]:
    """The verdicts on a folder's claims, in the order of the ablation."""
    from reports.claims.verdict import judge
    from reports.records import read

    return judge(read(folder))


def open_claims(folder: str | Path) -> list[str]:
    """Ids of the claims that more seeds may settle."""
    return [verdict.claim.id for verdict in of(folder) if verdict.wants_seeds]


def show(folder: str | Path, verdicts: list[Verdict], console: Console | None = None) -> None:
    """Prints each claim with its verdict; by default on standard output."""
    from rich.console import Console

    from reports.claims import text
    from reports.records import read

    text.show(read(folder), verdicts, console or Console())


def as_data(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    from reports.claims import text

    return text.as_data(verdict)


def freeze(verdicts: list[Verdict], path: Path) -> Path:
    """Writes what `unexpected` reads."""
    from reports.claims import expected

    return expected.write(verdicts, path)


def unexpected(verdicts: list[Verdict], path: Path) -> list[str]:
    """How the verdicts differ from those of a frozen file, in words; empty where they do not."""
    from reports.claims import expected

    return expected.compare(verdicts, path)
