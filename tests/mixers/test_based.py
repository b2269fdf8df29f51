"""Based against its similarities, one pair of positions at a time."""

import math

import numpy as np
import pytest
import torch

from harness import mixers
from harness.mixers.based import causal_taylor, features
from harness.mixers.linear_attention import attend

WIDTH = 8


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def taylor(q, k, t, s, length):
    a = (q * k).sum(-1, keepdim=True) / q.shape[-1] ** 0.5
    return 1 + a + a**2 / 2


def cosformer(q, k, t, s, length):
    product = (torch.relu(q) * torch.relu(k)).sum(-1, keepdim=True)
    return product * math.cos(math.pi / 2 * (t - s) / length)


def pos_elu(q, k, t, s, length):
    q, k = (torch.nn.functional.elu(x) + 1 for x in (q, k))
    return (q * k).sum(-1, keepdim=True)


SIMILARITY = {"taylor": taylor, "cosformer": cosformer, "pos_elu": pos_elu}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 7, 35])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("feature_map", SIMILARITY)
def test_it_is_the_sum_over_pairs(feature_map, heads, length, causal):
    options = {"feature_map": feature_map, "heads": heads, "causal": causal, "feature_dim": 3}
    layer = mixers.get("based", **options).build(WIDTH, length).double()
    x = noise(2, length, WIDTH)
    q, k, v = (part(x).unflatten(-1, (heads, -1)) for part in (layer.q, layer.k, layer.v))
    y = torch.zeros_like(v)
    for t in range(length):
        total, weights = torch.zeros_like(v[:, t]), torch.zeros_like(v[:, t, :, :1])
        for s in range(t + 1 if causal else length):
            weight = SIMILARITY[feature_map](q[:, t], k[:, s], t, s, length)
            total, weights = total + weight * v[:, s], weights + weight
        y[:, t] = total / (weights + 1e-12)
    expected = layer.out(y.flatten(-2))
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("length", [127, 128, 129, 300])
def test_similarities_within_a_chunk_and_features_beyond_are_one_function(length):
    q, k, v = (noise(2, length, size, seed=i) for i, size in enumerate((3, 3, 5)))
    ours = causal_taylor(q, k, v, eps=1e-12)
    q, k = features(q, "taylor"), features(k, "taylor")
    theirs = attend(q, k, v, causal=True, normalize=True, eps=1e-12)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_state_size_counts_the_features():
    assert mixers.get("based", feature_dim=16).state_size(64, 10) == (1 + 16 + 256) * 65
    assert mixers.get("based", feature_dim=4, feature_map="cosformer", heads=2).state_size(
        8, 10
    ) == 8 * (8 + 2)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"based with 3 heads.*got 8"):
        mixers.get("based", heads=3).build(8, 4)
