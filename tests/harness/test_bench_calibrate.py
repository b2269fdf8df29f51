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


def test_the_verb_proposes_constants(monkeypatch):
    monkeypatch.setattr(calibrate, "MIXERS", ("attention",))
    monkeypatch.setattr(calibrate, "SHAPES", calibrate.SHAPES[:2])
    monkeypatch.setattr(calibrate, "MEMBERS", (1, 2))
    monkeypatch.setattr(calibrate, "REPETITIONS", 1)
    monkeypatch.setattr(calibrate, "TYPICAL", calibrate.SHAPES[1:2])
    result = json.loads(orchid("bench", "cohort", "--calibrate", "--json").stdout)
    assert result["shipped"] == CPU._asdict() and set(result["proposed"]) == set(CPU._fields)
    assert [step["members"] for step in result["steps"]] == [1, 2, 1, 2]
    assert set(result["step_times"]) == set(mixers.names())
    assert result["step_times"]["attention"] == 1
    text = calibrate.render(result)
    assert text.count("attention, width 16") == 2 and "CostModel(overhead_s=" in text
