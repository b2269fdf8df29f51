"""Batch normalisation against torch's, and each member of a stack with its own statistics."""

import numpy as np
import torch

from harness.layers import BatchNorm, initialise


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def build(width):
    norm = BatchNorm(width).double()
    initialise(norm, lambda name: np.random.default_rng(0))
    return norm


def test_training_and_evaluation_are_torch_s():
    ours, theirs = build(4), torch.nn.BatchNorm1d(4).double()
    for step in range(3):
        x = noise(5, 7, 4, seed=step).mul(1 + step).requires_grad_()
        expected = theirs(x.mT).mT
        y = ours(x)
        torch.testing.assert_close(y, expected)
        weight = noise(5, 7, 4, seed=9)
        (grad,), (wanted,) = (torch.autograd.grad((v * weight).sum(), x) for v in (y, expected))
        torch.testing.assert_close(grad, wanted)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    theirs.eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x.mT).mT)
    torch.testing.assert_close(ours.eval()(x), theirs(x.mT).mT)


def test_members_of_a_stack_keep_their_own_statistics():
    stacked, alone = build(4), [build(4) for _ in range(3)]
    for name in ("weight", "bias"):
        value = getattr(stacked, name).detach().expand(3, -1).clone()
        setattr(stacked, name, torch.nn.Parameter(value))
    x = noise(3, 5, 7, 4) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    stacked(x)
    for norm, part in zip(alone, x, strict=True):
        norm(part)
    stacked.keep(torch.tensor([2, 0]))
    expected = torch.stack([alone[i].running_var for i in (2, 0)])
    torch.testing.assert_close(stacked.running_var, expected)
    expected = torch.stack([alone[i].running_mean for i in (2, 0)])
    torch.testing.assert_close(stacked.running_mean, expected)
