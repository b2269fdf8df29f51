"""FNet against the sum that defines it."""

import math

import pytest
import torch

from harness import mixers
from tests.mixers.test_contract import noise


def reference(x):
    """Re sum_ts x[t, s] exp(-2 pi i (k t / L + j s / D)), one frequency (k, j) at a time."""
    length, width = x.shape[-2:]
    t = torch.arange(length, dtype=torch.float64)[:, None] / length
    s = torch.arange(width, dtype=torch.float64) / width
    y = torch.empty_like(x)
    for k in range(length):
        for j in range(width):
            y[:, k, j] = (x * torch.cos(2 * math.pi * (k * t + j * s))).sum((-2, -1))
    return y


# The sums have L D terms of size one; transforms err by eps times log2(L D) times their scale.
@pytest.mark.parametrize(("dtype", "eps"), [(torch.float64, 2.3e-16), (torch.float32, 1.2e-7)])
@pytest.mark.parametrize(("length", "width"), [(1, 1), (2, 3), (7, 4), (12, 1), (13, 6), (1, 8)])
def test_fnet_is_its_definition(length, width, dtype, eps):
    x = noise(2, length, width, dtype=torch.float64)
    expected = reference(x)
    points = length * width
    # The reference's own angles, up to 2 pi L, carry eps times their size.
    bound = 4 * eps * math.sqrt(points) * math.log2(2 * points) + 1e-14 * points
    for normalization, scale in (("backward", 1.0), ("ortho", points**-0.5)):
        layer = mixers.get("fnet", normalization=normalization).build(width, length)
        y = layer(x.to(dtype), None)[0]
        assert y.dtype == dtype
        assert (y - scale * expected).abs().max() < scale * bound


def test_fnet_twice_turns_both_axes_round():
    """F F x is x at (-t, -s); Re keeps the even part: F(Re F x) is the mean of x and that."""
    x = noise(1, 9, 6, dtype=torch.float64)
    layer = mixers.get("fnet", normalization="ortho").build(6, 9)
    twice = layer(layer(x, None)[0], None)[0]
    turned = x.flip(-2, -1).roll((1, 1), (-2, -1))
    torch.testing.assert_close(twice, (x + turned) / 2, rtol=1e-12, atol=1e-12)
