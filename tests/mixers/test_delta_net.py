"""DeltaNet, plain and gated, against its recurrence, one step at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness import mixers

WIDTH = 8


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_steps(layer, x, *, heads, gated):
    q, k, v = (F.silu(p).unflatten(-1, (heads, -1)) for p in layer.qkv(x).chunk(3, -1))
    q, k = (p / torch.sqrt(p.square().sum(-1, keepdim=True) + 1e-6) for p in (q, k))
    beta = torch.sigmoid(layer.beta(x))
    size = q.shape[-1]
    now = torch.zeros(len(x), heads, size, size, dtype=x.dtype)
    y = torch.zeros_like(v)
    for t in range(x.shape[1]):
        if gated:
            step = F.softplus(layer.decay.step(x[:, t]) + layer.decay.step_bias)
            now = torch.exp(-torch.exp(layer.decay.log_rate) * step)[..., None, None] * now
        held = (k[:, t, :, :, None] * now).sum(-2)
        error = beta[:, t, :, None] * (v[:, t] - held)
        now = now + k[:, t, :, :, None] * error[:, :, None, :]
        y[:, t] = (q[:, t, :, :, None] * now).sum(-2) / size**0.5
    y = y / torch.sqrt(y.square().mean(-1, keepdim=True) + 1e-5) * layer.norm
    y = y.flatten(-2)
    return layer.out(F.silu(layer.gate(x)) * y if gated else y)


def built(length, **options):
    """In float64, with a norm whose scale is not one."""
    layer = mixers.get("delta_net", **options).build(WIDTH, length).double()
    with torch.no_grad():
        layer.norm.copy_(noise(*layer.norm.shape, seed=9))
    return layer


@pytest.mark.parametrize("length", [1, 7, 35, 70])
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("gated", [False, True])
def test_it_is_the_recurrence(gated, heads, length):
    layer = built(length, heads=heads, gated=gated)
    x = noise(2, length, WIDTH)
    expected = by_steps(layer, x, heads=heads, gated=gated)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("gated", [False, True])
def test_long_sequences_in_float32(gated):
    """Against float64, with keys alike, where the triangular systems are worst conditioned."""
    layer = built(1024, gated=gated)
    x = noise(1, 1, WIDTH) + 0.1 * noise(1, 1024, WIDTH, seed=1)
    exact, _ = layer(x, None)
    layer = layer.float()
    y, _ = layer(x.float(), None)
    grads = torch.autograd.grad(y.square().sum(), list(layer.parameters()))
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert (y - exact).abs().max() < 1e-4 * exact.abs().max()


def test_the_decay_starts_in_its_range():
    layer = mixers.get("delta_net", heads=64, gated=True).build(64, 8)
    step = F.softplus(layer.decay.step_bias)
    assert 1e-3 * 0.999 <= step.min() and step.max() <= 0.1 * 1.001
    rate = torch.exp(layer.decay.log_rate)
    assert rate.min() > 0 and rate.max() <= 16.001 and rate.max() > 8


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"delta_net with 3 heads.*got 8"):
        mixers.get("delta_net", heads=3).build(8, 4)
