"""Stacked linear maps: a member's bits, whatever the sizes."""

import numpy as np
import pytest
import torch

from harness.layers import linear


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 16, 33, 130])
@pytest.mark.parametrize(
    ("inputs", "outputs"), [(33, 64), (17, 20), (35, 15), (32, 1), (9, 1), (64, 21)]
)
def test_a_member_of_a_stacked_linear_map_is_what_it_is_alone(rows, inputs, outputs):
    rng = np.random.default_rng(0)
    shapes = [(3, rows, inputs), (3, outputs, inputs), (3, outputs)]
    values = [torch.from_numpy(rng.standard_normal(shape)).float() for shape in shapes]
    values = [value.requires_grad_() for value in values]
    y = linear(*values)
    grads = torch.autograd.grad(y.square().sum(), values)
    for member in range(3):
        alone = [value[member : member + 1].detach().clone().requires_grad_() for value in values]
        y_alone = linear(*alone)
        grads_alone = torch.autograd.grad(y_alone.square().sum(), alone)
        assert torch.equal(y[member], y_alone[0])
        for grad, grad_alone in zip(grads, grads_alone, strict=True):
            assert torch.equal(grad[member], grad_alone[0])
