"""Kernels of diagonal state space models against their sum of complex exponentials."""

import numpy as np
import pytest
import torch

from harness.mixers import diagonal_ssm


def draw(width, num, seed=0, *, fastest=30.0):
    rng = np.random.default_rng(seed)
    log_dt = rng.uniform(np.log(1e-3), np.log(1e-1), width)
    log_decay = rng.uniform(-2, 1, (width, num))
    frequency = rng.uniform(-fastest, fastest, (width, num))
    frequency[:, 0] = 0
    c = rng.standard_normal((2, width, num)) + 1j * rng.standard_normal((2, width, num))
    return log_dt, log_decay, frequency, c


def by_formula(log_dt, log_decay, frequency, c, length, how):
    """(L, c, D): the docstring's sum, in complex128."""
    dt, a = np.exp(log_dt)[:, None], -np.exp(log_decay) + 1j * frequency
    if how == "zero_order_hold":
        step, gain = np.exp(dt * a), (np.exp(dt * a) - 1) / a
    else:
        step, gain = (1 + dt * a / 2) / (1 - dt * a / 2), dt / (1 - dt * a / 2)
    return np.stack([2 * (c * gain * step**t).sum(-1).real for t in range(length)])


def ours(log_dt, log_decay, frequency, c, length, how, dtype):
    log_dt, log_decay, frequency, re, im = (
        torch.from_numpy(np.ascontiguousarray(v)).to(dtype)
        for v in (log_dt, log_decay, frequency, c.real, c.imag)
    )
    modes = diagonal_ssm.discretise(log_dt, log_decay, frequency, how)
    gain = tuple(part.unsqueeze(-3) for part in modes.gain)
    return diagonal_ssm.kernel(diagonal_ssm.multiply((re, im), gain), modes, length)


@pytest.mark.parametrize("how", ["zero_order_hold", "bilinear"])
@pytest.mark.parametrize("length", [1, 2, 5, 16, 17, 100])
@pytest.mark.parametrize("num", [1, 3, 4])
def test_kernel_is_its_formula(how, length, num):
    values = draw(5, num)
    expected = by_formula(*values, length, how)
    k = ours(*values, length, how, torch.float64).unflatten(-1, (2, 5))
    # exp(t l) and step^t differ by t roundings of an angle up to 100 turns.
    np.testing.assert_allclose(k, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_bilinear_modes_beyond_half_a_turn_and_with_negative_radius():
    """dt |a| > 2: the step's real part, and for real modes the step itself, is negative."""
    log_dt, log_decay = np.zeros(2), np.log([[0.1, 3.0], [5.0, 1.9]])
    frequency, c = np.array([[20.0, 0.0], [1e-3, -7.0]]), np.ones((2, 2, 2)) + 1j
    values = (log_dt, log_decay, frequency, c)
    expected = by_formula(*values, 30, "bilinear")
    k = ours(*values, 30, "bilinear", torch.float64).unflatten(-1, (2, 2))
    np.testing.assert_allclose(k, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("how", ["zero_order_hold", "bilinear"])
def test_float32_at_four_thousand_steps(how):
    """An angle t dt f rounds by its size: 6e-8 of up to f / decay turns before a mode has died."""
    values = draw(8, 16, fastest=50.0)
    expected = by_formula(*values, 4096, how)
    k = ours(*values, 4096, how, torch.float32).unflatten(-1, (2, 8))
    assert torch.isfinite(k).all()
    np.testing.assert_allclose(k, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
