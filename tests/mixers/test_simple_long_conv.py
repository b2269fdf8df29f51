"""The simple long convolution against its sums, tap by tap, and what it refuses."""

import math

import numpy as np
import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def shrunk(taps, threshold, smoothing):
    """Smoothed and shrunk taps, number by number."""
    out = np.zeros_like(taps)
    for t, c in np.ndindex(taps.shape):
        value = taps[t, c]
        if smoothing:
            near = range(t - smoothing // 2, t + smoothing // 2 + 1)
            value = sum(taps[s, c] for s in near if 0 <= s < len(taps)) / smoothing
        out[t, c] = math.copysign(max(abs(value) - threshold, 0), value)
    return torch.from_numpy(out)


@pytest.mark.parametrize("length", [1, 6, 9])
@pytest.mark.parametrize("smoothing", [None, 3, 7])
@pytest.mark.parametrize(
    ("channels", "bidirectional", "output"),
    [(1, False, "none"), (2, False, "linear"), (1, True, "glu"), (3, True, "glu")],
)
def test_layer_is_its_sums(length, smoothing, channels, bidirectional, output):
    width, built, threshold = 4, 9, 0.5
    mixer = mixers.get(
        "simple_long_conv",
        threshold=threshold,
        smoothing=smoothing,
        channels=channels,
        bidirectional=bidirectional,
        output=output,
        activation="identity" if channels == 1 else "gelu",
    )
    layer, x = mixer.build(width, built).double(), noise(length, width)
    with torch.no_grad():
        layer.kernel.taps.copy_(noise(*layer.kernel.taps.shape, seed=1))
        h = shrunk(layer.kernel.taps.numpy(), threshold, smoothing)
        wide = x.repeat(1, channels)
        y = layer.skip * wide
        for t in range(length):
            for s in range(length):
                if s <= t:
                    y[t] += h[t - s, : channels * width] * wide[s]
                elif bidirectional:
                    y[t] += h[s - t - 1, channels * width :] * wide[s]
        y = torch.nn.functional.gelu(y) if channels > 1 else y
        y = y if output == "none" else layer.out(y)
        y = torch.nn.functional.glu(y) if output == "glu" else y
        # One FFT of 18 points: 1e-15 of the largest value.
        torch.testing.assert_close(layer(x[None], None)[0][0], y, rtol=1e-10, atol=1e-12)


def test_double_exponential_decays_faster_in_later_channels():
    mixer = mixers.get("simple_long_conv", initialization="double_exponential")
    taps = mixer.build(64, 1024).kernel.taps.detach().abs()
    late = taps[512:].mean(0) / taps[:64].mean(0)
    # exp(-r (0.75 - 0.03)) with r = 1 in the first channel, 32 in the last.
    assert late[:4].mean().item() == pytest.approx(math.exp(-0.72), rel=0.2)
    assert late[-4:].max() < 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 4}, "odd number of taps, got 4"),
        ({"channels": 2, "output": "none"}, "2 channels need a map"),
        ({"threshold": -0.1}, "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(HarnessError, match=message):
        mixers.get("simple_long_conv", **options)


@pytest.mark.parametrize(
    ("options", "least", "most"),
    [
        ({"smoothing": 5}, 0.0, 0.01),
        ({"smoothing": 5, "threshold": 0.001}, 0.1, 1.0),
        ({"smoothing": 7, "initialization": "double_exponential"}, 0.1, 1.0),
    ],
)
def test_share_of_the_taps_that_smoothing_leaves_at_the_start(options, least, most):
    layer = mixers.get("simple_long_conv", **options).build(32, 128)
    share = (layer.kernel.shrunk() != 0).double().mean().item()
    assert least <= share <= most
