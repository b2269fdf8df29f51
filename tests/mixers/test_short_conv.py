"""The short convolution against its sum."""

import pytest
import torch

from harness import mixers
from tests.mixers.test_contract import noise


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("length", "taps"), [(1, 1), (5, 1), (5, 5), (9, 4)])
def test_short_conv_is_its_definition(length, taps, gated):
    layer = mixers.get("short_conv", taps=taps, gated=gated).build(4, length).double()
    x = noise(2, length, 4, dtype=torch.float64)
    y = torch.zeros_like(x)
    for t in range(length):
        y[:, t] = layer.conv.bias
        for back in range(min(taps, t + 1)):
            y[:, t] += layer.conv.weight[:, taps - 1 - back] * x[:, t - back]
    expected = layer.out(y * layer.gate(x) if gated else y)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-12, atol=1e-12)


def test_short_conv_sees_its_taps_and_nothing_else():
    layer = mixers.get("short_conv", taps=3, gated=True).build(4, 10).double()
    x = noise(1, 10, 4, dtype=torch.float64)
    other = x.clone()
    other[:, 4] += 1
    changed = (layer(other, None)[0] - layer(x, None)[0]).abs().amax((0, 2)) > 0
    assert changed.nonzero().flatten().tolist() == [4, 5, 6]


def test_short_conv_refuses_taps_beyond_the_length():
    with pytest.raises(ValueError, match="5 > 4"):
        mixers.get("short_conv", taps=5).build(8, 4)
