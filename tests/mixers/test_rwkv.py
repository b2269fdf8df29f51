"""RWKV's time mixing against its sums, one position at a time."""

import pytest
import torch
import torch.nn.functional as F

from harness import mixers
from harness.mixers.rwkv import wkv
from tests.mixers.stacking import run
from tests.mixers.test_contract import noise


def by_sums(k, v, w, u):
    """wkv_t as the paper writes it; k and v (B, L, D), w and u (D)."""
    outputs = []
    for t in range(k.shape[1]):
        ages = torch.arange(t - 1, -1, -1, dtype=k.dtype)[:, None]
        past = torch.exp(k[:, :t] - ages * w)
        present = torch.exp(u + k[:, t])
        top = (past * v[:, :t]).sum(1) + present * v[:, t]
        outputs.append(top / (past.sum(1) + present))
    return torch.stack(outputs, 1)


def reference(layer, x):
    before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
    r, k, v = (
        F.linear(mu * x + (1 - mu) * before, linear.weight)
        for mu, linear in (
            (layer.mu_r, layer.r_linear),
            (layer.mu_k, layer.k_linear),
            (layer.mu_v, layer.v_linear),
        )
    )
    y = torch.sigmoid(r) * by_sums(k, v, torch.exp(layer.decay), layer.u)
    return F.linear(y, layer.out_linear.weight)


@pytest.mark.parametrize("length", [1, 2, 3, 8, 13, 64])
def test_rwkv_is_its_sums(length):
    layer = mixers.get("rwkv").build(6, length).double()
    x = noise(2, length, 6, dtype=torch.float64).requires_grad_()
    y, expected = layer(x, None)[0], reference(layer, x)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-12)
    variables = [x, *layer.parameters()]
    for got, wanted in zip(
        # A single position has no past, so that nothing fades.
        torch.autograd.grad(y.square().sum(), variables, materialize_grads=True),
        torch.autograd.grad(expected.square().sum(), variables, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("spread", [0.1, 5.0])
@pytest.mark.parametrize("decay", [1e-4, 0.1, 20.0])
def test_float32_stays_close_over_a_long_sequence(decay, spread):
    """A mean of values: exponents err by eps times their size, each of log2 L passes by eps."""
    k, v = (noise(1, 1100, 4, seed=seed, dtype=torch.float64) for seed in range(2))
    k, w, u = spread * k, torch.full((4,), decay).double(), torch.full((4,), 0.3).double()
    got = wkv(*(x.float() for x in (k, v, w, u)))
    largest = k.abs().max() + u.max() + 11 * w.max()
    bound = 1.2e-7 * 11 * (1 + largest) * v.abs().max()
    assert (got - by_sums(k, v, w, u)).abs().max() < bound


def test_exponents_that_would_overflow():
    """A constant added to all k changes nothing; e^300 is no number in float32."""
    k, v = (noise(2, 50, 4, seed=seed) for seed in range(2))
    w, u = torch.full((4,), 0.5), torch.zeros(4)
    for shift in (300.0, -300.0):
        # k + 300 is rounded to 2^-15.
        torch.testing.assert_close(wkv(k + shift, v, w, u), wkv(k, v, w, u), rtol=0, atol=4e-4)
    layer = mixers.get("rwkv").build(4, 200)
    for value in run(layer, 1e3 * noise(2, 200, 4)).values():
        assert torch.isfinite(value).all()


def test_recipes():
    layer = mixers.get("rwkv").build(8, 4)
    torch.testing.assert_close(layer.decay.detach()[[0, -1]], torch.tensor([-5.0, 3.0]))
    still = {name for name, value in layer.named_parameters() if not value.recipe.decay}
    assert still == {"mu_r", "mu_k", "mu_v", "decay", "u"}
    assert (layer.decay.recipe.lr_scale, layer.u.recipe.lr_scale) == (2, 3)
