"""BaseConv against its formula, tap by tap."""

import numpy as np
import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def convolution(layer, x):
    """conv(u) of an example (L, D) by its taps: short, or long with an identity."""
    conv = layer.conv
    if hasattr(conv, "past"):
        taps, y = conv.weight.flip(-1).mT, conv.bias.expand_as(x).clone()
    elif callable(conv.taps):
        t, built = np.arange(len(x)), len(conv.positions)
        bands = (conv.positions.shape[-1] - 1) // 2
        angle = 2 * np.pi / built * np.outer(t, np.linspace(1e-4, bands - 1, bands))
        p = np.c_[t / (built - 1), np.cos(angle), -np.sin(angle)]
        hidden = torch.from_numpy(p) @ conv.hidden.weight.T + conv.hidden.bias
        taps, y = hidden.clamp(min=0) @ conv.out.weight.T + conv.out.bias, x.clone()
    else:
        taps, y = conv.taps, x.clone()
    for t in range(len(x)):
        for tap in range(min(t + 1, len(taps))):
            y[t] += taps[tap] * x[t - tap]
    return y


@pytest.mark.parametrize("activation", ["none", "silu"])
@pytest.mark.parametrize("length", [1, 7, 9])
@pytest.mark.parametrize(
    "kernel",
    [
        "short",
        {"name": "short", "taps": 4},
        "implicit",
        {"name": "implicit", "bands": 3},
        "explicit",
    ],
)
def test_base_conv_is_its_formula(kernel, activation, length):
    layer = mixers.get("base_conv", kernel=kernel, activation=activation).build(4, 9).double()
    x = noise(length, 4)
    with torch.no_grad():
        y, gate = convolution(layer, x), layer.projection(x)
        if activation == "silu":
            y, gate = y * torch.sigmoid(y), gate * torch.sigmoid(gate)
        # The table of positions is kept in float32, the FFT errs by 1e-15.
        tolerance = 1e-6 if "implicit" in str(kernel) else 1e-12
        expected = y * gate + x
        torch.testing.assert_close(layer(x[None], None)[0][0], expected, rtol=0, atol=tolerance)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(HarnessError, match="unknown kernel 'shorter'"):
        mixers.get("base_conv", kernel="shorter")
