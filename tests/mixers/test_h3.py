"""H3 against its two recurrences, and what it refuses."""

import numpy as np
import pytest
import torch

from harness import mixers


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_hand(layer, x, size):
    """One example (L, D), one time step after the other, in float64."""
    length, width = x.shape
    q, k, v = layer.qkv(x).split(width, dim=-1)
    shift, diagonal = layer.shift, layer.diagonal
    dt = diagonal.log_dt.exp().unsqueeze(-1)
    a = torch.complex(-diagonal.log_decay.exp(), diagonal.frequency)
    if diagonal.how == "bilinear":
        step, gain = (1 + dt * a / 2) / (1 - dt * a / 2), dt / (1 - dt * a / 2)
    else:
        step, gain = torch.exp(dt * a), (torch.exp(dt * a) - 1) / a
    b, c = (torch.view_as_complex(p.detach()) for p in (diagonal.input_map, diagonal.output_map))
    num = shift.input_map.shape[-1]
    memory = torch.zeros(width, num).double()  # of the shift: memory[j] <- memory[j - 1] + B_j k
    states = torch.zeros(width // size, size, size, num // 2, dtype=torch.complex128)
    out = []
    for t in range(length):
        memory = torch.cat([torch.zeros(width, 1).double(), memory[:, :-1]], dim=-1)
        memory = memory + shift.input_map * k[t].unsqueeze(-1)
        key = (shift.output_map * memory).sum(-1) + layer.shift_skip * k[t]
        kv = torch.einsum("hi,hj->hij", key.view(-1, size), v[t].view(-1, size))
        states = step[:, None, None] * states + (b * gain)[:, None, None] * kv.unsqueeze(-1)
        y = 2 * (c[:, None, None] * states).sum(-1).real
        y = y + layer.diagonal_skip[:, None, None] * kv
        out.append(torch.einsum("hi,hij->hj", q[t].view(-1, size), y).flatten())
    return layer.out(torch.stack(out))


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("discretization", ["bilinear", "zero_order_hold"])
@pytest.mark.parametrize("length", [1, 4, 13])
def test_h3_is_its_recurrences(size, discretization, length):
    mixer = mixers.get("h3", state=6, head_dim=size, discretization=discretization)
    layer, x = mixer.build(8, length).double(), noise(2, length, 8)
    with torch.no_grad():
        layer.shift.input_map.copy_(noise(8, 6, seed=1))
        layer.diagonal.input_map.copy_(noise(8 // size, 3, 2, seed=2))
        expected = torch.stack([by_hand(layer, row, size) for row in x])
        # Powers by exponentials against 13 products, and two FFTs: some 1e-14.
        torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-10, atol=1e-12)


def test_the_shift_starts_as_a_short_convolution():
    """B is the first unit vector, so that the taps are C."""
    layer = mixers.get("h3", state=4).build(3, 9)
    close = dict(rtol=0, atol=1e-6)  # float32, 8 points
    torch.testing.assert_close(layer.shift(9).mT, layer.shift.output_map, **close)
    torch.testing.assert_close(layer.shift(2).mT, layer.shift.output_map[:, :2], **close)


def test_head_dim_must_divide_the_width():
    with pytest.raises(ValueError, match=r"head_dim 3.*got 8"):
        mixers.get("h3", head_dim=3).build(8, 4)
