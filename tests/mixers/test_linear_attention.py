"""Linear attention against the sums of its definition, one pair of positions at a time."""

import numpy as np
import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError
from harness.mixers.linear_attention import features

WIDTH = 8
FEATURES = {"elu": lambda x: torch.nn.functional.elu(x) + 1, "relu": torch.relu}


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_pairs(layer, x, *, heads, feature_map, normalize, causal):
    size = WIDTH // heads
    phi = FEATURES.get(feature_map, lambda x: x)
    q, k, v = (part.unflatten(-1, (heads, size)) for part in layer.qkv(x).chunk(3, -1))
    q, k = phi(q) / size**0.5, phi(k)
    y = torch.zeros_like(v)
    for t in range(x.shape[1]):
        total, weights = torch.zeros_like(v[:, t]), torch.zeros_like(v[:, t, :, :1])
        for s in range(t + 1 if causal else x.shape[1]):
            weight = (q[:, t] * k[:, s]).sum(-1, keepdim=True)
            total, weights = total + weight * v[:, s], weights + weight
        y[:, t] = total / (weights + 1e-10) if normalize else total
    return layer.out(y.flatten(-2))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 7, 35])
@pytest.mark.parametrize(
    ("heads", "feature_map", "normalize"),
    [(1, "elu", True), (2, "relu", True), (4, "elu", False), (2, "identity", False)],
)
def test_it_is_the_sum_over_pairs(heads, feature_map, normalize, causal, length):
    options = {"feature_map": feature_map, "normalize": normalize, "causal": causal}
    layer = mixers.get("linear_attention", heads=heads, **options).build(WIDTH, length).double()
    x = noise(2, length, WIDTH)
    expected = by_pairs(layer, x, heads=heads, **options)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-11, atol=1e-12)


def test_equal_values_come_back_when_normalised():
    """Weights sum to one, in float32 and at length 1024."""
    layer = mixers.get("linear_attention").build(WIDTH, 1024)
    with torch.no_grad():
        layer.qkv.weight[2 * WIDTH :] = 0
    y, _ = layer(noise(1, 1024, WIDTH).float(), None)
    expected = layer.out(layer.qkv.bias[2 * WIDTH :]).expand_as(y)
    torch.testing.assert_close(y, expected, rtol=0, atol=32 * 2**-24)


def test_gradient_of_elu_plus_one_at_zero():
    x = torch.tensor([-40.0, -1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    pairs = []
    for phi in (features(x, "elu"), FEATURES["elu"](x)):
        pairs.append((phi, *torch.autograd.grad(phi.sum(), x)))
    for ours, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-15)


def test_refusals():
    with pytest.raises(ValueError, match=r"linear_attention with 3 heads.*got 8"):
        mixers.get("linear_attention", heads=3).build(8, 4)
    with pytest.raises(HarnessError, match="identity has weights of any sign"):
        mixers.get("linear_attention", feature_map="identity")
