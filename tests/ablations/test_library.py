"""The ablations that ship: valid at every scale, and their claims such as runs can settle."""

from __future__ import annotations

from math import comb

import pytest

import ablations
from ablations.library import files
from ablations.reading import SCALES
from reports.claims.prospect import prospects

NAMES = sorted(files())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_it_is_valid_at_every_scale(name, scale):
    ablation = ablations.load(name, scale=scale)
    assert ablation.name == name
    assert len(ablation.arms) >= 2
    assert ablation.seeds.confirmation >= 3
    assert ablation.source


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_claim_says_what_it_is_and_whose(name, scale):
    ablation = ablations.load(name, scale=scale)
    assert ablation.claims
    for resolved in ablation.claims:
        claim = resolved.claim
        assert claim.statement.endswith("."), claim.id
        assert claim.source or ablation.source.get("paper") or ablation.source.get("where"), (
            claim.id
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_scale_has_the_same_claims(name):
    at_scales = [ablations.load(name, scale=scale).claims for scale in SCALES]
    assert len({tuple(each.claim.id for each in claims) for claims in at_scales}) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_nothing_that_a_plan_shows_keeps_a_claim_from_being_settled(name, scale):
    """Regimes, loss modes, budgets, seeds, and rates of which one is not at an end."""
    for prospect in prospects(ablations.load(name, scale=scale)):
        assert not prospect.obstacle, f"{prospect.id}: {prospect.obstacle}"


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_at_smoke_suffice_for_as_many_claims(name):
    """The least p of n seeds against n, 2 / C(2n, n), is within the level after Holm."""
    ablation = ablations.load(name, scale="smoke")
    num = ablation.seeds.confirmation
    assert len(ablation.claims) * 2 / comb(2 * num, num) <= 0.05


@pytest.mark.parametrize("name", NAMES)
def test_rates_at_laptop_are_four_or_more(name):
    """So that the best one need not stand at an end, which makes a claim untestable."""
    ablation = ablations.load(name, scale="laptop")
    rates = {each["train.lr"] for each in ablation.nuisances if each}
    assert not (ablation.claims and rates) or len(rates) >= 4
