"""CKConv against its kernel function, evaluated tap by tap."""

import numpy as np
import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def kernel(siren, position, omega_0):
    """h at one position, (D)."""
    h = torch.sin(omega_0 * (siren.slope * position + siren.phase))
    h = torch.sin(omega_0 * (siren.weight @ h + siren.bias))
    return siren.out_weight @ h + siren.out_bias


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("built", "length"), [(1, 1), (8, 8), (8, 5), (8, 11)])
def test_ckconv_is_the_sum_over_its_kernel_function(causal, built, length):
    mixer = mixers.get("ckconv", causal=causal, omega_0=7.0, hidden=6)
    layer, x = mixer.build(4, built).double(), noise(length, 4)
    spacing = 1 / max(1, built - 1)
    with torch.no_grad():
        y = torch.zeros_like(x)
        for t in range(length):
            for s in range(t + 1 if causal else length):
                position = 2 * (t - s) * spacing - 1 if causal else (t - s) * spacing
                y[t] += kernel(layer.kernel, position, 7.0) * x[s]
        expected = layer.out_linear(y)
        # Sines of angles up to 100 and one FFT of 22 points: some 1e-14.
        torch.testing.assert_close(layer(x[None], None)[0][0], expected, rtol=0, atol=1e-11)


def test_omega_0_sets_how_fast_the_kernel_oscillates():
    """Median frequency of the kernel's spectrum, in cycles over the built length."""

    def median(omega_0):
        layer = mixers.get("ckconv", omega_0=omega_0).build(64, 256)
        with torch.no_grad():
            h = layer.kernel(torch.linspace(-1, 1, 256))
        power = torch.fft.rfft(h - h.mean(0), dim=0).abs().square().sum(1)
        return int((power.cumsum(0) < power.sum() / 2).sum())

    assert median(5.0) < median(30.0) < median(200.0)


def test_omega_0_must_be_positive():
    with pytest.raises(HarnessError, match="greater than 0"):
        mixers.get("ckconv", omega_0=0.0)
