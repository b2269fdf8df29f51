"""What a plan says of claims before anything is trained."""

from __future__ import annotations

import json

import pytest

from reports.claims.prospect import prospects
from tests.ablations.examples import SMALL, load
from tests.command import orchid

TWO = "claims: [{id: c, kind: greater, a: attention, b: long_conv%s}]\n"

CASES = {
    "enough": (5, "", "", ""),
    "three seeds": (3, "", "", "the smallest p that 3 seeds can give, 0.1, is above 0.05; 4 seeds"),
    "one seed": (1, "", "", "a single seed says nothing"),
    "paired, few": (5, ", paired: true", "", "6 seeds an arm can"),
    "a smaller alpha": (5, ", alpha: 0.001", "", "is above 0.001; 7 seeds"),
    "two rates": (5, "", "nuisance: {train.lr: [1e-3, 3e-3]}\n", "always at an end of the grid"),
    "three rates": (5, "", "nuisance: {train.lr: [1e-3, 3e-3, 1e-2]}\n", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_seeds_cannot_settle(case):
    seeds, extra, more, obstacle = CASES[case]
    text = SMALL.replace("confirmation: 2", f"confirmation: {seeds}") + TWO % extra + more
    (found,) = prospects(load(text))
    assert obstacle in found.obstacle and bool(obstacle) == bool(found.obstacle)
    assert (found.detectable is None) == bool(obstacle)


def test_more_seeds_find_smaller_effects_and_more_claims_larger_ones():
    def detectable(seeds: int, claims: int) -> float:
        each = "\n  - {id: c%d, kind: greater, a: attention, b: long_conv, at_least: 0.%d}"
        text = SMALL.replace("confirmation: 2", f"confirmation: {seeds}") + "claims:"
        text += "".join(each % (i, i + 1) for i in range(claims)) + "\n"
        return prospects(load(text))[0].detectable

    assert detectable(10, 1) < detectable(5, 1) < detectable(5, 3)


def test_plan_says_it(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text(SMALL + TWO % "")
    said = orchid("plan", str(path))
    assert "claim c: cannot be settled: the smallest p that 2 seeds can give" in said.stdout
    data = json.loads(orchid("plan", str(path), "--json").stdout)
    assert data["claims"][0]["id"] == "c"
