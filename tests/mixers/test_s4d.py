"""S4D against its recurrence, its published initial values, and what it refuses."""

import numpy as np
import pytest
import torch

from harness import mixers
from harness.mixers.s4d import initial_frequencies


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def recurrence(layer, x, width, which):
    """y[t] of kernel `which`, x (L, D), by states x_t = A x_{t-1} + g u_t, without D u."""
    kernel = layer.kernel
    sets = kernel.frequency.shape[0]
    rows = [channel % sets for channel in range(width)]
    a = torch.complex(-kernel.log_decay.exp(), kernel.frequency)[rows]
    dt = kernel.log_dt.exp().unsqueeze(-1)
    if kernel.how == "bilinear":
        step, gain = (1 + dt * a / 2) / (1 - dt * a / 2), dt / (1 - dt * a / 2)
    else:
        step, gain = torch.exp(dt * a), (torch.exp(dt * a) - 1) / a
    c, state, out = torch.view_as_complex(kernel.coefficient[which]), 0 * a, []
    for row in x:
        state = step * state + gain * row.unsqueeze(-1)
        out.append(2 * (c * state).sum(-1).real)
    return torch.stack(out)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"mode_sets": None, "initialization": "linear"},
        {"mode_sets": 2, "discretization": "bilinear", "activation": "identity"},
        {"output": "glu"},
    ],
)
def test_s4d_is_its_recurrence(options, channels, bidirectional):
    width, length = 4, 11
    mixer = mixers.get("s4d", state=6, channels=channels, bidirectional=bidirectional, **options)
    layer, x = mixer.build(width, length).double(), noise(length, width)
    with torch.no_grad():
        parts = [recurrence(layer, x, width, which) for which in range(channels)]
        if bidirectional:  # tap j of the second kernels reads u[t + 1 + j]
            late = torch.cat([x[1:], torch.zeros(1, width).double()]).flip(0)
            for which in range(channels):
                parts[which] += recurrence(layer, late, width, channels + which).flip(0)
        y = torch.cat(parts, dim=-1) + layer.skip * x.repeat(1, channels)
        if mixer.activation == "gelu":
            y = torch.nn.functional.gelu(y)
        y = layer.out(y)
        if mixer.output == "glu":
            y = torch.nn.functional.glu(y)
        # Powers by exponentials against products: 11 roundings of float64, and the FFT's.
        torch.testing.assert_close(layer(x[None], None)[0][0], y, rtol=1e-10, atol=1e-11)


def test_initial_values_are_the_published_ones():
    np.testing.assert_allclose(initial_frequencies(6, "linear"), [0, np.pi, 2 * np.pi])
    expected = [6 / np.pi * 5, 6 / np.pi * 1, 6 / np.pi * (6 / 5 - 1)]
    np.testing.assert_allclose(initial_frequencies(6, "inverse"), expected)
    layer = mixers.get("s4d", initialization="linear", mode_sets=None).build(256, 8)
    kernel = layer.kernel
    np.testing.assert_allclose(-kernel.log_decay.detach().exp(), -0.5001, rtol=1e-6)
    assert 1e-3 <= kernel.log_dt.exp().min() < 2e-3 and 0.05 < kernel.log_dt.exp().max() <= 1e-1
    # B is scaled for a response of unit variance to a constant: 2 sum_n |C_n B_n / a_n|^2 is 1.
    a = torch.complex(-kernel.log_decay.exp(), kernel.frequency)
    response = 2 * (torch.view_as_complex(kernel.coefficient[0]) / a).abs().square().sum(-1)
    assert response.mean().item() == pytest.approx(1, abs=0.3)


def test_the_dynamics_learn_slowly_and_do_not_decay():
    layer = mixers.get("s4d").build(4, 8)
    slow = {name for name, value in layer.named_parameters() if value.recipe.lr_max == 1e-3}
    assert slow == {"kernel.log_dt", "kernel.log_decay", "kernel.frequency"}
    assert not any(layer.get_parameter(name).recipe.decay for name in slow)


def test_mode_sets_must_divide_the_width():
    with pytest.raises(ValueError, match=r"3 mode_sets.*got 8"):
        mixers.get("s4d", mode_sets=3).build(8, 4)
