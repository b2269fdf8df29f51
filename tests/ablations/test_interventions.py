"""What an ablation may ask to be measured of trained kernels."""

from __future__ import annotations

import pytest

from harness.foundation.errors import HarnessError
from tests.ablations.examples import changed, load

ASK = ("    test_examples: 8\n", "    test_examples: 8\n    interventions: [swapped, mean]\n")
ORCHID = ("{attention: attention, long_conv:", "{orchid: orchid, static: {name: orchid, "
          "conditioning: static}, attention: attention, long_conv:")  # fmt: skip


def test_arms_with_and_without_a_kernel_of_the_input_stand_in_one_grid():
    ablation = load(changed(ASK, ORCHID))
    assert len(ablation.arms) == 4
    assert all(len(arm.spec.train.interventions) == 2 for arm in ablation.arms)


def test_what_no_arm_can_be_asked_is_refused_with_its_line():
    text = changed(ASK)
    with pytest.raises(HarnessError) as refused:
        load(text)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "interventions:" in row)
    first, second = refused.value.problems
    assert first.where == f"f.yaml:{line}: base.train.interventions"
    assert "'swapped'" in first.message
    assert "'mean'" in second.message
    assert "conditioning other than static" in first.fix


def test_truncation_needs_an_arm_with_taps():
    truncated = "    interventions: [{name: truncated, taps: 3}]\n"
    cosine = ("{attention: attention,", "{dct: {name: orchid, transform: dct},")
    with pytest.raises(HarnessError, match="kernel of the input in taps"):
        load(changed((ASK[0], ASK[0] + truncated), cosine))
    both = ("{attention: attention,", "{dct: {name: orchid, transform: dct}, dft: orchid,")
    assert len(load(changed((ASK[0], ASK[0] + truncated), both)).arms) == 3


def test_a_length_is_measured_where_a_kernel_is():
    ask = (ASK[0], ASK[0] + "    effective_kernel_length: true\n")
    assert len(load(changed(ask)).arms) == 2  # long_conv has one
    with pytest.raises(HarnessError, match="no model has a convolution kernel"):
        load(changed(ask, ("long_conv: {name: long_conv}", "b: {name: attention, heads: 2}")))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[swaped]", "did you mean 'swapped'"),
        ("[truncated]", "the key 'taps' is missing"),
        ("[{name: truncated, taps: 0}]", "greater than or equal to 1"),
        ("[{name: low_passed, fraction: 1.5}]", "less than or equal to 1"),
        ("[mean, mean]", "two interventions are the same"),
        ("[{name: swapped, taps: 3}]", "unknown key 'taps'"),
        ("[3]", "expected the name of an intervention"),
    ],
)
def test_bad_interventions_are_said(given, said):
    with pytest.raises(HarnessError) as refused:
        load(changed((ASK[0], ASK[0] + f"    interventions: {given}\n"), ORCHID))
    assert said in str(refused.value)
    assert "base.train.interventions" in str(refused.value)


def test_a_swap_needs_two_examples():
    few = ("test_examples: 8\n", "test_examples: 1\n    interventions: [swapped]\n")
    with pytest.raises(HarnessError, match="test_examples: 2 or more"):
        load(changed(few, ORCHID))


# SMALL's sequences have 10 positions: taps at distances 0 to 5, 6 bins.
@pytest.mark.parametrize(
    ("orchid", "given", "said"),
    [
        ("{conditioning: {name: power, input: constant}}", "swapped", "conditioning.input own"),
        ("{conditioning: {name: power, input: table}}", "mean", "h frozen to its mean is h"),
        ("{conditioning: power}", "{name: truncated, taps: 10}", "keep fewer taps"),
        ("{form: bidirectional}", "{name: truncated, taps: 20}", "keep fewer taps"),
        (
            "{conditioning: {name: power, kernel_length: 5}}",
            "{name: truncated, taps: 4}",
            "h truncated to 4 taps is h",
        ),
        ("{conditioning: power}", "{name: low_passed, fraction: 0.9}", "a smaller fraction"),
    ],
)
def test_an_intervention_that_changes_no_kernel_is_refused(orchid, given, said):
    name = ("{attention: attention,", f"{{orchid: {{name: orchid, {orchid[1:]},")
    with pytest.raises(HarnessError) as refused:
        load(changed((ASK[0], ASK[0] + f"    interventions: [{given}]\n"), name))
    assert said in str(refused.value)
    assert "base.train.interventions" in str(refused.value)


def test_it_is_enough_that_it_changes_the_kernel_of_one_arm():
    constant = "{constant: {name: orchid, conditioning: {name: power, input: constant}}, "
    changes = [("{attention: attention,", constant + "own: orchid,")]
    assert len(load(changed(ASK, *changes)).arms) == 3
    nearly = (ASK[0], ASK[0] + "    interventions: [{name: truncated, taps: 9}]\n")
    assert len(load(changed(nearly, *changes)).arms) == 3
