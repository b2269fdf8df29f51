"""Gated linear attention against its recurrence, one step at a time."""

import numpy as np
import pytest
import torch

from harness import mixers

WIDTH = 8


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_steps(layer, x, *, heads, temperature):
    q, k, v = (part(x).unflatten(-1, (heads, -1)) for part in (layer.q, layer.k, layer.v))
    alpha = torch.sigmoid(layer.decay_out(layer.decay_in(x))) ** (1 / temperature)
    alpha = alpha.unflatten(-1, (heads, -1))
    now = torch.zeros(len(x), heads, q.shape[-1], v.shape[-1], dtype=x.dtype)
    y = torch.zeros_like(v)
    for t in range(x.shape[1]):
        now = alpha[:, t, :, :, None] * now + k[:, t, :, :, None] * v[:, t, :, None, :]
        y[:, t] = (q[:, t, :, :, None] * now).sum(-2) / q.shape[-1] ** 0.5
    mean, variance = y.mean(-1, keepdim=True), y.var(-1, keepdim=True, correction=0)
    y = ((y - mean) / torch.sqrt(variance + 1e-5)).flatten(-2)
    return layer.out(torch.nn.functional.silu(layer.gate(x)) * y)


@pytest.mark.parametrize("length", [1, 7, 35, 70])
@pytest.mark.parametrize(
    ("heads", "key_ratio", "temperature"), [(1, 0.5, 16.0), (2, 1.0, 1.0), (4, 0.5, 0.1)]
)
def test_it_is_the_recurrence(heads, key_ratio, temperature, length):
    options = {"heads": heads, "temperature": temperature}
    mixer = mixers.get("gated_linear_attention", key_ratio=key_ratio, gate_rank=3, **options)
    layer = mixer.build(WIDTH, length).double()
    x = noise(2, length, WIDTH)
    expected = by_steps(layer, x, **options)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("bias", [-800.0, 0.0, 800.0])
def test_long_sequences_in_float32_at_any_gate(bias):
    """Gates that shut (decay exp(-50) a step), are half open and stay open."""
    layer = mixers.get("gated_linear_attention").build(WIDTH, 1024)
    with torch.no_grad():
        layer.decay_out.bias.fill_(bias)
    x = noise(1, 1024, WIDTH)
    y, _ = layer(x.float(), None)
    grads = torch.autograd.grad(y.square().sum(), list(layer.parameters()))
    assert all(torch.isfinite(grad).all() for grad in grads)
    exact, _ = layer.double()(x, None)
    # the norm divides by as little as sqrt(eps): outputs of the size of one, few digits lost
    assert (y - exact).abs().max() < 1e-4 * exact.abs().max()


@pytest.mark.parametrize(
    ("options", "width", "message"),
    [
        ({"heads": 3}, 8, "3 heads.*got 8"),
        ({"heads": 4}, 4, "2 channels a head.*at least 8, got 4"),
        ({"heads": 2}, 6, r"needs a key width that 2 divides, got 0.5 x 6 = 3"),
        ({"key_ratio": 0.3}, 8, r"0.3 x 8 = 2.4"),
    ],
)
def test_refusals(options, width, message):
    with pytest.raises(ValueError, match=message):
        mixers.get("gated_linear_attention", **options).build(width, 4)
