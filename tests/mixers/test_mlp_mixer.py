"""The token-mixing MLP against its definition."""

import math

import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError
from tests.mixers.test_contract import noise


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("length", "ratio"), [(1, 1.0), (2, 4.0), (7, 1.0), (6, 1.5), (9, 2.4)])
def test_mlp_mixer_is_its_definition(length, ratio, causal):
    """One channel, one hidden unit and one position at a time."""
    layer = mixers.get("mlp_mixer", ratio=ratio, causal=causal).build(3, length).double()
    x = noise(2, length, 3, dtype=torch.float64)
    units = round(ratio * length)
    up, down = layer.up, layer.down
    assert up.weight.shape == (units, length)
    expected = torch.zeros_like(x)
    for channel in range(3):
        y = down.bias.repeat(2, 1)
        for unit in range(units):
            at = unit * length // units if causal else length - 1
            read = up.bias[unit] + x[:, : at + 1, channel] @ up.weight[unit, : at + 1]
            hidden = read * (1 + torch.erf(read / math.sqrt(2))) / 2
            since = at if causal else 0
            y[:, since:] += hidden[:, None] * down.weight[since:, unit]
        expected[..., channel] = y
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-12, atol=1e-12)


def test_causal_mlp_mixer_lets_every_position_see_itself():
    layer = mixers.get("mlp_mixer", ratio=1.3, causal=True).build(1, 7)
    through = layer.written.double() @ layer.read.double()
    assert (through.diagonal() > 0).all()
    assert (through.triu(1) == 0).all()


def test_mlp_mixer_refuses_another_length():
    layer = mixers.get("mlp_mixer").build(4, 16)
    with pytest.raises(ValueError, match=r"length 16, got 11"):
        layer(noise(1, 11, 4), None)


def test_mlp_mixer_refuses_positions_without_a_hidden_unit():
    with pytest.raises(HarnessError, match=r"ratio >= 1, got 0\.5"):
        mixers.get("mlp_mixer", ratio=0.5, causal=True)
