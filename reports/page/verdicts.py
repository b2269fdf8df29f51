"""Claims as cards: the word, what it says in numbers, what would settle it, its conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from reports.claims.text import condition_lines, effect_text, finding, p_texts
from reports.claims.verdict import Verdict
from reports.table import NOTHING, plain

WORDS = ("supported", "refuted", "inconclusive", "untestable")


class Card(NamedTuple):
    """A verdict as text. facts: what is measured, and its number."""

    id: str
    word: str
    is_exploratory: bool
    statement: str
    finding: str
    facts: list[tuple[str, str]]
    settle: str
    conditions: list[str]


def cards(verdicts: Sequence[Verdict]) -> list[Card]:
    """One card a claim, in the order of the ablation."""
    return [
        Card(
            plain(verdict.claim.id),
            verdict.word,
            verdict.is_exploratory,
            plain(verdict.claim.statement),
            plain(finding(verdict)),
            _facts(verdict),
            plain(verdict.settle),
            list(map(plain, condition_lines(verdict))),
        )
        for verdict in verdicts
    ]


def counts(verdicts: Sequence[Verdict]) -> list[tuple[str, int]]:
    """How many claims have each word, of those that any has."""
    count = Counter(verdict.word for verdict in verdicts)
    return [(word, count[word]) for word in WORDS if count[word]]


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    if verdict.effect is None:
        return []
    effect, _, interval = effect_text(verdict).partition(" [")
    found = [
        ("effect", effect),
        (f"{100 * verdict.level:.3g} % interval", f"[{interval}" if interval else NOTHING),
    ]
    p, corrected = p_texts(verdict)
    found.append(("p", p))
    if verdict.family > 1:
        found.append((f"p for {verdict.family} claims", corrected))
    return [*found, ("alpha", f"{verdict.alpha:.3g}")]
