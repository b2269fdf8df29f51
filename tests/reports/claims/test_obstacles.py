"""What makes a claim untestable: each obstacle planted alone, in claims that are supported without.

And of any ledger: every claim has exactly one verdict, with its reason and what would settle it.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.claims import as_data
from reports.claims.text import lines, section
from reports.claims.verdict import judge
from tests.reports.claims.planted import (
    FAST,
    SPREAD,
    STEPS,
    accuracies,
    plus,
    records_of,
    steps,
    times,
    verdict_on,
)
from tests.reports.conftest import RATES, Maker

LESS = {"kind": "less", "metric": "steps_to_solve", "a": "own", "b": "other", "at_least": 1.2}
BETTER = {"kind": "greater", "a": "own", "b": "other"}
RATE_CLAIM = {**BETTER, "metric": "solve_rate"}
TUNED = {"nuisances": [{"train.lr": rate} for rate in RATES]}
FOUR = ("finished",) * 4
NONE = (None,) * 5
REGIMES = "regimes differ (bidirectional, causal)"


def pair(own: dict | None = None, other: dict | None = None) -> dict:
    """Two arms of which the first is twice as fast."""
    return {"own": {**steps(FAST), **(own or {})}, "other": {**steps(times(2)), **(other or {})}}


def learnt(own: dict | None = None, other: dict | None = None) -> dict:
    """Two arms of which the first is more accurate; nothing is solved."""
    return {
        "own": {**accuracies(plus(0.2)), **(own or {})},
        "other": {**accuracies(SPREAD), **(other or {})},
    }


# arms, claim, meta, reason, what would settle it
CASES = {
    "missing runs": (
        pair(other={"status": (*FOUR, None)}), LESS, {},
        "1 of 5 runs of 'other' are missing", "run the ablation to its end"),
    "a failed run": (
        pair({"status": ("failed", *FOUR)}), LESS, {},
        "1 of 5 runs of 'own' failed", "mend what made them fail"),
    "failed before missing": (
        pair({"status": ("failed", *FOUR)}, {"status": (*FOUR, None)}), LESS, {},
        "runs of 'own' failed", "mend"),
    "runs that wait for a choice": (
        {**pair(), "other": steps(())}, LESS, TUNED,
        "the runs of 'other' wait until its nuisances are chosen", "run the ablation"),
    "one seed": (
        {"own": steps(FAST[:1]), "other": steps(times(2))}, LESS, {},
        "a single run of 'own', so nothing is known of its spread", "more seeds"),
    "three seeds": (
        {"own": steps(FAST[:3]), "other": steps(times(2)[:3])}, LESS, {},
        "the smallest p that its seeds can give, 0.1, is above 0.05 / 1", "more seeds: 4 an arm"),
    "five pairs": (
        pair(), {**LESS, "paired": True}, {},
        "the smallest p that its seeds can give, 0.062", "more seeds: 6 an arm"),
    "two seeds and rates": (
        {"own": steps(FAST[:2]), "other": steps(NONE[:2])}, RATE_CLAIM, {},
        "the smallest p that its seeds can give", "more seeds: 3 an arm"),
    "no common seeds": (
        pair(other={"seeds": [1, 11, 12, 13, 14]}), {**LESS, "paired": True}, {},
        "fewer than two seeds are common", "more seeds"),
    "unequal steps": (
        pair(other={"train": {"steps": 2 * STEPS}}), LESS, {},
        "budgets are unequal: train.steps is 10000, 20000", "equal train.steps"),
    "unequal batches": (
        pair(other={"train": {"batch_size": 128}}), LESS, {},
        "train.batch_size is 128, 64", "equal train.batch_size"),
    "unequal data": (
        pair(other={"train": {"train_examples": 1000}}), LESS, {},
        "train.train_examples is 1000, none", "equal train.train_examples"),
    "the smallest rate won": (
        pair({"tuned": "all", "lr": 1e-3}, {"tuned": "all"}), LESS, TUNED,
        "the smallest rate of the grid, 0.001, won for 'own'", "extend nuisance train.lr beyond"),
    "the largest rate won": (
        pair({"tuned": "all"}, {"tuned": "all", "lr": 1e-2}), LESS, TUNED,
        "the largest rate of the grid, 0.01, won for 'other'", "beyond 0.01"),
    "regimes": (
        pair(other={"regime": "causal"}), LESS, {}, REGIMES, "across_regimes: true"),
    "loss modes": (
        pair({"loss": "masked"}), LESS, {}, "loss modes differ (answers, masked)", "one loss mode"),
    "all solved at once": (
        {"own": steps((5,) * 5), "other": steps((5,) * 5)}, LESS, {},
        "ceiling: every run had solved the task at its first evaluation", "a smaller eval_every"),
    "none solved": (
        learnt(), LESS, {}, "floor: no run solved the task", "an easier task, or more steps"),
    "none solved, rates": (
        learnt(), RATE_CLAIM, {}, "floor: no run solved the task", "an easier task"),
    "all solved, rates": (pair(), RATE_CLAIM, {}, "ceiling: every run solved", "a harder task"),
    "all solved, accuracy": (pair(), BETTER, {}, "ceiling: every run solved", "a harder task"),
    "shortcuts do as well": (
        {"own": accuracies(plus(-0.29)), "other": accuracies(plus(-0.32))}, BETTER, {},
        "floor: no arm is more than 0.05 above most frequent value", "an easier task"),
    "chance does as well": (
        dict.fromkeys(("own", "other"), accuracies(plus(-0.5), shortcuts={})),
        BETTER, {}, "floor: no arm is more than 0.05 above chance", "an easier task"),
    "a loss that diverged": (
        learnt({"status": (*FOUR, "diverged")}), {**BETTER, "metric": "loss"}, {},
        "'own' seed 4 has no loss, for it diverged", "another metric"),
    "not a number": (
        learnt({"accuracy": (0.9, math.nan, 0.9, 0.9, 0.9)}), BETTER, {},
        "'own' seed 1 has no accuracy", "another metric"),
    "a loss that is infinite": (
        learnt({"tests": {"loss": (0.1, 0.1, math.inf, 0.1, 0.1)}}), {**BETTER, "metric": "loss"},
        {}, "'own' seed 2 has no loss", "another metric"),
    "not measured": (
        learnt(), {**BETTER, "metric": "follows"}, {}, "'own' seed 0 has no follows", "another"),
    "coarse evaluations": (
        pair({"train": {"eval_every": 50}}, {"train": {"eval_every": 50}}), LESS, {},
        "the evaluations of 'own' are too coarse: 50 steps apart where it solves at 300",
        "train.eval_every: 13 or less"),
    "equivalence of unsolved runs": (
        pair(other=steps((*FAST[:3], None, None))),
        {**LESS, "kind": "equivalent", "within": 1.3, "at_least": None}, {},
        "more than 20% of the runs of 'other' never solved, so the ratio is a bound", "more steps"),
    "a number beyond the budget": (
        {"own": steps((*FAST, None))}, {**LESS, "b": 20000.0}, {},
        "1 runs never solved in 10,000 steps, which are fewer than 20000", "more steps: 20000"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_obstacle_makes_a_claim_untestable(make, name):
    arms, claim, meta, reason, settle = CASES[name]
    found = verdict_on(make, arms, {**claim}, **meta)
    assert found.word == "untestable", found
    assert reason in found.reason
    assert settle in found.settle
    assert (found.effect, found.p, found.corrected_p, found.grade) == (None, None, None, "")


@pytest.mark.parametrize(
    ("arms", "claim", "meta", "note"),
    [
        (pair(), LESS, {}, ""),
        (pair({"tuned": "all"}, {"tuned": "all"}), LESS, TUNED, ""),
        (pair(other={"regime": "causal"}), {**LESS, "across_regimes": True}, {},
         "across regimes (bidirectional, causal)"),
        (learnt(), BETTER, {}, ""),
        ({**pair(), "other": accuracies(plus(-0.4))}, BETTER, {}, ""),
        (pair({"train": {"eval_every": 10}}, {"train": {"eval_every": 10}}), LESS, {}, ""),
        (pair({"train": {"schedule": "cosine"}}), LESS, {}, "the schedule is constant, cosine"),
        (pair({"params_without_embedding": 30000}), LESS, {}, "sizes differ: 18,000 to 30,000"),
        (pair(), {**LESS, "source": {"paper": "arXiv"}}, {"scale": "smoke"},
         "at scale smoke, so it neither confirms nor refutes the published result"),
        ({"own": steps((*FAST, 305)), "other": steps((*NONE, 900))}, RATE_CLAIM, {}, ""),
    ],
)  # fmt: skip
def test_without_it_the_claim_is_supported(make, arms, claim, meta, note):
    found = verdict_on(make, arms, claim, **meta)
    assert found.word == "supported", found
    assert note in " ".join(found.conditions.notes)
    assert found.conditions.has_equal_budgets
    assert found.conditions.has_equal_tuning


def test_tuning_over_fewer_settings_is_unequal(make):
    more = {"nuisances": [{"train.lr": rate} for rate in (*RATES, 0.1)]}
    found = verdict_on(make, pair({"tuned": "all"}, {"tuned": "all"}), LESS, **more)
    assert found.word == "untestable"
    assert "tuning is unequal: 'own' was tuned over 3 of 4 settings" in found.reason
    assert not found.conditions.has_equal_tuning


AT = (4.0, 8.0, 16.0)


def test_exponents_of_runs_that_never_solved_are_unknown(make):
    """Unsolved runs stand at the budget, which would flatten the curve: a false exponent."""
    arms = {f"own {n:g}": steps(times(n / 4)) for n in AT[:2]}
    arms["own 16"] = steps((1200, 1250, None, None, None))
    claim = {**LESS, "at_least": None, "b": 3.0, "exponent_in": "task.length"}
    found = verdict_on(make, arms, claim, ("", tuple(arms), (), AT))
    assert found.word == "supported", "3 of 15 runs are few"
    assert found.effect.value > 0


def test_exponents_of_many_unsolved_runs(make):
    arms = {f"own {n:g}": steps((*FAST[:3], None, None)) for n in AT}
    claim = {**LESS, "at_least": None, "b": 3.0, "exponent_in": "task.length"}
    found = verdict_on(make, arms, claim, ("", tuple(arms), (), AT))
    assert found.word == "untestable"
    assert "so the exponent is a bound" in found.reason


def test_exponents_of_accuracy_are_not_taken_for_accuracies(make):
    arms = {f"own {n:g}": accuracies(plus(-n / 100)) for n in AT}
    arms |= {f"other {n:g}": accuracies(plus(-n / 30)) for n in AT}
    own, other = (tuple(f"{label} {n:g}" for n in AT) for label in ("own", "other"))
    found = verdict_on(make, arms, {**BETTER, "exponent_in": "task.length"}, ("", own, other, AT))
    assert found.word == "supported", found.reason


@pytest.mark.parametrize(
    ("change", "second", "word"),
    [
        ({"kind": "equivalent", "within": 0.05}, -0.3, "untestable"),
        ({"kind": "equivalent", "within": 0.05}, 0.1, "supported"),
        ({}, -0.3, "inconclusive"),
    ],
)
def test_in_a_stratum_where_nothing_is_learned_all_is_alike(make, change, second, word):
    arms = {name: accuracies(plus(0.2)) for name in ("own", "other")}
    arms |= {f"{name} 2": accuracies(plus(second)) for name in ("own", "other")}
    strata = ("easy", ("own",), ("other",)), ("hard", ("own 2",), ("other 2",))
    found = verdict_on(make, arms, {**BETTER, **change}, *strata)
    assert found.word == word, found.reason
    if word == "untestable":
        assert "floor: no arm is more than 0.05 above most frequent value at hard" in found.reason
        assert "an easier task" in found.settle


LABELS = ("p", "q", "r")
METRICS = ("accuracy", "loss", "steps_to_solve", "solve_rate", "seconds", "follows")
BY_KIND = [
    ({"kind": "less", "a": "p", "b": "q"}, ("", ("p",), ("q",))),
    ({"kind": "greater", "a": "p", "b": "q", "at_least": 1.5}, ("", ("p",), ("q",))),
    ({"kind": "less", "a": "p", "b": 2.0}, ("", ("p",), ())),
    ({"kind": "equivalent", "a": "p", "b": 0.5, "within": 1.1}, ("", ("p",), ())),
    ({"kind": "equivalent", "a": "p", "b": "q", "within": 1.1}, ("", ("p",), ("q",))),
    ({"kind": "best_of", "a": "p", "at_least": 1.1}, ("", ("p",), ("q", "r"))),
    ({"kind": "group_less", "a": "p", "b": "r"}, ("", ("p", "q"), ("r",))),
    ({"kind": "group_greater", "a": "p", "b": "r", "at_least": 1.1}, ("", ("p",), ("q", "r"))),
    ({"kind": "less", "a": "p", "b": "q"}, ("1", ("p",), ("q",)), ("2", ("q",), ("r",))),
    ({"kind": "greater", "a": "p", "b": 1.0, "exponent_in": "n"}, ("", LABELS, (), AT)),
]  # fmt: skip


@st.composite
def outcomes(draw):
    """An arm of up to eight runs with few distinct values, so that ties and points occur."""
    num = draw(st.sampled_from([0, 1, 2, 3, 5, 8]))

    def each(values):
        return draw(st.lists(values, min_size=num, max_size=num))

    common = draw(st.sampled_from(["finished", "any"]))
    status = st.sampled_from(["finished", "diverged", "failed", None])
    states = each(status) if common == "any" else ["finished"] * num
    solved = each(st.sampled_from([5, 100, 100, 400, 9000, None]))
    return {
        "status": states,
        "solved": [
            s if state == "finished" else None for s, state in zip(solved, states, strict=True)
        ],
        "accuracy": each(st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.99, 1.0])),
        "wall_s": each(st.sampled_from([0.0, 1.0, 1.0, 30.0, 1e6])),
        "tests": {"evidence edited, follows": each(st.sampled_from([0.1, 0.9, math.nan]))},
    }


CLAIMS = st.lists(
    st.tuples(st.sampled_from(BY_KIND), st.sampled_from(METRICS), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arms=st.fixed_dictionaries(dict.fromkeys(LABELS, outcomes())), claims=CLAIMS)
def test_every_claim_has_one_verdict(arms, claims):
    stated = []
    for index, ((data, *strata), metric, is_paired) in enumerate(claims):
        data = {"id": f"c{index}", "metric": metric, **data}
        if is_paired and data["kind"] in ("less", "equivalent") and isinstance(data["b"], str):
            data["paired"] = metric != "solve_rate"
        if metric not in ("steps_to_solve", "seconds"):
            data |= {key: 0.1 for key in ("at_least", "within") if key in data}
        data["alpha"] = 0.01 + index / 1000  # so that no two say the same
        stated.append((data, *strata))
    with tempfile.TemporaryDirectory() as folder:
        records = records_of(lambda **meta: Maker(Path(folder), **meta), arms, *stated)
        found = judge(records)
        assert judge(records) == found, "twice the same"
    assert [v.claim.id for v in found] == [data["id"] for data, *_ in stated]
    assert len(section(records).grids[0].rows) == len(found)
    for verdict in found:
        assert verdict.word in ("supported", "refuted", "inconclusive", "untestable")
        assert verdict.reason
        assert bool(verdict.settle) == (verdict.word in ("inconclusive", "untestable"))
        assert (verdict.effect is None) == (verdict.word == "untestable")
        if verdict.effect is not None:
            low, high = verdict.effect.low, verdict.effect.high
            assert low <= verdict.effect.value + 1e-9 and verdict.effect.value <= high + 1e-9
            assert 0 < verdict.p <= verdict.corrected_p <= 1 or verdict.p == 0
        if verdict.word == "supported":
            assert verdict.corrected_p <= verdict.alpha
        assert json.loads(json.dumps(as_data(verdict), allow_nan=False))["id"] == verdict.claim.id
        assert all(isinstance(line, str) and line for line in lines(verdict))
