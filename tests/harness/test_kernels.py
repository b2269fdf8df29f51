"""Kernels as arrays: they are what the layers convolve with, and their lengths are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.kernels import convolutions, effective_length, kernels
from harness.mixers.orchid.convolution import GlobalConvolution
from harness.model import Model
from harness.training.stack import Stack
from tests.harness.runs import numbers, tiny, train

LENGTH = 10  # of the tiny run's inputs
MIXERS = {
    "circular": {"name": "orchid"},
    "heads": {"name": "orchid", "heads": 2, "conditioning": "magnitude"},
    "bidirectional": {"name": "orchid", "form": "bidirectional", "residual_conv": True},
    "causal": {"name": "orchid", "form": {"name": "causal", "chunks": 3}},
    "window": {
        "name": "orchid",
        "chain": "conv-gate-conv",
        "conditioning": {"name": "power", "kernel_length": 3},
    },
    "constant": {"name": "orchid", "conditioning": {"name": "magnitude", "input": "constant"}},
    "dynamic": {"name": "orchid", "static_kernel": "none", "normalization": "forward"},
    "static": {"name": "orchid", "conditioning": "static"},
}


def model_of(mixer, **changes) -> Model:
    spec = tiny(model__mixer=mixer, **changes)
    return Stack(spec, [spec.seed_key], torch.device("cpu")).model


def tokens(num: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 9, (1, num, LENGTH)))


@pytest.mark.parametrize("name", MIXERS)
def test_a_layer_convolves_with_the_kernels_that_are_shown(name):
    """y[t] = scale sum_s (h0 + h)[t - s] z[s] + skip z[t], written out; float32."""
    model = model_of(MIXERS[name])
    seen = {}
    for place, layer in convolutions(model):
        layer.register_forward_hook(
            lambda _, given, out, place=place: seen.update({place: (given[0], out)})
        )
    found = kernels(model, tokens())
    assert [kernel.place for kernel in found] == list(seen)
    for kernel, (_, layer) in zip(found, convolutions(model), strict=True):
        z, y = (each.detach().numpy()[0] for each in seen[kernel.place])
        skip = layer.skip.detach().numpy()[0]
        scale = 1 / LENGTH if MIXERS[name].get("normalization") == "forward" else 1.0
        expected = scale * _convolved(kernel, layer, z) + skip * z
        np.testing.assert_allclose(y, expected, atol=2e-6 * np.abs(expected).max() + 1e-6)


def _convolved(kernel, layer: GlobalConvolution, z: np.ndarray) -> np.ndarray:
    size = z.shape[-1] // layer.heads
    period = layer.transform(LENGTH).points
    out = np.zeros(z.shape)
    for t in range(LENGTH):
        for s in range(LENGTH):
            tap = np.zeros((len(z), layer.heads))
            if kernel.h0 is not None and (t >= s or period == LENGTH or layer.two_sided):
                tap += kernel.h0[0, (t - s) % (LENGTH if layer.form.name == "circular" else period)]
            if kernel.h is not None and kernel.h_is_causal:
                tap += kernel.h[0, :, t // layer.chunk, t - s] if t >= s else 0.0
            elif kernel.h is not None:
                tap += kernel.h[0, :, (t - s) % period]
            out[:, t] += np.repeat(tap, size, axis=-1) * z[:, s]
    return out


@pytest.mark.parametrize("name", [*MIXERS, "long_conv", "dct"])
def test_spectra_are_those_of_the_taps(name):
    mixer = {"dct": {"name": "orchid", "transform": "dct", "gain": "matched"}}.get(name)
    model = model_of(mixer or MIXERS.get(name, name))
    for kernel in kernels(model, tokens()):
        for taps, spectrum in ((kernel.h0, kernel.h0_spectrum), (kernel.h, kernel.h_spectrum)):
            if taps is None:
                assert spectrum is None
                continue
            assert spectrum.shape[:-2] == taps.shape[:-2]
            assert np.isrealobj(spectrum) == (name == "dct")
            if name == "dct":  # orthonormal; h0 has the gain of a convolution over L points
                gain = np.sqrt(LENGTH) if taps is kernel.h0 else 1.0
                energy = gain**2 * np.square(taps).sum(-2)
                np.testing.assert_allclose(np.square(spectrum).sum(-2), energy, rtol=1e-4)
                continue
            points = 2 * (spectrum.shape[-2] - 1)
            scale = 1 / points if name == "dynamic" else 1.0
            expected = scale * np.fft.rfft(taps, points, axis=-2)
            np.testing.assert_allclose(spectrum, expected, atol=1e-5 * np.abs(expected).max())


def test_what_other_mixers_have():
    assert kernels(model_of("attention"), tokens()) == []
    (first, second) = kernels(model_of("long_conv"), tokens())
    assert (first.place, second.place) == ("layer 1", "layer 2")
    assert first.h is None
    assert first.h0.shape == (1, LENGTH, 8)
    shared = model_of("orchid", model__share=[[0, 1]])
    places = [kernel.place for kernel in kernels(shared, tokens())]
    assert places == ["layer 1", "layer 2"]
    first, second = kernels(shared, tokens())
    np.testing.assert_array_equal(first.h0, second.h0)
    assert not np.allclose(first.h, second.h), "one network, another input"


def test_without_a_stack_there_is_no_leading_dimension():
    from harness.foundation.seeding import generator
    from harness.layers import initialise

    spec = tiny()
    alone = Model(spec)
    initialise(alone, lambda name: generator("init", spec.seed_key, name))
    stacked = kernels(model_of("orchid"), tokens())
    for one, other in zip(kernels(alone, tokens()[0]), stacked, strict=True):
        assert one.h.shape == (3, LENGTH, 8)
        np.testing.assert_allclose(one.h, other.h[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num", [20, 21])
def test_effective_lengths_of_known_kernels(num):
    causal = np.zeros((num, 4))
    causal[:7, 0] = 1  # seven equal taps: all are needed for 95 %
    causal[3, 1] = -2
    causal[:, 2] = 0.5 ** np.arange(num)  # energy 1 - 4^-K of the whole: K = 3 holds 98 %, 2: 94 %
    assert effective_length(causal, causal=True).tolist() == [7, 4, 3, 1]
    two_sided = np.zeros((num, 4))
    two_sided[[-3, -2, -1, 0, 1, 2, 3], 0] = 1  # |t| <= 3: kernel_length 6
    two_sided[0, 1] = 1
    two_sided[num // 2, 2] = 1  # the farthest tap
    assert effective_length(two_sided, causal=False).tolist() == [6, 1, 2 * (num // 2), 1]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 1.0])
def test_effective_length_by_trying_every_window(share):
    rng = np.random.default_rng(0)
    taps = rng.standard_normal((2, 3, 11, 5)) * np.exp(-rng.uniform(0, 1, (11, 1)))
    t = np.arange(11)
    for causal in (True, False):
        best = np.full((*taps.shape[:2], 5), 99)
        for size in range(11, 0, -1):
            window = t < size if causal else 2 * np.minimum(t, 11 - t) <= size
            held = np.square(taps * window[:, None]).sum(-2) / np.square(taps).sum(-2)
            best[held >= share - 1e-12] = size
        assert (effective_length(taps, causal=causal, energy=share) == best).all()


SPECS = {
    "train__effective_kernel_length": True,
    "train__interventions": [
        "swapped",
        "mean",
        "removed",
        {"name": "truncated", "taps": 3},
        {"name": "low_passed", "fraction": 0.25},
    ],
    "train__lr": 1e-2,
    "train__steps": 20,
    "train__eval_every": 20,
}
ODD = {"model__width": 5, "task__length": 11, "train__batch_size": 3}
TRAINED = {
    "orchid": {},
    "odd": {**ODD, "model__mixer": {"name": "orchid", "conditioning": "magnitude"}},
    "causal": {**ODD, "model__mixer": MIXERS["causal"], "train__loss": "masked"},
    "bidirectional": {"model__mixer": MIXERS["bidirectional"]},
}


@pytest.mark.parametrize("name", TRAINED)
def test_measurements_of_trained_kernels_do_not_depend_on_companions(name):
    specs = [tiny(**SPECS, **TRAINED[name], seed=seed) for seed in range(5)]
    together = train(specs)
    for spec in specs[:2]:
        assert numbers(train([spec]), spec.run_id) == numbers(together, spec.run_id)


def test_what_a_run_measures():
    measured = dict(numbers(train([tiny(**SPECS)]), tiny(**SPECS).run_id)[-1][2])
    plain = tiny(train__lr=1e-2, train__steps=20, train__eval_every=20)
    assert set(measured) == {
        "loss",
        "accuracy",
        "accuracy, h swapped",
        "accuracy, h frozen to its mean",
        "accuracy, h removed",
        "accuracy, h truncated to 3 taps",
        "accuracy, h low-passed to 25 %",
        "effective length of h0, layer 1",
        "effective length of h, layer 1",
        "effective length of h0, layer 2",
        "effective length of h, layer 2",
    }
    untouched = dict(numbers(train([plain]), plain.run_id)[-1][2])
    assert untouched == {key: measured[key] for key in ("loss", "accuracy")}
    for mixer, expected in (
        ("attention", set()),
        ("long_conv", {"effective length of h0, layer 1", "effective length of h0, layer 2"}),
    ):
        spec = tiny(**SPECS, model__mixer=mixer)
        found = dict(numbers(train([spec]), spec.run_id)[-1][2])
        assert set(found) == {"loss", "accuracy", *expected}


def test_the_effective_length_of_windowed_kernels_is_their_length():
    """h of |t| <= 1 and h0 of the taps [0, 2) at the most."""
    mixer = {
        "name": "orchid",
        "static_kernel": {"name": "implicit", "kernel_length": 2},
        "conditioning": {"name": "cross_correlation", "kernel_length": 2},
    }
    spec = tiny(**SPECS, model__mixer=mixer)
    found = dict(numbers(train([spec]), spec.run_id)[-1][2])
    for layer in (1, 2):
        assert 1 <= found[f"effective length of h, layer {layer}"] <= 2
        assert 1 <= found[f"effective length of h0, layer {layer}"] <= 2
