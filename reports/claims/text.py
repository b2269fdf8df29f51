"""Verdicts for people and for scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.foundation.config import to_data
from reports.claims.common import AtCommon
from reports.claims.conditions import Side
from reports.claims.verdict import Verdict, judge
from reports.grid import Grid, Section
from reports.records import Records
from reports.statistics import Estimate
from reports.table import NOTHING, plain, setting_text

if TYPE_CHECKING:
    from rich.console import Console

NOTE = (
    "Effects point the way of the claim: a ratio of steps or seconds (x), else a difference; "
    "brackets are intervals at 1 - alpha / number of claims. p is two-sided, then after Holm. "
    "Not significant is never refuted: that takes an effect that points the other way, or an "
    "interval that leaves out what was claimed."
)
STYLES = {
    "supported": "green",
    "refuted": "red",
    "inconclusive": "yellow",
    "untestable": "dim",
}
HEAD = ("claim", "verdict", "effect", "p", "corrected")


def section(records: Records) -> Section | None:
    """The table of the report; None where nothing is claimed."""
    verdicts = judge(records)
    if not verdicts:
        return None
    rows = [(plain(v.claim.id), v.word, effect_text(v), *p_texts(v)) for v in verdicts]
    return Section("Claims", NOTE, [Grid(HEAD, rows)])


def show(records: Records, verdicts: Sequence[Verdict], console: Console) -> None:
    """Prints each claim with its verdict, and what limits it."""
    from rich.padding import Padding
    from rich.text import Text

    meta = records.meta
    console.print(Text(plain(meta["question"]), style="bold"))
    console.print(Text(f"{plain(meta['name'])}, scale {plain(meta['scale'])}", style="dim"))
    if not verdicts:
        console.print(Text("It states no claims; `claims:` in its file does."))
        return
    for verdict in verdicts:
        console.print()
        head = Text(f"{verdict.word:<13}", style=STYLES[verdict.word])
        head.append(plain(verdict.claim.id), style="bold")
        console.print(head)
        for line in lines(verdict):
            console.print(Padding(Text(line), (0, 0, 0, 13), expand=False))
    console.print()
    console.print(Text(NOTE, style="dim"))


def lines(verdict: Verdict) -> list[str]:
    """What stands below a verdict, the number first."""
    claim = verdict.claim
    out = [plain(claim.statement)] if claim.statement else []
    out.append(finding(verdict))
    if verdict.effect is not None:
        p, corrected = p_texts(verdict)
        text = f"effect {effect_text(verdict)}, p {p}, corrected {corrected}"
        if verdict.family > 1:
            text += f" for {verdict.family} claims"
        out.append(text)
    out += condition_lines(verdict)
    if verdict.settle:
        out.append(f"would be settled by {plain(verdict.settle)}")
    return out


def finding(verdict: Verdict) -> str:
    """Why it has its word, and how good that is."""
    return f"{verdict.reason} ({verdict.grade})" if verdict.grade else verdict.reason


def condition_lines(verdict: Verdict) -> list[str]:
    """What each arm did, how fairly they were compared, and what limits the verdict."""
    about, claim = verdict.conditions, verdict.claim
    out = [] if claim.metric == "seconds" else [side_text(side) for side in about.sides]
    budgets = "equal budgets" if about.has_equal_budgets else "unequal budgets"
    tuning = "equal tuning" if about.has_equal_tuning else "unequal tuning"
    out.append(
        f"scale {about.scale}; {about.regime or 'regime unknown'}; {budgets}: "
        f"{', '.join(about.budgets)}; {tuning}: {about.tuning}; {_sizes(verdict)}"
    )
    if claim.published is not None:
        out.append(f"published: {published_text(claim.published)}")
    if verdict.at_common:
        seeds = f"{about.selection_seeds} selection seeds each, not corrected"
        out.append(f"at common settings ({seeds}): {common_text(verdict)}")
    out += [plain(note) for note in about.notes]
    return out


def side_text(side: Side) -> str:
    """`'own': 5 of 5 runs solved, in 600 steps (median of those)`."""
    text = f"'{side.label}': {side.solved} of {side.runs} runs solved"
    if side.steps_given_solved is not None:
        text += f", those in {side.steps_given_solved:,.0f} steps (median)"
    return text + (f", {side.diverged} diverged" if side.diverged else "")


def common_text(verdict: Verdict) -> str:
    """`lr 0.001 supported x1.7 [1.2, 2.4]; lr 0.003 untestable (floor: ...)`."""
    return "; ".join(
        f"{setting_text(each.setting)} {each.word} "
        + (f"({plain(each.reason)})" if each.effect is None else _effect(verdict, each))
        for each in verdict.at_common
    )


def effect_text(verdict: Verdict) -> str:
    """`x1.83 [1.20, 2.79]`, `+0.21 [+0.05, +0.37]`."""
    return NOTHING if verdict.effect is None else _effect(verdict, verdict)


def _effect(verdict: Verdict, found: Verdict | AtCommon) -> str:
    numbers = _numbers(found.effect, verdict.is_ratio)
    return f"{found.bound} {numbers}" if found.bound else numbers


def _numbers(estimate: Estimate, is_ratio: bool) -> str:
    form = "{:.3g}" if is_ratio else "{:+.3g}"
    value, low, high = (NOTHING if each is None else form.format(each) for each in estimate)
    return f"{'x' * is_ratio}{value} [{low}, {high}]"


def p_texts(verdict: Verdict) -> tuple[str, str]:
    """p and corrected p."""
    return tuple(
        NOTHING if p is None else f"{p:.2g}" if p >= 1e-4 else "<.0001"
        for p in (verdict.p, verdict.corrected_p)
    )


def published_text(published: object) -> str:
    """What a source reports: words, or values by arm."""
    if published is None:
        return "no number"
    if isinstance(published, dict):
        return ", ".join(f"{plain(key)} {plain(value)}" for key, value in published.items())
    return plain(published)


def as_data(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    about = verdict.conditions._asdict()
    about["sides"] = [side._asdict() for side in verdict.conditions.sides]
    return {
        "id": verdict.claim.id,
        "verdict": verdict.word,
        "grade": verdict.grade or None,
        "reason": verdict.reason,
        "effect": verdict.effect and _finite(verdict.effect),
        "is_ratio": verdict.is_ratio,
        "bound": verdict.bound or None,
        "level": verdict.level,
        "p": verdict.p,
        "corrected_p": verdict.corrected_p,
        "alpha": verdict.alpha,
        "claims_corrected_for": verdict.family,
        "settled_by": verdict.settle or None,
        "is_exploratory": verdict.is_exploratory,
        "equal": {
            "budgets": verdict.conditions.has_equal_budgets,
            "tuning": verdict.conditions.has_equal_tuning,
            "params": verdict.conditions.has_equal_params,
        },
        "at_common_settings": [
            each._asdict() | {"effect": each.effect and _finite(each.effect)}
            for each in verdict.at_common
        ],
        "conditions": about,
        "claim": to_data(verdict.claim),
    }


def _finite(estimate: Estimate) -> dict[str, float | None]:
    """JSON has no infinity."""
    found = estimate._asdict().items()
    return {k: v if v is not None and math.isfinite(v) else None for k, v in found}


def _sizes(verdict: Verdict) -> str:
    params = verdict.conditions.params
    if params is None:
        return "sizes unknown"
    equal = "alike" if verdict.conditions.has_equal_params else "unequal"
    low, high = params
    return f"sizes {equal}: {low:,}" + (f" to {high:,}" if high != low else "") + " parameters"
