"""Retention against its sum over pairs of positions, with complex rotations as the paper has."""

import cmath

import numpy as np
import pytest
import torch

from harness import mixers
from harness.mixers.retention import retain, rotate

WIDTH = 8


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_pairs(layer, x, *, heads, rotation, norm, gate):
    size, length = WIDTH // heads, x.shape[1]
    q, k, v = (part(x).unflatten(-1, (heads, size)) for part in (layer.q, layer.k, layer.v))
    thetas = [10000 ** -(i / max(size // 2 - 1, 1)) for i in range(size // 2)]
    y = torch.zeros_like(v)
    for t in range(length):
        for s in range(t + 1):
            if rotation:
                # Re(sum_i q_i e^(i t theta) conj(k_i e^(i s theta))), channel pairs as complex
                turn = torch.tensor(
                    [cmath.exp(1j * (t - s) * theta) for theta in thetas], dtype=torch.complex128
                )
                q_t, k_s = (
                    torch.complex(part[..., 0::2], part[..., 1::2]) for part in (q[:, t], k[:, s])
                )
                score = (q_t * turn * k_s.conj()).sum(-1).real
            else:
                score = (q[:, t] * k[:, s]).sum(-1)
            for head in range(heads):
                decay = (1 - 2 ** (-5 - head)) ** (t - s)
                weight = decay * score[:, head, None] / size**0.5
                y[:, t, head] += weight * v[:, s, head]
    if norm:
        mean, variance = y.mean(-1, keepdim=True), y.var(-1, keepdim=True, correction=0)
        y = (y - mean) / torch.sqrt(variance + 1e-5)
    y = y.flatten(-2)
    return layer.out(torch.nn.functional.silu(layer.gate(x)) * y if gate else y)


@pytest.mark.parametrize("length", [1, 7, 35])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize(
    ("rotation", "norm", "gate"),
    [(True, True, True), (False, False, False), (True, False, False), (False, True, True)],
)
def test_it_is_the_sum_over_pairs(heads, rotation, norm, gate, length):
    options = {"heads": heads, "rotation": rotation, "norm": norm, "gate": gate}
    layer = mixers.get("retention", **options).build(WIDTH, length).double()
    x = noise(2, length, WIDTH)
    expected = by_pairs(layer, x, **options)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-9, atol=1e-11)


def test_rotation_keeps_lengths_and_sees_distances_alone():
    x = noise(40, 6)
    turned = rotate(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    q, k = rotate(x[:1].expand(40, 6)), rotate(x[1:2].expand(40, 6))
    scores = q @ k.T
    torch.testing.assert_close(scores[:-3, :-3], scores[3:, 3:], rtol=0, atol=1e-12)


def test_a_long_memory_in_float32():
    """Head 7 keeps 78 % over 1024 steps: digits of its decay as in float64."""
    q, k, v = (noise(8, 1024, 4, seed=i) for i in range(3))
    ours = retain(q.float(), k.float(), v.float())
    theirs = retain(q, k, v)
    error = (ours - theirs).abs().max() / theirs.abs().max()
    assert error < 32 * 2**-24


@pytest.mark.parametrize(
    ("options", "width", "message"),
    [
        ({"heads": 3}, 8, "3 heads.*got 8"),
        ({"heads": 4}, 4, "2 channels a head.*at least 8, got 4"),
        ({"heads": 2}, 6, "odd 3 a head"),
    ],
)
def test_refusals(options, width, message):
    with pytest.raises(ValueError, match=message):
        mixers.get("retention", **options).build(width, 4)
