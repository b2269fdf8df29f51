"""Chunked recurrences against one step at a time, in float64; stability; members' bits."""

import numpy as np
import pytest
import torch

from harness.mixers.recurrence import delta_rule, diagonal_scan, linear_recurrence, softplus

LENGTHS = [1, 2, 5, 16, 33, 64, 65, 131]


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def steps_linear(q, k, v, log_decay=None, state=None):
    now = torch.zeros(*q.shape[:-2], q.shape[-1], v.shape[-1], dtype=q.dtype)
    now = now if state is None else state
    outputs = []
    for t in range(q.shape[-2]):
        if log_decay is not None:
            now = torch.exp(log_decay[..., t, :]).unsqueeze(-1) * now
        now = now + k[..., t, :, None] * v[..., t, None, :]
        outputs.append((now * q[..., t, :, None]).sum(-2))
    return torch.stack(outputs, -2), now


def steps_delta(q, k, v, beta, log_decay=None, state=None):
    now = torch.zeros(*q.shape[:-2], q.shape[-1], v.shape[-1], dtype=q.dtype)
    now = now if state is None else state
    outputs = []
    for t in range(q.shape[-2]):
        if log_decay is not None:
            now = torch.exp(log_decay[..., t, None, None]) * now
        error = v[..., t, :] - (now * k[..., t, :, None]).sum(-2)
        now = now + beta[..., t, None, None] * k[..., t, :, None] * error[..., None, :]
        outputs.append((now * q[..., t, :, None]).sum(-2))
    return torch.stack(outputs, -2), now


def steps_diagonal(x, log_decay, state=None):
    now = torch.zeros_like(x[..., 0, :]) if state is None else state
    outputs = []
    for t in range(x.shape[-2]):
        now = torch.exp(log_decay[..., t, :]) * now + x[..., t, :]
        outputs.append(now)
    return torch.stack(outputs, -2)


def inputs(kind, length, *, with_state):
    """Keyword arguments of a recurrence of this kind, all in need of gradients."""
    keys, values = 3, 5
    out = {name: noise(2, 2, length, keys, seed=i) for i, name in enumerate(("q", "k"))}
    out["v"] = noise(2, 2, length, values, seed=2)
    if kind.startswith("delta"):
        out["k"] = out["k"] / out["k"].norm(dim=-1, keepdim=True)
        out["beta"] = torch.sigmoid(noise(2, 2, length, seed=3))
    if kind.endswith("channel"):
        out["log_decay"] = -softplus(3 * noise(2, 2, length, keys, seed=4))
    elif kind == "linear-scalar":
        out["log_decay"] = -softplus(3 * noise(2, 2, length, 1, seed=4))
    elif kind == "delta-decay":
        out["log_decay"] = -softplus(3 * noise(2, 2, length, seed=4))
    if with_state:
        out["state"] = noise(2, 2, keys, values, seed=5)
    return {name: value.requires_grad_() for name, value in out.items()}


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "kind", ["linear", "linear-scalar", "linear-channel", "delta", "delta-decay"]
)
def test_chunks_are_single_steps(kind, length, with_state):
    function, slow = (
        (delta_rule, steps_delta) if kind.startswith("delta") else (linear_recurrence, steps_linear)
    )
    given = inputs(kind, length, with_state=with_state)
    gradients = []
    for outputs, state in (function(**given), slow(**given)):
        loss = outputs.square().sum() + state.square().sum()
        gradients.append((outputs, state, *torch.autograd.grad(loss, list(given.values()))))
    for ours, theirs in zip(*gradients, strict=True):
        # rounding of 131 steps, whose terms are of the size of the largest entry
        torch.testing.assert_close(
            ours, theirs, rtol=1e-11, atol=1e-12 * float(theirs.detach().abs().max())
        )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
def test_diagonal_scan_is_single_steps(length, with_state):
    given = {"x": noise(2, length, 3), "log_decay": -softplus(3 * noise(2, length, 3, seed=1))}
    if with_state:
        given["state"] = noise(2, 3, seed=2)
    given = {name: value.requires_grad_() for name, value in given.items()}
    pairs = []
    for h in (diagonal_scan(**given), steps_diagonal(**given)):
        pairs.append((h, *torch.autograd.grad(h.square().sum(), list(given.values()))))
    for ours, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["linear-scalar", "linear-channel", "delta-decay"])
@pytest.mark.parametrize("strength", [0.0, 1e-6, 50.0, 1e4])
def test_any_decay_in_float32(kind, strength):
    """Long, and with single steps that forget all: no overflow, and no digits lost after them."""
    length = 1024
    given = {name: value.detach() for name, value in inputs(kind, length, with_state=True).items()}
    drawn = np.random.default_rng(1).random(given["log_decay"].shape)
    given["log_decay"] = -torch.from_numpy(np.where(drawn < 0.05, strength, 1e-3 * drawn))
    # keys of unit length on average: the sums of the linear kinds stay below a few thousand
    function, slow = (
        (delta_rule, steps_delta) if kind == "delta-decay" else (linear_recurrence, steps_linear)
    )
    theirs, _ = slow(**given)
    given = {name: value.float().requires_grad_() for name, value in given.items()}
    ours, state = function(**given)
    loss = ours.square().sum() + state.square().sum()
    for gradient in torch.autograd.grad(loss, list(given.values())):
        assert torch.isfinite(gradient).all()
    error = (ours - theirs).abs().max() / theirs.abs().max()
    # 2^-24 a rounding, and a sum of 1024 terms walks at random over their sqrt
    assert error < 32 * 2**-24


def test_delta_rule_with_one_key_only():
    """Equal keys and beta 1: the state forgets all but the last value, whatever the chunk."""
    length = 100
    k = torch.zeros(length, 4)
    k[:, 1] = 1
    v = noise(length, 8).float()
    outputs, _ = delta_rule(k, k, v, torch.ones(length))
    torch.testing.assert_close(outputs, v, rtol=0, atol=32 * 2**-23)


@pytest.mark.parametrize("sizes", [(3, 5, 3, 5), (2, 33, 4, 6), (1, 130, 8, 8)])
@pytest.mark.parametrize("kind", ["linear", "scalar", "channel", "delta"])
def test_a_member_is_bit_for_bit_what_it_is_alone(kind, sizes):
    torch.set_num_threads(1)
    batch, length, keys, values = sizes
    shapes = [(length, keys), (length, keys), (length, values)]
    given = [noise(3, batch, 2, *shape, seed=i).float() for i, shape in enumerate(shapes)]
    if kind in ("scalar", "channel"):
        width = keys if kind == "channel" else 1
        given.append(-softplus(noise(3, batch, 2, length, width, seed=3).float()))
    if kind == "delta":
        given += [torch.sigmoid(noise(3, batch, 2, length, seed=4).float())]
        given += [-softplus(noise(3, batch, 2, length, seed=5).float())]
    function = delta_rule if kind == "delta" else linear_recurrence

    def results(values):
        values = [value.clone().requires_grad_() for value in values]
        outputs, state = function(*values)
        loss = outputs.square().sum() + state.square().sum()
        return outputs, state, *torch.autograd.grad(loss, values)

    together = results(given)
    for member in range(3):
        alone = results([value[member : member + 1] for value in given])
        for ours, theirs in zip(together, alone, strict=True):
            assert torch.equal(ours[member], theirs[0])


def test_softplus():
    x = torch.tensor([-200.0, -30.0, -1.0, 0.0, 1.0, 30.0, 200.0], dtype=torch.float64)
    x.requires_grad_()
    torch.testing.assert_close(softplus(x), torch.logaddexp(x, torch.zeros_like(x)))
    (gradient,) = torch.autograd.grad(softplus(x).sum(), x)
    torch.testing.assert_close(gradient, torch.sigmoid(x))
