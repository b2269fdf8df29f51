"""How often verdicts are right, by simulation: lognormal steps (standard deviation 0.3).

Tolerances are 3.5 standard errors of the simulation itself; seeds are fixed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.foundation.seeding import generator
from reports.claims.verdict import judge
from reports.records import Records
from reports.statistics import power_of
from tests.reports.claims.planted import records_of, steps

SD, MEDIAN = 0.3, 3000
LEVEL = 12 / 252  # the largest p at or below .05 that five seeds an arm can give
NOT_T = 0.02  # by which the permutation test and Welch's interval differ from Student's power
LOOKS = (5, 8, 12, 16)
LESS = {"kind": "less", "metric": "steps_to_solve"}
ARMS = ("own", "b0", "b1", "b2", "b3", "b4")


def blank(make, num_claims: int, num_looks: int = 1, **more) -> Records:
    """One arm against as many others as there are claims, sixteen runs each."""
    arms = {label: steps((MEDIAN,) * LOOKS[-1]) for label in ARMS[: num_claims + 1]}
    claims = [
        ({"id": label, **LESS, "a": "own", "b": label, **more},)
        for label in ARMS[1 : num_claims + 1]
    ]
    records = records_of(make, arms, *claims)
    return replace(records, claims=[s._replace(num_looks=num_looks) for s in records.claims])


def drawn(records: Records, ratio: float, rng: np.random.Generator) -> Records:
    """The same runs with new steps; `own` is faster by the ratio."""
    noise = rng.lognormal(0, SD, len(records.runs))
    runs = [
        replace(run, steps_to_solve=round(MEDIAN * each / (ratio if run.arm.label == "own" else 1)))
        for run, each in zip(records.runs, noise, strict=True)
    ]
    return replace(records, runs=runs)


def first(records: Records, num: int) -> Records:
    """What is seen at a look: so many seeds an arm."""
    return replace(records, runs=[run for run in records.runs if run.seed < num])


def error(rate: float, trials: int) -> float:
    return 3.5 * math.sqrt(rate * (1 - rate) / trials)


def full(*cases):
    return pytest.param(*cases, marks=pytest.mark.full)


@pytest.mark.parametrize("trials", [500, full(10_000)])
@pytest.mark.parametrize(
    ("ratio", "word", "expected"),
    [
        (1.0, "supported", LEVEL / 2),  # half, for the claim has a direction
        (1.5, "supported", power_of(math.log(1.5), 5, 5, SD, LEVEL)),
        (2.0, "supported", power_of(math.log(2.0), 5, 5, SD, LEVEL)),
        (0.5, "refuted", power_of(math.log(2.0 * 1.1), 5, 5, SD, LEVEL)),  # 1.1 is left out
    ],
)
def test_one_claim_of_five_seeds(make, ratio, word, expected, trials):
    """As often as the t test of equal spreads: .024, .46, .88, .93."""
    records, rng = first(blank(make, 1, at_least=1.1), 5), generator("one claim", str(ratio))
    hits = sum(judge(drawn(records, ratio, rng))[0].word == word for _ in range(trials))
    assert abs(hits / trials - expected) < error(expected, trials) + NOT_T, hits / trials


@pytest.mark.parametrize("trials", [400, full(6_000)])
def test_five_claims_together_find_something_false_in_at_most_alpha(make, trials):
    records, rng = first(blank(make, 5), 5), generator("five claims")
    false = 0
    for _ in range(trials):
        words = [verdict.word for verdict in judge(drawn(records, 1.0, rng))]
        false += any(word in ("supported", "refuted") for word in words)
    assert false / trials < 0.055 + error(0.05, trials) / 2
    assert false > 0, "a test that finds nothing controls nothing"


@pytest.mark.parametrize(("num_looks", "most"), [(len(LOOKS), 0.055), (1, 1.0)])
@pytest.mark.parametrize("trials", [250, full(4_000)])
def test_looking_until_settled_finds_something_false_in_at_most_alpha(
    make, num_looks, most, trials
):
    """With alpha divided by the looks; with undivided alpha, more than twice as often."""
    records, rng = blank(make, 1, num_looks), generator("looks")
    false = 0
    for _ in range(trials):
        whole = drawn(records, 1.0, rng)
        for num in LOOKS:
            (verdict,) = judge(first(whole, num))
            if not verdict.wants_seeds:
                break
        false += verdict.is_settled
    assert false / trials < most + error(0.05, trials) / 2
    if num_looks == 1:
        assert false / trials > 0.08
