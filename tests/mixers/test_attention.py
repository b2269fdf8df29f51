"""Attention against its definition, one position at a time."""

import math

import pytest
import torch

from harness import mixers
from harness.mixers.attention import SMALLEST_BLOCK
from tests.mixers.test_contract import noise


def turned(rows, heads):
    """Rotary positions as rotations of the plane (channel j, channel j + C/2), one at a time."""
    rows = rows.clone()
    size = rows.shape[-1] // heads
    for t in range(rows.shape[-2]):
        for head in range(heads):
            for j in range(size // 2):
                angle = t / 10000 ** (2 * j / size)
                a, b = head * size + j, head * size + j + size // 2
                first, second = rows[..., t, a].clone(), rows[..., t, b].clone()
                rows[..., t, a] = first * math.cos(angle) - second * math.sin(angle)
                rows[..., t, b] = second * math.cos(angle) + first * math.sin(angle)
    return rows


def reference(layer, mixer, x):
    """softmax over the positions that t may see, one query and one head at a time."""
    length, width = x.shape[-2:]
    q, k, v = layer.qkv(x).split(width, dim=-1)
    if mixer.positions == "rotary":
        q, k = turned(q, mixer.heads), turned(k, mixer.heads)
    window = mixer.window or length
    size = width // mixer.heads
    y = torch.zeros_like(x)
    for t in range(length):
        last = t + 1 if mixer.causal else min(length, t + window)
        seen = slice(max(0, t - window + 1), last)
        for head in range(mixer.heads):
            channels = slice(head * size, (head + 1) * size)
            scores = k[:, seen, channels] @ q[:, t, channels, None] / math.sqrt(size)
            y[:, t, channels] = (scores.softmax(1) * v[:, seen, channels]).sum(1)
    return layer.out(y)


# Lengths with one block of queries, several, and a last one that is not full.
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("positions", ["none", "rotary"])
@pytest.mark.parametrize(
    ("length", "window"),
    [(1, 1), (7, None), (9, 1), (9, 4), (9, 9), (2 * SMALLEST_BLOCK + 5, 6), (150, 70)],
)
def test_attention_is_its_definition(causal, positions, length, window):
    mixer = mixers.get("attention", heads=2, causal=causal, positions=positions, window=window)
    layer = mixer.build(8, length).double()
    x = noise(2, length, 8, dtype=torch.float64)
    torch.testing.assert_close(
        layer(x, None)[0], reference(layer, mixer, x), rtol=1e-10, atol=1e-12
    )


def test_rotary_positions_are_relative():
    """Equal inputs at every position, but for one: what it adds depends on the distance alone."""
    layer = mixers.get("attention", positions="rotary").build(8, 12).double()
    x = noise(1, 1, 8, dtype=torch.float64).repeat(1, 12, 1)
    q, k, _ = layer.qkv(x).split(8, dim=-1)
    scores = (turned(q, 1) @ turned(k, 1).mT)[0]
    for distance in range(12):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (scores[0, 0] - scores[5, 0]).abs() > 1e-3


@pytest.mark.parametrize("causal", [True, False])
def test_a_window_sees_no_further(causal):
    layer = mixers.get("attention", window=4, causal=causal).build(8, 100).double()
    x = noise(1, 100, 8, dtype=torch.float64)
    other = x.clone()
    other[:, 50] += 1
    changed = (layer(other, None)[0] - layer(x, None)[0]).abs().amax((0, 2)) > 1e-12
    assert changed.nonzero().flatten().tolist() == list(range(50 if causal else 47, 54))


def test_costs_follow_the_window():
    full, narrow = mixers.get("attention"), mixers.get("attention", window=16)
    assert narrow.state_size(8, 64) == 2 * 16 * 8
    assert narrow.state_size(8, 10) == full.state_size(8, 10) == 2 * 10 * 8
    products = full.flops_per_token(8, 64) - 8 * 8**2
    # Of 64 positions the first 16 see half a window on average, the others a whole one.
    seen = (16 * 8 + 48 * 16) / 64
    assert narrow.flops_per_token(8, 64) - 8 * 8**2 == pytest.approx(products * seen / 32)
    assert mixers.get("attention", window=64).flops_per_token(8, 64) == full.flops_per_token(8, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, r"3 heads.*got 8"),
        ({"heads": 8, "positions": "rotary"}, r"even head size.*8 / 8 = 1"),
        ({"window": 5}, r"window 5 > length 4"),
    ],
)
def test_attention_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        mixers.get("attention", **options).build(8, 4)
