"""A multiverse holds the claims' arms once for each protocol, and judges within each."""

from __future__ import annotations

import pytest

from ablations import multiverse
from ablations.reading import Source
from harness.foundation import yaml
from harness.foundation.errors import HarnessError
from tests.ablations.examples import SMALL

CLAIM = "claims: [{id: c, kind: greater, a: attention, b: long_conv}]\n"
CHOICES = """
multiverse:
  train.lr: [1e-3, 1e-2]
  width: {narrow: {model.width: 4}, own: {model.width: 8}}
"""


def widened(text: str):
    return multiverse.widened(Source(yaml.load(text, "f.yaml"), text, "smoke", ()))


def test_arms_and_claims_are_there_once_for_each_protocol():
    found = widened(SMALL + CLAIM + CHOICES)
    assert len(found.arms) == 2 * 4 and len({arm.condition_id for arm in found.arms}) == 8
    first = found.arms[0]
    assert first.label == "attention | lr=0.001, width=narrow"
    assert first.levels == {"train.lr": "0.001", "width": "narrow", "model.mixer": "attention"}
    assert (first.spec.train.lr, first.spec.model.width) == (1e-3, 4)
    assert [claim.claim.id for claim in found.claims] == ["c.1", "c.2", "c.3", "c.4"]
    by_id = {arm.condition_id: arm for arm in found.arms}
    for claim in found.claims:
        assert {by_id[key].label.partition(" | ")[2] for key in claim.condition_ids} == {
            claim.universe
        }
    assert found.name == "small-multiverse"


def test_arms_that_no_claim_is_about_are_left_out():
    more = SMALL.replace("long_conv}}", "long_conv}, fnet: fnet}")
    assert more != SMALL
    labels = {arm.levels["model.mixer"] for arm in widened(more + CLAIM + CHOICES).arms}
    assert labels == {"attention", "long_conv"}


def test_what_is_chosen_is_no_longer_tuned():
    text = (
        SMALL
        + CLAIM
        + CHOICES
        + "nuisance: {train.lr: [1e-3, 3e-3], train.weight_decay: [0.0, 0.1]}\n"
    )
    text = text.replace("seeds: {confirmation", "seeds: {selection: 2, confirmation")
    found = widened(text)
    assert found.nuisances == [{"train.weight_decay": 0.0}, {"train.weight_decay": 0.1}]


BAD = {
    "no multiverse": (CLAIM, "small has no multiverse"),
    "no claims": (CHOICES, "small has no claims"),
    "one level": (CLAIM + "multiverse: {train.lr: [1e-3]}\n", "a choice needs two levels, got 1"),
    "a factor": (
        CLAIM + "multiverse: {model.mixer: [attention, fnet]}\n",
        "multiverse.model.mixer: model.mixer is a factor",
    ),
    "what the arms set": (
        CLAIM + "multiverse: {mix: {a: {model.mixer: fnet}, b: {model.mixer: short_conv}}}\n",
        "the arm 'attention' is the same under a and b",
    ),
    "unlike tuning": (
        CLAIM + "multiverse: {x: {a: {train.lr: 1e-2}, b: {model.width: 4}}}\n"
        "nuisance: {train.lr: [1e-3, 3e-3]}\n",
        "what is tuned differs between protocols",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    rest, message = BAD[case]
    with pytest.raises(HarnessError) as error:
        widened(SMALL + rest)
    assert message in str(error.value) and "f.yaml" in str(error.value)
