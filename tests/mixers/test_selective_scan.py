"""The selective scan against its recurrence, one step at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness import mixers
from harness.mixers.selective_scan import CHUNK, selective_scan
from tests.mixers.stacking import run
from tests.mixers.test_contract import noise


def by_steps(u, dt, a, b, c):
    """h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t; y_t = C_t h_t."""
    h, outputs = torch.zeros(len(u), *a.shape, dtype=u.dtype), []
    for t in range(u.shape[1]):
        step = dt[:, t, :, None]
        h = torch.exp(step * a) * h + step * b[:, t, None, :] * u[:, t, :, None]
        outputs.append((h * c[:, t, None, :]).sum(-1))
    return torch.stack(outputs, 1)


def reference(layer, mixer, x):
    """The whole block in torch's own functions."""
    length, inner = x.shape[1], layer.D.shape[0]
    u, z = F.linear(x, layer.in_linear.weight).split(inner, dim=-1)
    if mixer.short_filter:
        conv, taps = layer.short_conv, mixer.short_filter
        u = F.conv1d(u.mT, conv.weight[:, None], conv.bias, padding=taps - 1, groups=inner)
        u = u[..., :length].mT
    u = F.silu(u)
    sizes = [mixer.rank(x.shape[-1]), mixer.state, mixer.state]
    r, b, c = F.linear(u, layer.x_linear.weight).split(sizes, dim=-1)
    dt = F.softplus(F.linear(r, layer.dt_linear.weight, layer.dt_bias))
    y = by_steps(u, dt, -torch.exp(layer.A_log), b, c) + layer.D * u
    return F.linear(y * F.silu(z), layer.out_linear.weight)


@pytest.mark.parametrize("length", [1, 2, 9, CHUNK, 2 * CHUNK + 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"expand": 1, "state": 5, "dt_rank": 3, "short_filter": 0}, {"short_filter": 1}],
)
def test_block_is_its_recurrence(length, options):
    mixer = mixers.get("selective_scan", **options)
    layer = mixer.build(6, length).double()
    x = noise(2, length, 6, dtype=torch.float64).requires_grad_()
    y, expected = layer(x, None)[0], reference(layer, mixer, x)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-12)
    variables = [x, *layer.parameters()]
    for got, wanted in zip(
        torch.autograd.grad(y.square().sum(), variables),
        torch.autograd.grad(expected.square().sum(), variables, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("step", [1e-4, 1.0, 50.0])
def test_float32_stays_close_over_a_long_sequence(step):
    """From states that hardly fade in 1,100 steps to those that are gone after one.

    States grow to the sum of |dt B u|; each of log2 L passes rounds once.
    """
    u, b, c = (noise(1, 1100, 4, seed=seed, dtype=torch.float64) for seed in range(3))
    dt = step * noise(1, 1100, 4, seed=9, dtype=torch.float64).exp()
    a = -torch.arange(1.0, 5.0, dtype=torch.float64).repeat(4, 1)
    expected = by_steps(u, dt, a, b, c)
    got = selective_scan(*(x.float() for x in (u, dt, a, b, c)))
    scale = by_steps(u.abs(), dt, a, b.abs(), c.abs()).max()
    assert (got - expected).abs().max() < 1.2e-7 * 2 * np.log2(1100) * scale


def test_extreme_steps_give_numbers():
    layer = mixers.get("selective_scan").build(4, 200)
    for factor in (1e-3, 1e3):
        for value in run(layer, factor * noise(2, 200, 4)).values():
            assert torch.isfinite(value).all()


def test_initial_steps_are_log_uniform():
    layer = mixers.get("selective_scan").build(2048, 4)
    dt = np.log10(F.softplus(layer.dt_bias.detach().double()).numpy())
    assert -3 - 1e-6 < dt.min() < -2.99 and -1.01 < dt.max() < -1 + 1e-6
    # The mean of 4,096 uniform numbers in [-3, -1]: 5 standard errors.
    assert abs(dt.mean() + 2) < 5 * (2 / np.sqrt(12)) / np.sqrt(4096)


def test_what_does_not_decay():
    layer = mixers.get("selective_scan").build(4, 4)
    still = {name for name, value in layer.named_parameters() if not value.recipe.decay}
    assert still == {"A_log", "D", "dt_bias", "short_conv.bias"}
