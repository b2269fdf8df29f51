"""The activations against torch's, and the same bits wherever a number stands."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.mixers.orchid.activation import ACTIVATIONS, Pointwise

POINTWISE = [name for name in ACTIVATIONS if issubclass(ACTIVATIONS.get(name), Pointwise)]
REFERENCE = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "softshrink": F.softshrink}


@pytest.mark.parametrize("name", POINTWISE)
def test_function_is_torch_s(name):
    x = torch.linspace(-8, 8, 101, dtype=torch.float64)
    expected = REFERENCE.get(name) or getattr(F, name)
    torch.testing.assert_close(ACTIVATIONS.get(name)().apply(x), expected(x))


@pytest.mark.parametrize("name", [name for name in POINTWISE if name != "relu"])
def test_on_magnitude_keeps_the_phase(name):
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 5, 4, 2))).requires_grad_()
    z = torch.view_as_complex(z)
    activation = ACTIVATIONS.get(name)()
    q = torch.cat([z.real, z.imag], -1)
    out = torch.complex(*activation.after(q, complex_halves=True).chunk(2, -1))
    torch.testing.assert_close(out, activation.apply(z.abs()) * z / z.abs())


@pytest.mark.parametrize("name", ["identity", *POINTWISE])
def test_zero_has_a_finite_gradient(name):
    q = torch.zeros(1, 3, 4, requires_grad=True)
    ACTIVATIONS.get(name)().after(q, complex_halves=True).sum().backward()
    assert torch.isfinite(q.grad).all()


@pytest.mark.parametrize("name", POINTWISE)
def test_bits_do_not_depend_on_the_place(name):
    activation = ACTIVATIONS.get(name)()
    for size in (3, 13, 84, 91, 150):
        x = torch.from_numpy(np.random.default_rng(size).standard_normal((3, size))).float()
        x.requires_grad_()
        y = activation.apply(x)
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        for row in range(3):
            alone = x[row].detach().clone().requires_grad_()
            y_alone = activation.apply(alone)
            (grad_alone,) = torch.autograd.grad(y_alone.square().sum(), alone)
            assert torch.equal(y[row], y_alone) and torch.equal(grad[row], grad_alone)
