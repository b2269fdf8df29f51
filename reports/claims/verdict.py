"""Verdicts: every claim of a ledger judged, corrected for their number and for looking twice.

In this order: **untestable**, **refuted**, **supported**, **inconclusive**. A p above the level
never refutes: only an effect that points the other way, or an interval that leaves out what was
claimed, does. The interval's level is 1 - alpha / m for m claims; p is corrected after Holm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from ablations.claim import Claim
from harness.foundation.seeding import generator
from reports import statistics
from reports.claims.common import AtCommon, records_at, settings_of
from reports.claims.comparison import Comparison, compare, smallest_p
from reports.claims.conditions import Conditions, conditions_of
from reports.claims.evidence import Compared, gather
from reports.claims.obstacles import Obstacle, is_censored, obstacle
from reports.records import Records, Stated, once
from reports.statistics import Estimate

Word = Literal["supported", "refuted", "inconclusive", "untestable"]
POWER = 0.8
_MORE = "more seeds"


class Verdict(NamedTuple):
    """What the runs say of a claim.

    grade: `meaningful` where the interval lies beyond at_least, `direction only` where not, `real
    but smaller` where the direction holds and the claimed size does not; else empty.
    effect: in the direction of the claim, against the nearest rival where there are several; a
    ratio where is_ratio, else a difference; None where there is none. level: of its interval.
    bound: `at least` or `at most` where many runs never solved, so that the ratio is only that.
    p, corrected_p: two-sided, before and after the correction; None where there is none.
    alpha: what corrected_p is held against. family: claims that are corrected together.
    settle: what would settle it; empty where it is settled.
    at_common: the same claim at each setting that all arms share, where nuisances were tuned.
    """

    claim: Claim
    word: Word
    reason: str
    grade: str
    effect: Estimate | None
    level: float
    bound: str
    p: float | None
    corrected_p: float | None
    alpha: float
    family: int
    settle: str
    is_exploratory: bool
    universe: str
    conditions: Conditions
    at_common: tuple[AtCommon, ...] = ()

    @property
    def is_settled(self) -> bool:
        return self.word in ("supported", "refuted")

    @property
    def is_ratio(self) -> bool:
        return self.claim.is_ratio

    @property
    def wants_seeds(self) -> bool:
        """Whether more seeds may settle it, which does not mend what is unfair or incomplete."""
        return self.settle.startswith(_MORE)


class _Tested(NamedTuple):
    """A claim with what was found before the correction. p is 1 where it is untestable."""

    stated: Stated
    compared: list[Compared]
    obstacle: Obstacle | None
    comparisons: list[Comparison]
    p: float
    alpha: float
    family: int


@once
def judge(records: Records) -> list[Verdict]:
    """The verdicts on the ablation's claims, in their order.

    Withdrawn claims are not judged, but they count: m is the number of all that were ever stated
    before their runs. Claims that were stated later are exploratory, and are corrected for all.
    In a multiverse each protocol is a family of its own.
    """
    by_universe: dict[str, list[Stated]] = {}
    for stated in records.claims:
        by_universe.setdefault(stated.resolved.universe, []).append(stated)
    verdicts = [verdict for family in by_universe.values() for verdict in _judge(family, records)]
    if not (settings := settings_of(records)):
        return verdicts
    shared = [(setting, records_at(records, setting)) for setting in settings]
    stated = [each for family in by_universe.values() for each in family if not each.is_withdrawn]
    return [
        verdict._replace(at_common=tuple(_at_common(each, *at) for at in shared))
        for verdict, each in zip(verdicts, stated, strict=True)
    ]


def _at_common(stated: Stated, setting: dict[str, Any], shared: Records) -> AtCommon:
    """The claim by itself; what is asked of all settings at once is corrected at the best ones."""
    (found,) = _judge([stated._replace(runs_before=0, num_looks=1)], shared)
    return AtCommon(setting, found.word, found.reason, found.effect, found.bound)


def _judge(family: Sequence[Stated], records: Records) -> list[Verdict]:
    """Claims that are corrected together."""
    num_planned = sum(not stated.runs_before for stated in family)
    tested = [
        _test(stated, len(family) if stated.runs_before else num_planned, records)
        for stated in family
    ]
    confirming = [each for each in tested if not each.stated.runs_before]
    corrected = dict(zip(map(_key, confirming), _holm(confirming), strict=True))
    for each, p in zip(tested, _holm(tested), strict=True):
        corrected.setdefault(_key(each), p)
    return [
        _verdict(each, corrected[_key(each)], records)
        for each in tested
        if not each.stated.is_withdrawn
    ]


def _test(stated: Stated, family: int, records: Records) -> _Tested:
    claim = stated.resolved.claim
    num_looks = max(stated.num_looks, 1, _num_looks(stated, records))
    alpha = statistics.alpha_at_each_look(claim.alpha, num_looks)
    nothing = _Tested(stated, [], None, [], 1.0, alpha, family)
    if stated.is_withdrawn:
        return nothing
    compared = gather(stated.resolved, records)
    found = obstacle(stated.resolved, compared, records)
    if found is not None:
        return nothing._replace(compared=compared, obstacle=found)
    rng = generator("claim", stated.resolved.hash)
    comparisons = compare(claim, compared, rng)
    if claim.kind == "equivalent":
        p = statistics.tost(comparisons[0].contrast, _log_if(claim, claim.within))
        if comparisons[0].contrast.error == 0:  # seeds that agree are few seeds all the same
            num_a, num_b = _seeds(compared)
            p = max(p, statistics.smallest_independent_p(num_a, num_b or num_a))
    else:
        p = max(each.p for each in comparisons)
        least = max(each.smallest_p for each in comparisons)
        if least > alpha / family:
            num_strata = 1 if claim.kind == "best_of" else len(compared)
            found = Obstacle(
                f"the smallest p that its seeds can give, {least:.2g}, is above "
                f"{alpha:.3g} / {family}" + (" claims" if family > 1 else ""),
                f"{_MORE}: {fewest_seeds(alpha / family, claim, num_strata)} an arm",
            )
    if found is not None:
        return nothing._replace(compared=compared, obstacle=found)
    return nothing._replace(compared=compared, comparisons=comparisons, p=p)


def _verdict(each: _Tested, corrected_p: float, records: Records) -> Verdict:
    claim, found = each.stated.resolved.claim, each.obstacle
    level = 1 - each.alpha / each.family
    about = conditions_of(each.stated, each.compared, records)
    verdict = Verdict(
        claim, "untestable", "", "", None, level, "", None, None, each.alpha, each.family, "",
        bool(each.stated.runs_before), each.stated.resolved.universe, about,
    )  # fmt: skip
    if found is not None:
        return verdict._replace(reason=found.reason, settle=found.settle)
    sign = _sign(claim, each.stated)
    nearest = _nearest(sign, each.comparisons)
    verdict = verdict._replace(
        effect=_shown(claim, _toward(sign, nearest.interval(level))),
        bound=_bound(sign, claim, each.compared, nearest.rival),
        p=each.p,
        corrected_p=corrected_p,
    )
    if claim.kind == "equivalent":
        return _equivalence(verdict, nearest)
    return _direction(verdict, each, nearest, sign)


def _direction(verdict: Verdict, each: _Tested, nearest: Comparison, sign: int) -> Verdict:
    claim, alpha = verdict.claim, verdict.alpha
    gain = _toward(sign, nearest.interval(verdict.level))
    significant = verdict.corrected_p <= alpha
    least = None if claim.at_least is None else _log_if(claim, claim.at_least)
    beaten = _beaten(each, sign, alpha)
    if beaten:
        return verdict._replace(word="refuted", reason=f"{beaten} is better")
    if significant and gain.value < 0:
        return verdict._replace(word="refuted", reason="the difference points the other way")
    bounded = claim.metric == "steps_to_solve" and _is_any_censored(each.compared)
    short = None if least is None or bounded else _falls_short(each, sign, least)
    if short is not None:
        against = f" against '{short.rival}'" if short.rival else ""
        if significant and gain.value > 0:
            return verdict._replace(
                word="refuted",
                reason=f"as stated: real but smaller than {claim.at_least:g}{against}",
                grade="real but smaller",
            )
        reason = f"the interval leaves out the claimed {claim.at_least:g}{against}"
        return verdict._replace(word="refuted", reason=reason)
    if significant and gain.value > 0:
        if least is None:
            return verdict._replace(word="supported", reason="the difference points as claimed")
        gains = [_toward(sign, other.interval(verdict.level)) for other in each.comparisons]
        beyond = min(other.low for other in gains) > least
        return verdict._replace(
            word="supported",
            grade="meaningful" if beyond else "direction only",
            reason=f"the interval lies beyond {claim.at_least:g}"
            if beyond
            else f"in direction; the interval does not lie beyond {claim.at_least:g}",
        )
    return _inconclusive(verdict, each, nearest, least)


def _equivalence(verdict: Verdict, comparison: Comparison) -> Verdict:
    claim = verdict.claim
    margin = _log_if(claim, claim.within)
    if verdict.corrected_p <= verdict.alpha:
        return verdict._replace(
            word="supported", reason=f"they differ by less than {claim.within:g}"
        )
    interval = comparison.interval(verdict.level)
    if interval.low > margin or interval.high < -margin:
        return verdict._replace(word="refuted", reason=f"they differ by more than {claim.within:g}")
    return verdict._replace(
        word="inconclusive",
        reason=f"the interval is not within {claim.within:g}, nor beyond it",
        settle=_MORE,
    )


def _inconclusive(
    verdict: Verdict, each: _Tested, nearest: Comparison, least: float | None
) -> Verdict:
    """What could have been seen with these seeds, and how many would do."""
    claim, alpha = verdict.claim, verdict.alpha / verdict.family
    num_a, num_b = _seeds(each.compared)
    strata = 1 if claim.kind == "best_of" else len(each.compared)
    smallest = statistics.detectable_effect(
        num_a, num_b or num_a, nearest.spread, alpha=alpha, power=POWER
    )
    effect = least or abs(nearest.value)
    needed = statistics.needed_seeds(effect, nearest.spread, alpha=alpha, power=POWER)
    shown, wanted = (f"{_exp(x) if claim.is_ratio else x:.3g}" for x in (smallest, effect))
    settle = f"{_MORE}: more than 1,000 an arm for an effect of {wanted}"
    if needed is not None:
        settle = f"{_MORE}: about {math.ceil(needed / strata)} an arm for an effect of {wanted}"
    reason = f"these seeds find an effect of {shown} in {POWER:.0%} of the cases"
    return verdict._replace(word="inconclusive", reason=reason, settle=settle)


def _beaten(each: _Tested, sign: int, alpha: float) -> str:
    """The rival that beats the one that was to be the best, if any does after Holm."""
    claim = each.stated.resolved.claim
    if claim.kind != "best_of":
        return ""
    ps = statistics.holm([comparison.p for comparison in each.comparisons])
    for comparison, p in zip(each.comparisons, ps, strict=True):
        if min(1.0, p * each.family) <= alpha and sign * comparison.value < 0:
            return f"'{comparison.rival}'"
    return ""


def _falls_short(each: _Tested, sign: int, least: float) -> Comparison | None:
    """The comparison whose interval leaves out the claimed effect, if there is one; the interval
    allows for as many as there are rivals."""
    level = 1 - each.alpha / each.family / len(each.comparisons)
    gains = [_toward(sign, comparison.interval(level)) for comparison in each.comparisons]
    high, index = min((gain.high, index) for index, gain in enumerate(gains))
    return each.comparisons[index] if high < least else None


def _nearest(sign: int, comparisons: Sequence[Comparison]) -> Comparison:
    """That with the largest p, which decides whether all are beaten; of those, the least gain."""
    return max(comparisons, key=lambda each: (each.p, -sign * each.value))


def _sign(claim: Claim, stated: Stated) -> int:
    """+1 where the claim says that a's value is larger."""
    if claim.kind == "best_of":
        return 1 if stated.resolved.better == "high" else -1
    return -1 if claim.kind in ("less", "group_less") else 1


def _toward(sign: int, estimate: Estimate) -> Estimate:
    if sign > 0:
        return estimate
    return Estimate(-estimate.value, -estimate.high, -estimate.low)


def _shown(claim: Claim, estimate: Estimate) -> Estimate:
    return Estimate(*map(_exp, estimate)) if claim.is_ratio else estimate


def _exp(value: float) -> float:
    """Infinite where two seeds leave an interval as wide as that."""
    return math.exp(value) if value < 700 else math.inf


def _log_if(claim: Claim, value: float) -> float:
    return math.log(value) if claim.is_ratio else value


def _is_any_censored(compared: Sequence[Compared]) -> bool:
    return any(is_censored(sample) for each in compared for sample in each.samples)


def _bound(sign: int, claim: Claim, compared: Sequence[Compared], rival: str) -> str:
    """What a ratio of steps is where many runs never solved: those count for fewer than they took.

    sign: -1 where the effect is shown as b over a. rival: the only one of b, unless empty.
    """
    if claim.metric != "steps_to_solve" or not claim.is_ratio:
        return ""
    many = [
        any(is_censored(sample) for each in compared for sample in side(each))
        for side in (
            lambda each: each.a,
            lambda each: [sample for sample in each.b if rival in ("", sample.label)],
        )
    ]
    if all(many):
        return "roughly"
    if not any(many):
        return ""
    return "at least" if many[0] == (sign > 0) else "at most"


def _num_looks(stated: Stated, records: Records) -> int:
    """With how many numbers of seeds the claim's arms have been seen."""
    ids = stated.resolved.condition_ids
    return max((len(records.looks.get(key, ())) for key in ids), default=0)


def fewest_seeds(alpha: float, claim: Claim, num_strata: int) -> int:
    """Seeds an arm with which the test of two arms can reach this level at all; at most 100."""
    nums = range(2, 100)
    return next((n for n in nums if smallest_p(claim, [(n, n)] * num_strata) <= alpha), 100)


def _key(each: _Tested) -> str:
    return each.stated.resolved.hash


def _holm(tested: Sequence[_Tested]) -> list[float]:
    return statistics.holm([each.p for each in tested])


def _seeds(compared: Sequence[Compared]) -> tuple[int, int]:
    """Runs of a and of b, over all strata; of b per rival."""
    num_a = sum(len(sample.values) for each in compared for sample in each.a)
    num_b = sum(len(sample.values) for each in compared for sample in each.b[:1])
    return num_a, num_b
