"""Claims: every run of their sides, and the effect with what was claimed of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from reports.claims.comparison import constant_of
from reports.claims.evidence import Sample, gather
from reports.claims.text import effect_text
from reports.claims.verdict import Verdict, judge
from reports.figures import forest
from reports.figures.markup import Picture, picture
from reports.figures.style import (
    COLOURS,
    GREY,
    INK,
    MOST_ROWS,
    SHORTCUT,
    handle,
    legend,
    stacked,
)
from reports.records import Records
from reports.statistics import Estimate, mean_interval, rate_interval
from reports.table import plain, quantity_text

SIDES = ((COLOURS[0], "o"), (COLOURS[1], "s"))


class Side(NamedTuple):
    """A row: the runs of one arm (or one number a seed, of several). values: as they are, not their
    logarithms; is_open: of each, whether it never solved. constant: what it is held against."""

    label: str
    look: tuple[str, str]
    values: list[float]
    is_open: list[bool]
    estimate: Estimate | None
    constant: float | None


def draw(records: Records) -> list[Picture]:
    """A figure a claim, in their order; none in a multiverse, whose claims are too many."""
    if records.meta.get("is_multiverse"):
        return []
    stated = [each for each in records.claims if not each.is_withdrawn]
    drawn = []
    for each, verdict in zip(stated, judge(records), strict=True):
        sides = _sides(verdict, gather(each.resolved, records))
        if len(sides) <= MOST_ROWS and any(side.values for side in sides):
            drawn.append(_drawn(verdict, sides))
    return drawn


def _sides(verdict: Verdict, compared) -> list[Side]:
    return [
        _side(verdict, sample, look)
        for stratum in compared
        for look, samples in zip(SIDES, (stratum.a, stratum.b), strict=True)
        for sample in samples
    ]


def _side(verdict: Verdict, sample: Sample, look: tuple[str, str]) -> Side:
    claim = verdict.claim
    unsolved = {run.seed for run in sample.runs if run.steps_to_solve is None}
    is_open = [claim.metric == "steps_to_solve" and seed in unsolved for seed in sample.by_seed]
    estimate = None
    if sample.values and claim.metric == "solve_rate":
        estimate = rate_interval(round(sum(sample.values)), len(sample.values))
    elif sample.values:
        estimate = mean_interval(sample.values)
    constant = None
    if claim.constant is not None:
        constant = _raw(verdict, constant_of(claim, sample))
    return Side(
        sample.label,
        look,
        [_raw(verdict, value) for value in sample.values],
        is_open,
        estimate and Estimate(*(v if v is None else _raw(verdict, v) for v in estimate)),
        constant,
    )


def _raw(verdict: Verdict, value: float) -> float:
    """From the scale of comparison to that of the metric."""
    if not verdict.is_ratio:
        return value
    return math.exp(value) if value < 700 else math.inf


def _drawn(verdict: Verdict, sides: Sequence[Side]) -> Picture:
    lines, height = forest.names([side.label for side in sides])
    has_effect = verdict.effect is not None
    figure = stacked(8.4, 1.1 + height + 0.95 * has_effect, [height, 0.4][: 1 + has_effect])
    _runs(figure.axes[0], verdict, sides, lines)
    if has_effect:
        _effect(figure.axes[1], verdict)
    _name(figure, verdict, sides)
    said = [f"{side.label} {quantity_text(side.estimate)}" for side in sides if side.values]
    said += [f"{side.label} no value" for side in sides if not side.values]
    claim = verdict.claim
    head = plain(claim.statement) or claim.id
    text = f"{head} {verdict.word}: {plain(verdict.reason)}. {_metric(verdict)}: {'; '.join(said)}."
    if has_effect:
        text += f" Effect {effect_text(verdict)}."
    caption = f"{plain(claim.statement)} " if claim.statement else ""
    caption += f"{verdict.word.capitalize()}: {plain(verdict.reason)}."
    return picture(figure, f"Claim {claim.id}: {verdict.word}", text, caption)


def _runs(axes, verdict: Verdict, sides: Sequence[Side], lines: Sequence[str]) -> None:
    values = [value for side in sides for value in side.values]
    values += [side.constant for side in sides if side.constant is not None]
    ends = [end for side in sides if side.estimate for end in side.estimate if end is not None]
    if verdict.is_ratio:
        forest.ratio_axis(axes, [*values, *ends])
    else:
        _plain_axis(axes, verdict, [*values, *ends])
    forest.rows(axes, lines)
    for place, side in enumerate(sides):
        colour, marker = side.look
        num = len(side.values)
        for index, (value, is_open) in enumerate(zip(side.values, side.is_open, strict=True)):
            beside = place + 0.3 * (index - (num - 1) / 2) / num
            axes.plot([value], [beside], marker, ms=5.5, mec=colour, mew=1.2, alpha=0.8,
                      mfc="none" if is_open else colour, clip_on=False)  # fmt: skip
        if side.constant is not None:
            ends = [place - 0.42, place + 0.42]
            axes.plot([side.constant] * 2, ends, color=GREY, lw=1.5, ls=SHORTCUT)
        if side.estimate is not None:
            forest.mark(axes, place, side.estimate)
        elif not num:
            axes.text(0.01, place, "no value", va="center", color=GREY, fontstyle="italic",
                      transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xlabel(_metric(verdict))


def _plain_axis(axes, verdict: Verdict, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    low, high = low - margin, high + margin
    if verdict.claim.metric in ("accuracy", "solve_rate") and not verdict.claim.exponent_in:
        low, high = max(0.0, low), min(1.0, high)
    axes.set_xlim(low, high)
    axes.locator_params(axis="x", nbins=6)


def _effect(axes, verdict: Verdict) -> None:
    """The effect, no effect, and what was claimed."""
    claim, effect, none = verdict.claim, verdict.effect, 1.0 if verdict.is_ratio else 0.0
    claimed = []
    if claim.at_least is not None:
        claimed = [claim.at_least]
    elif claim.within is not None:
        claimed = [claim.within, 1 / claim.within if verdict.is_ratio else -claim.within]
    if verdict.is_ratio:
        forest.ratio_axis(axes, [none, *claimed, *effect], named=[none])
    else:
        known = [none, *claimed, *(end for end in effect if end is not None)]
        margin = 0.06 * (max(known) - min(known)) or 0.1
        axes.set_xlim(min(known) - margin, max(known) + margin)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    forest.rows(axes, [f"effect ({verdict.bound})" if verdict.bound else "effect"])
    forest.reference(axes, none)
    for value in claimed:
        axes.axvline(value, color=COLOURS[3], lw=1.4, ls=SHORTCUT, zorder=1)
    forest.mark(axes, 0, effect, as_dot=True)
    what = "ratio" if verdict.is_ratio else "difference"
    axes.set_xlabel(f"{what} in the direction of the claim, {100 * verdict.level:.4g} % interval")


def _name(figure, verdict: Verdict, sides: Sequence[Side]) -> None:
    claim = verdict.claim
    mean = "geometric mean" if verdict.is_ratio else "mean"
    handles = [handle("|", INK, f"{mean}, 95 % interval")]
    for (colour, marker), name in zip(SIDES, ("a", "b"), strict=True):
        if any(side.look[0] == colour for side in sides):
            handles.append(handle(marker, colour, f"{name}: one seed", alpha=0.8))
    if any(any(side.is_open) for side in sides):
        hollow = handle("o", INK, "never solved: at its budget")
        hollow.set(markerfacecolor="none", markeredgewidth=1.2)
        handles.append(hollow)
    if any(side.constant is not None for side in sides):
        name = f"{claim.constant:g}" if isinstance(claim.constant, float) else claim.constant
        handles.append(handle("", GREY, name, dashes=SHORTCUT))
    if verdict.effect is not None:
        if claim.at_least is not None:
            handles.append(handle("", COLOURS[3], f"claimed: {claim.at_least:g}", dashes=SHORTCUT))
        elif claim.within is not None:
            handles.append(handle("", COLOURS[3], f"within {claim.within:g}", dashes=SHORTCUT))
    legend(figure, handles)


def _metric(verdict: Verdict) -> str:
    claim = verdict.claim
    name = plain(claim.metric).replace("_", " ")
    return f"exponent of {name} in {plain(claim.exponent_in)}" if claim.exponent_in else name
