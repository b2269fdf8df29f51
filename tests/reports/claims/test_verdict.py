"""Verdicts where the truth is planted: every kind, every word, every grade."""

from __future__ import annotations

import math

import pytest

from reports.claims.verdict import judge
from tests.reports.claims.planted import (
    FAST,
    NOISY,
    SPREAD,
    accuracies,
    plus,
    records_of,
    steps,
    times,
    verdict_on,
)

LESS = {"kind": "less", "metric": "steps_to_solve", "a": "own", "b": "other"}
MORE = {**LESS, "kind": "greater"}
BETTER = {"kind": "greater", "a": "own", "b": "other"}
SAME = {**LESS, "kind": "equivalent"}
BEST = {"kind": "best_of", "metric": "steps_to_solve", "a": "own"}
RIVALS = ("", ("own",), ("first", "second"))
GROUPS = {"kind": "group_less", "metric": "steps_to_solve", "a": "own", "b": "first"}
GROUPED = ("", ("own", "other"), ("first", "second"))
ONE = {"kind": "less", "metric": "steps_to_solve", "a": "own"}
SIX = (*FAST, 305)


def pair(a, b) -> dict:
    return {"own": steps(a), "other": steps(b)}


def rivals(a, first, second) -> dict:
    return {"own": steps(a), "first": steps(first), "second": steps(second)}


def four(a, other, first, second) -> dict:
    return {**rivals(a, first, second), "other": steps(other)}


# arms, claim, strata, word, grade, reason, what would settle it
CASES = {
    "meaningful": (
        pair(FAST, times(2)), {**LESS, "at_least": 1.2}, (),
        "supported", "meaningful", "the interval lies beyond 1.2", ""),
    "no size claimed": (
        pair(FAST, times(2)), LESS, (), "supported", "", "points as claimed", ""),
    "direction only": (
        pair(FAST, times(1.25)), {**LESS, "at_least": 1.2}, (),
        "supported", "direction only", "in direction; the interval does not lie beyond 1.2", ""),
    "real but smaller": (
        pair(FAST, times(1.25)), {**LESS, "at_least": 2}, (),
        "refuted", "real but smaller", "as stated: real but smaller than 2", ""),
    "the other way": (
        pair(FAST, times(2)), {**MORE, "at_least": 1.2}, (),
        "refuted", "", "points the other way", ""),
    "interval leaves it out": (
        pair(FAST, times(1.01)), {**LESS, "at_least": 1.5}, (),
        "refuted", "", "the interval leaves out the claimed 1.5", ""),
    "too noisy, size claimed": (
        pair(NOISY, times(1.3, NOISY)), {**LESS, "at_least": 1.5}, (),
        "inconclusive", "", "these seeds find an effect of ", "more seeds: about 55 an arm"),
    "too noisy, no size claimed": (
        pair(NOISY, times(1.3, NOISY)), LESS, (),
        "inconclusive", "", "in 80% of the cases", "an arm for an effect of 1.3"),
    "accuracy, meaningful": (
        {"own": accuracies(plus(0.2)), "other": accuracies(SPREAD)}, {**BETTER, "at_least": 0.1},
        (), "supported", "meaningful", "beyond 0.1", ""),
    "accuracy, smaller": (
        {"own": accuracies(plus(0.05)), "other": accuracies(SPREAD)}, {**BETTER, "at_least": 0.2},
        (), "refuted", "real but smaller", "than 0.2", ""),
    "loss, the other way": (
        {"own": accuracies(plus(0.2)), "other": accuracies(SPREAD)}, {**BETTER, "metric": "loss"},
        (), "refuted", "", "points the other way", ""),
    "seconds": (
        {"own": steps(FAST, wall_s=(10, 11, 9, 10, 12)), "other": steps(FAST, wall_s=(30,) * 5)},
        {**LESS, "metric": "seconds", "at_least": 2}, (),
        "supported", "meaningful", "beyond 2", ""),
    "another test metric": (
        {"own": accuracies(SPREAD, tests={"exact match": plus(-0.2)}),
         "other": accuracies(SPREAD, tests={"exact match": plus(-0.4)})},
        {**BETTER, "metric": "exact_match"}, (), "supported", "", "points as claimed", ""),
    "best of three": (
        rivals(FAST, times(2), times(3)), {**BEST, "at_least": 1.2}, (RIVALS,),
        "supported", "meaningful", "beyond 1.2", ""),
    "a rival is better": (
        rivals(times(2), FAST, times(3)), BEST, (RIVALS,),
        "refuted", "", "'first' is better", ""),
    "best, by less than claimed": (
        rivals(FAST, times(2), times(1.25)), {**BEST, "at_least": 2.5}, (RIVALS,),
        "refuted", "real but smaller", "than 2.5 against 'second'", ""),
    "best, but not by so much over the close one": (  # the noisy rival has the larger p
        rivals(FAST, (900, 1200, 2400, 600, 330), times(1.2)), {**BEST, "at_least": 1.4}, (RIVALS,),
        "refuted", "real but smaller", "than 1.4 against 'second'", ""),
    "best, the noisy rival by more than the close one": (
        rivals(FAST, (315, 1500, 1600, 1550, 1450), times(1.25)), {**BEST, "at_least": 1.2},
        (RIVALS,), "supported", "direction only", "does not lie beyond 1.2", ""),
    "intervals that refute allow for the number of rivals": (  # 1.25 [1.16, 1.35] of one alone
        rivals(FAST, times(3), times(1.25)), {**BEST, "at_least": 1.36}, (RIVALS,),
        "supported", "direction only", "does not lie beyond 1.36", ""),
    "not told from a rival": (
        rivals(NOISY, times(1.1, NOISY), times(9)), BEST, (RIVALS,),
        "inconclusive", "", "these seeds find", "more seeds"),
    "alike": (
        pair(FAST, times(1.01)), {**SAME, "within": 1.3}, (),
        "supported", "", "they differ by less than 1.3", ""),
    "not alike": (
        pair(FAST, times(2)), {**SAME, "within": 1.3}, (),
        "refuted", "", "they differ by more than 1.3", ""),
    "not alike, the other way": (
        pair(times(2), FAST), {**SAME, "within": 1.3}, (),
        "refuted", "", "they differ by more than 1.3", ""),
    "alike or not": (
        pair(NOISY, times(1.1, NOISY)), {**SAME, "within": 1.3}, (),
        "inconclusive", "", "not within 1.3, nor beyond it", "more seeds"),
    "three seeds that agree are not alike": (
        pair((300,) * 3, (300,) * 3), {**SAME, "within": 1.3}, (),
        "inconclusive", "", "not within", "more seeds"),
    "groups": (
        four(FAST, times(1.1), times(2), times(2.2)), GROUPS, (GROUPED,),
        "supported", "", "points as claimed", ""),
    "groups, the other way": (
        four(FAST, times(1.1), times(2), times(2.2)), {**GROUPS, "kind": "group_greater"},
        (GROUPED,), "refuted", "", "the other way", ""),
    "two seeds that agree, and a stricter level": (
        four((300,) * 2, (300,) * 2, (310,) * 2, (310,) * 2), {**GROUPS, "alpha": 0.02}, (GROUPED,),
        "untestable", "", "the smallest p that its seeds can give, 0.029", "more seeds"),
    "two seeds that agree are few": (
        four((300,) * 2, (300,) * 2, (310,) * 2, (310,) * 2), GROUPS, (GROUPED,),
        "supported", "", "points as claimed", ""),
    "below a number": (
        {"own": steps(FAST)}, {**ONE, "b": 450.0, "at_least": 1.2}, (),
        "supported", "meaningful", "beyond 1.2", ""),
    "above a number": (
        {"own": steps(FAST)}, {**ONE, "b": 200.0}, (), "refuted", "", "the other way", ""),
    "at a number": (
        {"own": steps(FAST)}, {**ONE, "kind": "equivalent", "b": 300.0, "within": 1.3}, (),
        "supported", "", "less than 1.3", ""),
    "six seeds that agree": (
        {"own": accuracies((0.7,) * 6)}, {"kind": "greater", "a": "own", "b": 0.5}, (),
        "supported", "", "points as claimed", ""),
    "five seeds that agree": (
        {"own": accuracies((0.7,) * 5)}, {"kind": "greater", "a": "own", "b": 0.5}, (),
        "untestable", "", "smallest p that its seeds can give, 0.062", "more seeds"),
    "above the best shortcut": (
        {"own": accuracies(SPREAD)}, {"kind": "greater", "a": "own", "b": "best shortcut"}, (),
        "supported", "", "points as claimed", ""),
    "above chance, not above the best shortcut": (
        {"own": accuracies(plus(-0.4))}, {"kind": "greater", "a": "own", "b": "best shortcut"}, (),
        "refuted", "", "the other way", ""),
    "above chance": (
        {"own": accuracies(plus(-0.4))}, {"kind": "greater", "a": "own", "b": "chance"}, (),
        "supported", "", "points as claimed", ""),
    "solve rates": (
        pair(SIX, (None,) * 5 + (900,)), {**BETTER, "metric": "solve_rate", "at_least": 0.1}, (),
        "supported", "meaningful", "beyond 0.1", ""),
    "solve rates, the other way": (
        pair((None,) * 6, SIX), {**BETTER, "metric": "solve_rate"}, (),
        "refuted", "", "the other way", ""),
    "solve rates, open": (
        pair(SIX, (*FAST, None)), {**BETTER, "metric": "solve_rate"}, (),
        "inconclusive", "", "these seeds find", "more seeds"),
    "paired": (  # seeds differ far more than the arms do
        pair((*NOISY, 700, 150, 2000), times(1.2, (*NOISY, 700, 150, 2000))),
        {**LESS, "paired": True, "at_least": 1.1}, (), "supported", "meaningful", "beyond 1.1", ""),
    "the same, not paired": (
        pair((*NOISY, 700, 150, 2000), times(1.2, (*NOISY, 700, 150, 2000))),
        {**LESS, "at_least": 1.1}, (), "inconclusive", "", "these seeds find", "more seeds"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_planted_truth(make, name):
    arms, claim, strata, word, grade, reason, settle = CASES[name]
    found = verdict_on(make, arms, claim, *strata)
    assert (found.word, found.grade) == (word, grade), found
    assert reason in found.reason
    assert settle in found.settle
    assert bool(found.settle) == (word in ("inconclusive", "untestable"))
    assert (found.effect is None) == (word == "untestable")


def test_effects_point_the_way_of_the_claim(make):
    arms = pair(FAST, times(2))
    claims = [({"id": kind, **LESS, "kind": kind, **more},) for kind, more in
              (("less", {}), ("greater", {}), ("equivalent", {"within": 1.5}))]  # fmt: skip
    less, greater, alike = judge(records_of(make, arms, *claims))
    assert less.effect.value == pytest.approx(2, rel=1e-3)
    assert greater.effect.value == pytest.approx(0.5, rel=1e-3)
    assert alike.effect.value == pytest.approx(0.5, rel=1e-3), "that of a over b"
    assert less.effect.low == pytest.approx(1 / greater.effect.high)
    assert less.effect.low < less.effect.value < less.effect.high
    assert less.level == pytest.approx(1 - 0.05 / 3)
    assert less.corrected_p == pytest.approx(3 * less.p)
    assert alike.p == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("slower", [(3, 1.25), (1.25, 3)])
def test_the_effect_shown_is_that_over_the_nearest_rival(make, slower):
    arms = rivals(FAST, *(times(factor) for factor in slower))
    found = verdict_on(make, arms, BEST, RIVALS)
    assert found.effect.value == pytest.approx(1.25, rel=5e-3)


# b is slower by 3 at one level, by 1.5 at the other: together by sqrt(4.5)
STRATA = (("8", ("own 8",), ("other 8",)), ("16", ("own 16",), ("other 16",)))
STRATIFIED = {
    "own 8": steps(FAST[:3]), "other 8": steps(times(3, FAST[:3])),
    "own 16": steps(times(10, FAST[:3])), "other 16": steps(times(15, FAST[:3])),
}  # fmt: skip


def test_strata_are_compared_within_and_pooled(make):
    claim = {"kind": "less", "metric": "steps_to_solve", "a": "own 8", "b": "other 8"}
    found = verdict_on(make, STRATIFIED, claim, *STRATA)
    assert found.word == "supported", "three seeds at each of two levels reach p = .005"
    assert found.p == pytest.approx(2 / 20**2)
    assert found.effect.value == pytest.approx(math.sqrt(4.5), rel=1e-3)
    assert [side.label for side in found.conditions.sides] == ["own 8", "other 8", "own 16",
                                                               "other 16"]  # fmt: skip


@pytest.mark.parametrize(
    ("slope", "b", "word"),
    [
        (2, "other", "supported"),
        (2, 1.5, "supported"),
        (1, 1.5, "refuted"),
        (0, "other", "refuted"),
    ],
)
def test_exponents_are_compared_seed_by_seed(make, slope, b, word):
    at = (4.0, 8.0, 16.0)
    arms = {}
    for label, exponent in (("own", slope), ("other", 1)):
        for n in at:
            wobble = [100, 110, 105, 95, 102] if n == 16 else [100, 101, 99, 102, 98]
            arms[f"{label} {n:g}"] = steps([round(each * (n / 4) ** exponent) for each in wobble])
    own, other = (tuple(f"{label} {n:g}" for n in at) for label in ("own", "other"))
    claim = {"kind": "greater", "metric": "steps_to_solve", "a": "own", "b": b,
             "exponent_in": "task.length", "at_least": 0.2}  # fmt: skip
    found = verdict_on(make, arms, claim, ("", own, other if b == "other" else (), at))
    assert found.word == word
    against = 1 if b == "other" else b
    assert found.effect.value == pytest.approx(slope - against, abs=0.05)
    assert not found.is_ratio
    side = found.conditions.sides[0]
    assert (side.label, side.seeds, side.runs, side.solved) == ("own 4 ... own 16", 5, 15, 15)


@pytest.mark.parametrize(("solved", "is_noted"), [(FAST, False), ((*FAST[:4], None), True)])
def test_where_a_t_test_may_err_more_often_is_said(make, solved, is_noted):
    found = verdict_on(make, {"own": steps(solved)}, {**ONE, "b": 450.0})
    assert any("two peaks" in note for note in found.conditions.notes) == is_noted


def test_a_bound_is_that_of_the_rival_shown(make):
    """A rival that never solved is no reason to call the ratio to another one a bound."""
    arms = {"own": steps(FAST), "near": steps(times(1.05)), "lost": steps((None,) * 5)}
    claim = {"kind": "best_of", "metric": "steps_to_solve", "a": "own"}
    found = verdict_on(make, arms, claim, ("", ("own",), ("near", "lost")))
    assert found.bound == "" and found.effect.value == pytest.approx(1.05, abs=0.01)


MANY = (*FAST[:3], None, None)


@pytest.mark.parametrize(
    ("a", "b", "bound"),
    [(FAST, MANY, "at least"), (MANY, FAST, "at most"), (MANY, MANY, "roughly")],
)
def test_many_unsolved_runs_give_a_bound_and_refute_nothing_by_interval(make, a, b, bound):
    """With all solved, the same claim is refuted: no interval holds a ratio of 10^6."""
    found = verdict_on(make, pair(a, b), {**LESS, "at_least": 1e6})
    assert (found.word, found.bound) == ("inconclusive", bound)


def test_without_unsolved_runs_it_is_refuted(make):
    found = verdict_on(make, pair(FAST, times(2)), {**LESS, "at_least": 1e6})
    assert (found.word, found.grade, found.bound) == ("refuted", "real but smaller", "")


def test_a_few_unsolved_runs_stand_at_their_budget(make):
    found = verdict_on(make, pair(FAST, (*times(2)[:4], None)), {**LESS, "at_least": 1.1})
    assert (found.word, found.bound) == ("supported", "")
    sides = {side.label: side for side in found.conditions.sides}
    assert (sides["other"].solved, sides["other"].seeds) == (4, 5)
    assert sides["other"].steps_given_solved == 610


def test_a_diverged_run_counts_as_unsolved_and_as_a_guess(make):
    status = ("finished",) * 4 + ("diverged",)
    arms = {"own": steps(FAST), "other": accuracies(SPREAD, status=status)}
    found = verdict_on(make, arms, BETTER)
    assert found.word == "supported"
    assert found.effect.value == pytest.approx(0.995 - (sum(SPREAD[:4]) + 1 / 6) / 5)
    assert "1 diverged runs count as unsolved" in " ".join(found.conditions.notes)
    assert [side.diverged for side in found.conditions.sides] == [0, 1]


def test_the_more_claims_the_harder_each(make):
    arms = {"own": steps((*FAST, *FAST)), "other": steps((*times(2), *times(2)))}
    claims = [({"id": f"c{i}", **LESS, "at_least": 1.1 + i / 100},) for i in range(6)]
    found = judge(records_of(make, arms, *claims))
    assert {v.family for v in found} == {6}
    assert {round(v.level, 6) for v in found} == {round(1 - 0.05 / 6, 6)}
    smallest = found[0].p
    assert [v.corrected_p for v in found] == [pytest.approx(6 * smallest)] * 6
