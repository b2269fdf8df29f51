"""Zero-padded convolutions against their sums, tap by tap.

Tolerance: an FFT of n points in float64 errs by some eps log2(n) of the largest value, 2e-15 here.
"""

import numpy as np
import pytest
import torch

from harness.mixers.padded_convolution import causal, fit, flops_per_token, two_sided


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def convolution_sum(x, past, future=None, skip=None):
    """The sums of the module's docstring. x (B, L, D), taps (T, D)."""
    length = x.shape[-2]
    y = torch.zeros_like(x) if skip is None else skip * x
    for t in range(length):
        for tap in range(len(past)):
            if t - tap >= 0:
                y[:, t] += past[tap] * x[:, t - tap]
            if future is not None and t + 1 + tap < length:
                y[:, t] += future[tap] * x[:, t + 1 + tap]
    return y


@pytest.mark.parametrize("length", [1, 2, 3, 7, 20, 64, 67])
@pytest.mark.parametrize("taps", [1, 5, 20, 67])
def test_convolutions_are_their_sums(length, taps):
    x, past, future, skip = (noise(*s) for s in [(2, length, 3), (taps, 3), (taps, 3), (3,)])
    close = dict(rtol=0, atol=1e-12)
    torch.testing.assert_close(causal(x, past), convolution_sum(x, past), **close)
    torch.testing.assert_close(causal(x, past, skip), convolution_sum(x, past, skip=skip), **close)
    torch.testing.assert_close(
        two_sided(x, past, future, skip), convolution_sum(x, past, future, skip), **close
    )


def test_members_are_convolved_each_with_their_own_taps():
    x, taps, skip = noise(3, 2, 9, 4), noise(3, 9, 4, seed=1), noise(3, 4, seed=2)
    together = causal(x, taps, skip)
    for index in range(3):
        expected = causal(x[index], taps[index], skip[index])
        torch.testing.assert_close(together[index], expected, rtol=0, atol=1e-12)


def test_fit_cuts_and_fills():
    taps = noise(5, 2)
    assert torch.equal(fit(taps, 3), taps[:3])
    assert torch.equal(fit(taps, 7), torch.cat([taps, torch.zeros(2, 2).double()]))


def test_a_longer_sequence_costs_a_logarithm_more():
    assert flops_per_token(2048) - flops_per_token(1024) == pytest.approx(2 * 2.5 * 2, rel=0.01)
