"""Which arms a claim is about, and what is wrong with it if there are none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ablations.ablation import Arm
from ablations.claim import YARDSTICKS, Claim, Level, Levels, Resolved, Selector, Stratum
from ablations.labels import arm_label, level_label
from harness.foundation.errors import did_you_mean
from harness.training.metrics import OF_RUNS, Metric, metrics_of

FEWEST_POINTS = 3  # levels through which an exponent is fitted


class Mistake(NamedTuple):
    """What is wrong with a claim, at which of its keys, and how to mend it."""

    path: tuple[str, ...]
    message: str
    fix: str


def resolve(
    claim: Claim, arms: Sequence[Arm], factors: Mapping[str, Sequence[str]]
) -> Resolved | list[Mistake]:
    """Finds the claim's arms; or says what is wrong with it."""
    mistakes = list(_unknown(claim, arms, factors))
    if mistakes:
        return mistakes
    chosen = {
        "a": _chosen(claim.a, claim.where, arms),
        "b": [] if claim.constant is not None else _chosen(claim.b, claim.where, arms),
    }
    for key in ("a", "b"):
        if not chosen[key] and (key == "a" or claim.constant is None):
            labels = [arm.label for arm in arms]
            return [Mistake((key,), f"no arm is {_said(claim, key)}", _listed(labels))]
    if claim.kind == "best_of":
        chosen["b"] = [arm for arm in chosen["b"] if arm not in chosen["a"]]
        if not chosen["b"]:
            return [Mistake(("b",), "a is the only arm, so it is the best of none", "more arms")]
    both = [arm.label for arm in chosen["a"] if arm in chosen["b"]]
    if both:
        return [Mistake(("b",), f"the arm {both[0]!r} is in a and in b", "let each be in one")]
    metrics = [metrics_of(arm.spec) for arm in (*chosen["a"], *chosen["b"])]
    for arm, known in zip((*chosen["a"], *chosen["b"]), metrics, strict=True):
        mistakes += _about_metric(claim, arm, known)
        if mistakes:
            return mistakes
    better = metrics[0][claim.metric].better
    if claim.kind == "best_of" and better is None:
        return [Mistake(("metric",), f"no value of {claim.metric!r} is better", "another metric")]
    found = _strata(claim, chosen)
    return found if isinstance(found, list) else Resolved(claim, found, better)


def _unknown(
    claim: Claim, arms: Sequence[Arm], factors: Mapping[str, Sequence[str]]
) -> Iterable[Mistake]:
    """Factors and levels that the ablation has not."""
    known: dict[str, list[str]] = {factor: list(levels) for factor, levels in factors.items()}
    variants = dict.fromkeys(arm.levels["variant"] for arm in arms if "variant" in arm.levels)
    if variants:
        known["variant"] = list(variants)
    labels = [arm.label for arm in arms]
    for key in ("a", "b", "where"):
        value = getattr(claim, key)
        if isinstance(value, str) and not (key == "b" and value in YARDSTICKS):
            if value not in labels:
                yield Mistake((key,), f"no arm is called {value!r}", _listed(labels, value))
        elif isinstance(value, Mapping):
            for factor, levels in value.items():
                if factor not in known:
                    yield Mistake(
                        (key, factor), f"no factor {factor!r}", did_you_mean(factor, known)
                    )
                    continue
                for label in _labels(levels):
                    if label not in known[factor]:
                        message = f"{factor} has no level {label!r}"
                        yield Mistake((key, factor), message, did_you_mean(label, known[factor]))
    for key, named in (("strata", claim.strata), ("exponent_in", (claim.exponent_in,))):
        for factor in filter(None, named):
            if factor not in known:
                yield Mistake((key,), f"no factor {factor!r}", did_you_mean(factor, known))


def _about_metric(claim: Claim, arm: Arm, known: Mapping[str, Metric]) -> list[Mistake]:
    if claim.metric not in known:
        message = f"the arm {arm.label!r} is not measured by {claim.metric!r}"
        return [Mistake(("metric",), message, did_you_mean(claim.metric, known))]
    if arm.spec.train.stop_when_solved and known[claim.metric] not in OF_RUNS:
        return [
            Mistake(
                ("metric",),
                f"train.stop_when_solved ends runs near the threshold, which pins {claim.metric}",
                "train.stop_when_solved: false, or the metric steps_to_solve or solve_rate",
            )
        ]
    if claim.constant in YARDSTICKS and claim.metric != "accuracy":
        return [Mistake(("b",), f"{claim.constant} is an accuracy", "metric: accuracy")]
    return []


def _strata(claim: Claim, chosen: Mapping[str, list[Arm]]) -> tuple[Stratum, ...] | list[Mistake]:
    groups: dict[tuple[str, ...], dict[str, list[Arm]]] = {}
    for key, arms in chosen.items():
        for arm in arms:
            place = tuple(arm.levels.get(factor, "") for factor in claim.strata)
            groups.setdefault(place, {"a": [], "b": []})[key].append(arm)
    strata = []
    for place, group in groups.items():
        label = arm_label(dict(zip(claim.strata, place, strict=True))) if place else ""
        at: tuple[float, ...] = ()  # of a, then of b
        for key in ("a", "b"):
            several = claim.kind.startswith("group") or (claim.kind, key) == ("best_of", "b")
            if claim.exponent_in is not None and group[key]:
                before = at
                group[key], at, mistake = _in_order(claim, key, group[key])
                if mistake:
                    return [mistake]
                if before and before != at:
                    message = f"a and b are at different levels of {claim.exponent_in}"
                    return [Mistake((key,), message, "let both have the same levels of it")]
            elif len(group[key]) > 1 and not several:
                names = ", ".join(repr(arm.label) for arm in group[key][:3])
                return [
                    Mistake(
                        (key,),
                        f"{_said(claim, key)} are {len(group[key])} arms: {names}",
                        f"name more levels, or strata: {_differing(group[key])}",
                    )
                ]
            if not group[key] and not (key == "b" and claim.constant is not None):
                other = "b" if key == "a" else "a"
                return [
                    Mistake(
                        ("strata",),
                        f"at {label} there is no arm {_said(claim, key)}, yet there is {other}",
                        "narrow the claim by `where`",
                    )
                ]
        ids = [tuple(arm.condition_id for arm in group[key]) for key in ("a", "b")]
        strata.append(Stratum(label, *ids, at))
    return tuple(strata)


def _in_order(claim: Claim, key: str, arms: list[Arm]):
    """The arms by the number that their level is; those numbers; and what is wrong, if anything."""
    factor = claim.exponent_in
    try:
        numbers = {float(arm.levels[factor]): arm for arm in arms}
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except (KeyError, ValueError):
        return arms, (), Mistake(
            ("exponent_in",), f"a level of {factor} is no number", "a factor with numbers as levels"
        )  # fmt: skip
    if len(numbers) < len(arms):
        mistake = Mistake(
            (key,), f"two arms at one level of {factor}", "name more levels, or strata"
        )
        return arms, (), mistake
    if len(numbers) < FEWEST_POINTS or min(numbers) <= 0:
        message = (
            f"an exponent needs {FEWEST_POINTS} levels above 0 of {factor}, got {len(numbers)}"
        )
        return arms, (), Mistake(("exponent_in",), message, "add levels to the factor")
    order = sorted(numbers)
    return [numbers[each] for each in order], tuple(order), None


def _chosen(selector: Selector | None, where: Levels, arms: Sequence[Arm]) -> list[Arm]:
    return [arm for arm in arms if _matches(selector, arm) and _matches(where, arm)]


def _matches(selector: Selector | None, arm: Arm) -> bool:
    if selector is None:
        return True
    if isinstance(selector, str):
        return arm.label == selector
    return all(arm.levels.get(f) in _labels(levels) for f, levels in selector.items())


def _labels(levels: Level | tuple[Level, ...]) -> list[str]:
    return list(map(level_label, levels if isinstance(levels, tuple) else (levels,)))


def _said(claim: Claim, key: str) -> str:
    """The selector in words."""
    value = getattr(claim, key)
    if isinstance(value, str):
        return repr(value)
    parts = itertools.chain((value or {}).items(), claim.where.items())
    return ", ".join(f"{f}: {' or '.join(_labels(v))}" for f, v in parts) or "of the ablation"


def _differing(arms: list[Arm]) -> str:
    """The factors in which arms differ, as a list in YAML."""
    factors = dict.fromkeys(factor for arm in arms for factor in arm.levels)
    return str([f for f in factors if len({arm.levels.get(f) for arm in arms}) > 1]).replace(
        "'", ""
    )


def _listed(labels: Sequence[str], near: str | None = None) -> str:
    if near is not None:
        return did_you_mean(near, labels)
    shown = ", ".join(labels[:12])
    return f"the arms are {shown}" + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
