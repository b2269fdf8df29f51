"""Hyena against its recurrence of gates and sums, and what it refuses."""

import numpy as np
import pytest
import torch

from harness import mixers


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_hand(layer, x, *, order, first_first):
    """One time step after the other, for one example (L, D) in float64."""
    length, width = x.shape
    p = layer.in_linear(x)
    weight, bias = layer.short_conv.weight, layer.short_conv.bias
    short = torch.zeros_like(p)
    for t in range(length):
        short[t] = bias
        for back in range(min(t + 1, weight.shape[1])):
            short[t] += weight[:, -1 - back] * p[t - back]
    gates = [short[:, i * width : (i + 1) * width] for i in range(order)]
    y = short[:, order * width :]
    filters = layer.filter(length)
    for i in range(order - 1):
        channels = slice(i * width, (i + 1) * width)
        z = y * (gates[i] if first_first else gates[order - 1 - i])
        y = layer.skip[channels] * z
        for t in range(length):
            for tap in range(t + 1):
                y[t] += filters[tap, channels] * z[t - tap]
    return layer.out_linear(y * (gates[-1] if first_first else gates[0]))


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("gate_order", ["last_first", "first_first"])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_hyena_is_its_definition(order, gate_order, length):
    layer = mixers.get("hyena", order=order, gate_order=gate_order).build(4, length).double()
    x = noise(2, length, 4)
    with torch.no_grad():
        expected = torch.stack(
            [by_hand(layer, row, order=order, first_first=gate_order == "first_first") for row in x]
        )
        y = layer(x, None)[0]
    # Each of order - 1 convolutions by FFT errs by 1e-15 of its largest value.
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-12)


def test_taps_beyond_the_built_length_are_zero():
    layer = mixers.get("hyena").build(4, 6)
    assert layer.filter(9)[6:].abs().max() == 0


@pytest.mark.parametrize(
    ("options", "length", "message"),
    [
        ({"filter": "none"}, 8, "needs a filter"),
        ({"filter": {"name": "implicit", "kernel_length": 9}}, 8, r"kernel_length is 9.*8"),
    ],
)
def test_what_cannot_be_built_is_refused(options, length, message):
    with pytest.raises(ValueError, match=message):
        mixers.get("hyena", **options).build(4, length)


@pytest.mark.parametrize(("kernel_length", "kept"), [(None, 20), (5, 5)])
def test_state_is_what_a_kernel_reaches(kernel_length, kept):
    kernel = {"name": "implicit", "kernel_length": kernel_length}
    hyena = mixers.get("hyena", order=3, short_filter=4, filter=kernel)
    assert hyena.state_size(8, 20) == 8 * (2 * kept + 4 * 3)
    assert mixers.get("long_conv", kernel=kernel).state_size(8, 20) == 8 * kept
    assert mixers.get("long_conv", kernel=kernel).state_size(8, 3) == 8 * 3
    assert mixers.get("long_conv", kernel=kernel, causal=False).state_size(8, 20) == 8 * 20
