"""Interventions against slow, obvious twins: one example at a time, taps cut by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.foundation.seeding import generator
from harness.layers import initialise
from harness.mixers.orchid import intervention as interventions
from harness.mixers.orchid.intervention import applies, intervene, kernel_layers, uses
from harness.model import Model
from harness.training.data import Examples, evaluation_batch, examples
from harness.training.evaluation import evaluate, evaluate_under
from harness.training.stack import Stack
from tests.harness.runs import tiny

ALL = {
    "swapped": interventions.get("swapped"),
    "mean": interventions.get("mean"),
    "truncated": interventions.get("truncated", taps=3),
    "low_passed": interventions.get("low_passed", fraction=0.3),
    "removed": interventions.get("removed"),
}
MIXERS = {
    "circular": {"name": "orchid", "conditioning": "magnitude"},
    "bidirectional": {"name": "orchid", "form": "bidirectional", "heads": 2},
    "causal": {
        "name": "orchid",
        "chain": "conv-gate-conv",
        "form": {"name": "causal", "chunks": 3},
    },
    "constant": {"name": "orchid", "conditioning": {"name": "magnitude", "input": "constant"}},
    "ortho": {"name": "orchid", "normalization": "ortho", "residual_conv": True},
}


def model_and_data(mixer, num: int = 7) -> tuple[Model, Examples]:
    """A model with the weights it begins with, and test examples."""
    spec = tiny(model__mixer=mixer)
    model = Model(spec)
    initialise(model, lambda name: generator("init", "test", name))
    return model.eval(), examples(spec, evaluation_batch(spec.task, "test", num))


def alone(model: Model, data: Examples, index: int) -> torch.Tensor:
    rows = slice(index, index + 1)
    return model(data.inputs[rows], data.scored[rows])


@torch.no_grad()
def slow_loss(intervention, model: Model, data: Examples) -> float:
    """Example by example, with the kernels that an undisturbed pass over one example gives."""
    n = len(data.inputs)
    kernels = [[use.h for use in uses(model, lambda i=i: alone(model, data, i))] for i in range(n)]
    losses = []
    for index in range(n):
        donors = {
            "own": None,
            "neighbour": kernels[(index - 1) % n],
            "mean": [torch.stack(each).mean(0) for each in zip(*kernels, strict=True)],
        }[intervention.of]
        with intervene(model, intervention, donors):
            logits = alone(model, data, index)
        losses.append(F.cross_entropy(logits.flatten(0, -2), data.targets[index]))
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("mixer", MIXERS)
def test_as_example_by_example_whatever_the_batch(mixer, name):
    """float32: a few roundings of sums over seven examples."""
    model, data = model_and_data(MIXERS[mixer])
    slow = slow_loss(ALL[name], model, data)
    stacked = Stack(tiny(model__mixer=MIXERS[mixer]), ["test"], torch.device("cpu")).model
    for size in (1, 2, 3, 7, 64):
        scores = evaluate_under(ALL[name], stacked, 1, data, size)
        assert scores.loss[0] == pytest.approx(slow, rel=1e-5)
    plain = float(evaluate(stacked, 1, data, 7).loss[0])
    inert = mixer == "constant" and name in ("swapped", "mean")
    assert (plain == pytest.approx(slow, rel=1e-6)) == inert, "only a kernel of nothing is robust"
    assert all(layer.intervention is None for layer in kernel_layers(stacked))


@pytest.mark.parametrize("taps", [1, 2, 3, 8])
@pytest.mark.parametrize("mixer", ["circular", "bidirectional", "ortho"])
def test_truncation_keeps_the_taps_near_zero(mixer, taps):
    model, data = model_and_data(MIXERS[mixer])
    use = uses(model, lambda: model(data.inputs, data.scored))[0]
    points = use.transform.points
    scale = np.sqrt(points) if mixer == "ortho" else 1.0
    before, after = (
        np.fft.irfft(_complex(h), points, axis=-2) * scale
        for h in (use.h, interventions.get("truncated", taps=taps).apply(use.h, use.transform))
    )
    for t in range(points):
        kept = 2 * min(t, points - t) <= taps
        expected = before[..., t, :] if kept else 0.0
        np.testing.assert_allclose(after[..., t, :], expected, atol=1e-5 * np.abs(before).max())


def test_truncation_is_the_window_of_a_conditioning_network():
    """A model whose kernels are windowed does not change under the same truncation."""
    conditioning = {"name": "cross_correlation", "kernel_length": 3}
    model, data = model_and_data({"name": "orchid", "conditioning": conditioning})
    before = model(data.inputs, data.scored)
    with intervene(model, interventions.get("truncated", taps=3)):
        torch.testing.assert_close(model(data.inputs, data.scored), before, rtol=1e-4, atol=1e-5)
    with intervene(model, interventions.get("truncated", taps=1)):
        assert not torch.allclose(model(data.inputs, data.scored), before, atol=1e-3)


@pytest.mark.parametrize(("fraction", "kept"), [(0.01, 1), (0.16, 1), (0.17, 2), (1.0, 6)])
def test_low_pass_keeps_the_lowest_bins(fraction, kept):
    model, data = model_and_data(MIXERS["circular"])
    use = uses(model, lambda: model(data.inputs, data.scored))[0]
    assert use.h.shape[-2] == 6  # of length 10
    found = interventions.get("low_passed", fraction=fraction).apply(use.h, use.transform)
    assert torch.equal(found[..., :kept, :], use.h[..., :kept, :])
    assert not found[..., kept:, :].any()


def test_removal_leaves_the_static_kernel():
    model, data = model_and_data(MIXERS["circular"])
    with intervene(model, ALL["removed"]):
        found = model(data.inputs, data.scored)
    static = Model(tiny(model__mixer={"name": "orchid", "conditioning": "static"}))
    static.load_state_dict({k: v for k, v in model.state_dict().items() if "conditioning" not in k})
    torch.testing.assert_close(found, static(data.inputs, data.scored))


def test_the_hook_is_taken_off_when_a_pass_raises():
    model, _ = model_and_data(MIXERS["circular"])
    with pytest.raises(RuntimeError), intervene(model, ALL["removed"]):
        raise RuntimeError
    assert all(layer.intervention is None for layer in kernel_layers(model))


def test_where_interventions_apply():
    def kind(mixer) -> dict[str, bool]:
        model = Model(tiny(model__mixer=mixer))
        return {name: applies(each, model) for name, each in ALL.items()}

    assert all(kind("orchid").values())
    for mixer in ("attention", "long_conv", {"name": "orchid", "conditioning": "static"}):
        assert not any(kind(mixer).values())
    assert kind({"name": "orchid", "transform": "dct"}) == dict.fromkeys(ALL, True) | {
        "truncated": False
    }


def test_labels_read_well():
    assert [each.label for each in ALL.values()] == [
        "swapped",
        "frozen to its mean",
        "truncated to 3 taps",
        "low-passed to 30 %",
        "removed",
    ]


def _complex(halves: torch.Tensor) -> np.ndarray:
    re, im = halves.detach().double().chunk(2, dim=-1)
    return re.numpy() + 1j * im.numpy()
