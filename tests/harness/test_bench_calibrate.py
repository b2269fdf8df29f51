"""The planner's cost model, fitted to made-up machines."""

from __future__ import annotations

import json

import pytest

from ablations.estimate import CPU, CostModel, activations
from harness import mixers
from harness.bench import calibrate
from harness.bench.calibrate import Timed, fit
from harness.bench.training_step import specification
from tests.command import orchid

MACHINE = CostModel(2e-3, 3e-7, 4e10, 2**18, CPU.most_members)


def timed(model, spill=1.0):
    """Steps that take what the model says; in stacks that are too large, `spill` times as long."""
    out = []
    for mixer in ("attention", "orchid"):
        for shape in calibrate.SHAPES:
            spec = specification(mixer, **shape)
            for members in calibrate.MEMBERS:
                large = members * activations(spec) >= 2 * model.most_activations
                out.append(Timed(spec, members, model.step_s(spec, members) * spill**large))
    return out


def test_the_constants_of_a_machine_are_found_again():
    found = fit(timed(MACHINE))
    assert found[:3] == pytest.approx(MACHINE[:3], rel=0.02)


def test_a_stack_that_spills_the_caches_is_seen():
    assert fit(timed(MACHINE, spill=1.3)).most_activations == MACHINE.most_activations
    most = max(members * activations(spec) for spec, members, _ in timed(MACHINE))
    assert most / 2 < fit(timed(MACHINE)).most_activations <= most


@pytest.mark.parametrize("slower", [1, 3])
def test_what_a_mixer_takes_does_not_depend_on_the_machine(monkeypatch, slower):
    """A step of made-up seconds with Hyena, and with attention, on the shipped machine or on one
    that takes three times as long."""
    hyena = type(mixers.get("hyena"))
    steps = []
    for shape, members in calibrate.TYPICAL:
        for mixer, calls, passes in (("attention", 1.0, 1.0), ("hyena", 2.5, 0.7)):
            with monkeypatch.context() as patched:
                if mixer == "hyena":
                    patched.setattr(hyena, "call_time", calls)
                    patched.setattr(hyena, "pass_time", passes)
                seconds = slower * CPU.step_s(specification(mixer, **shape), members)
            steps.append({"mixer": mixer, "shape": shape, "members": members, "each_s": [seconds]})
    found = calibrate.layer_times_of(steps)
    assert found["hyena"] == pytest.approx((2.5, 0.7), rel=1e-6)
    assert found["attention"] == pytest.approx((1, 1), rel=1e-6)


def test_the_verb_proposes_constants(monkeypatch):
    monkeypatch.setattr(calibrate, "MIXERS", ("attention",))
    monkeypatch.setattr(calibrate, "SHAPES", calibrate.SHAPES[:2])
    monkeypatch.setattr(calibrate, "MEMBERS", (1, 2))
    monkeypatch.setattr(calibrate, "REPETITIONS", 1)
    monkeypatch.setattr(calibrate, "TYPICAL", calibrate.TYPICAL[:2])
    result = json.loads(orchid("bench", "cohort", "--calibrate", "--json").stdout)
    assert result["shipped"] == CPU._asdict() and set(result["proposed"]) == set(CPU._fields)
    assert [step["members"] for step in result["steps"]] == [1, 2, 1, 2]
    assert {step["mixer"] for step in result["mixers"]} == set(mixers.names())
    text = calibrate.render(result)
    assert text.count("attention, width 16") == 2 and "CostModel(overhead_s=" in text
