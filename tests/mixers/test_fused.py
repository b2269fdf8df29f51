"""Orchid's fast path against the modules it stands for, and where it stands aside."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness import mixers
from harness.mixers.orchid import fused
from tests.mixers.stacking import members, run, stack
from tests.parity.check import check

PUBLISHED = Path(__file__).parents[1] / "parity/data/orchid"

CASES = {
    f"{network}-{norm}-{normalization}-{'residual' if residual else 'plain'}": mixers.get(
        "orchid",
        conditioning={"name": network, "norm": norm, "filter_size": taps},
        normalization=normalization,
        short_filter=short,
        residual_conv=residual,
    )
    for network, norm, normalization, residual, taps, short in [
        ("cross_correlation", "layernorm", "backward", False, 3, 3),
        ("cross_correlation", "none", "forward", True, 5, 1),
        ("power", "layernorm", "forward", True, 3, 4),
        ("power", "none", "ortho", False, 1, 2),
        ("magnitude", "layernorm", "backward", False, 5, 3),
    ]
}
CASES["dynamic"] = mixers.get("orchid", static_kernel="none")


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.fixture(autouse=True)
def at_every_size(monkeypatch):
    monkeypatch.setattr(fused, "WORTHWHILE", 0)


def by_modules(layer, x, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fused, "serves", lambda layer, x: False)
        return run(layer, x)


@pytest.mark.parametrize("length", [2, 3, 7, 12, 33])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_modules(name, length, monkeypatch):
    """Output and all gradients in float64; rounding alone tells them apart."""
    layer, x = CASES[name].build(8, length).double(), noise(5, length, 8)
    assert fused.serves(layer, x)
    expected = by_modules(layer, x, monkeypatch)
    layer.zero_grad()
    monkeypatch.setattr(fused, "BLOCK", 2 * 8 * length)  # two, two and one example
    for key, value in run(layer, x).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-10, msg=key)


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*fft_full*.npz")), ids=lambda p: p.stem)
def test_agrees_with_the_published_layer(file):
    result = check(file)
    assert result.status == "passed", result


@pytest.mark.parametrize("name", CASES)
def test_a_stack_agrees_with_the_modules(name, monkeypatch):
    layers = [layer.double() for layer in members(CASES[name], 8, 10, 3)]
    x = noise(3, 4, 10, 8)
    expected = by_modules(stack(layers), x, monkeypatch)
    for key, value in run(stack(layers), x).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-10, msg=key)


@pytest.mark.parametrize("name", CASES)
def test_bits_in_blocks_do_not_depend_on_the_company(name, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK", 2 * 20 * 12)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layers, x = members(CASES[name], 12, 20, 3), noise(3, 5, 20, 12).float()
    together = run(stack(layers), x)
    for index, layer in enumerate(layers):
        for key, value in run(stack([layer]), x[index : index + 1]).items():
            assert torch.equal(together[key][index], value[0]), key
    torch.set_num_threads(threads)


def test_gradients_that_nobody_needs():
    layer, x = mixers.get("orchid").build(8, 9).double(), noise(2, 9, 8)
    with torch.no_grad():
        y = layer(x, None)[0]
    layer.requires_grad_(False)
    x.requires_grad_()
    torch.testing.assert_close(layer(x, None)[0], y)
    layer(x, None)[0].sum().backward()
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"chain": "conv"},
        {"chain": "gate-conv-gate-conv-gate"},
        {"form": "causal"},
        {"form": "bidirectional"},
        {"transform": "dct"},
        {"heads": 2},
        {"gain": "matched"},
        {"conditioning": "static"},
        {"conditioning": "spectrum"},
        {"conditioning": {"name": "power", "layers": 2}},
        {"conditioning": {"name": "power", "norm": "batchnorm"}},
        {"conditioning": {"name": "power", "padding": "circular"}},
        {"conditioning": {"name": "power", "convolutions": "time"}},
        {"conditioning": {"name": "power", "kernel_length": 3}},
        {"conditioning": {"name": "power", "input": "shuffled"}},
        {"conditioning": {"name": "cross_correlation", "activation": "tanh"}},
    ],
    ids=str,
)
def test_other_options_go_by_the_modules(options):
    layer = mixers.get("orchid", **options).build(8, 12)
    assert not fused.serves(layer, noise(2, 12, 8))


def test_the_path_depends_on_a_member_s_size_alone(monkeypatch):
    monkeypatch.setattr(fused, "WORTHWHILE", 2 * 12 * 8)
    layer = mixers.get("orchid").build(8, 12)
    assert fused.serves(layer, noise(2, 12, 8)) and fused.serves(layer, noise(5, 2, 12, 8))
    assert not fused.serves(layer, noise(1, 12, 8))
    assert not fused.serves(layer, noise(9, 1, 12, 8))


def test_an_intervention_is_not_passed_by():
    layer, x = mixers.get("orchid").build(8, 12), noise(2, 12, 8).float()
    y = layer(x, None)[0]
    layer.convolutions[0].intervention = lambda h, transform: 0 * h
    assert not fused.serves(layer, x)
    assert (layer(x, None)[0] - y).abs().max() > 0


def test_what_is_kept_for_backward_grows_with_the_length_alone():
    def numbers_a_token(length):
        layer = mixers.get("orchid").build(8, length)
        grad_fn = layer(noise(1, length, 8).float(), None)[0].grad_fn
        kept = {}
        for _, saved, _, _ in grad_fn.blocks:
            for field in saved:
                for value in field if isinstance(field, tuple) else (field,):
                    if value is not None:
                        storage = value.untyped_storage()
                        kept[storage.data_ptr()] = storage.nbytes()
        return sum(kept.values()) / length

    assert numbers_a_token(2**14) <= 1.001 * numbers_a_token(2**9)
