"""Linear recurrences over time in parallel form, shared by several mixers; no mixer itself.

    diagonal_scan       h_t = a_t h_{t-1} + x_t
    linear_recurrence   S_t = diag(a_t) S_{t-1} + k_t v_t^T
    delta_rule          S_t = a_t S_{t-1} + b_t k_t (v_t - a_t S_{t-1}^T k_t)^T
    both of matrices    o_t = S_t^T q_t

A sequence is cut into chunks: products of matrices inside a chunk, one state handed from chunk to
chunk (Hua et al., arXiv 2202.10447; Yang et al., arXiv 2312.06635, sec. 4; 2406.06484, sec. 3).
Decays come as logarithms, at most zero, and are only ever summed over the steps that they span:
nothing is divided by a decay, so none overflows and sums of a long chunk cost no digits.

Dimensions: L length, N chunks, C positions in a chunk, K key size, V value size. Leading
dimensions (members, batch, heads) are free. Sizes are filled up to multiples of four, for the
reason that `harness.layers.linear` gives.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.layers import full_precision

_CHUNK = 32  # positions; a power of two
_BLOCK = 4  # positions whose decays by channel are formed pair by pair


class Recurrence(NamedTuple):
    """outputs (..., L, V), for each position after its update; state (..., K, V) after the last."""

    outputs: Tensor
    state: Tensor


@full_precision
def linear_recurrence(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None = None,
    state: Tensor | None = None,
) -> Recurrence:
    """S_t = diag(a_t) S_{t-1} + k_t v_t^T, o_t = S_t^T q_t.

    q and k (..., L, K), v (..., L, V), log a (..., L, 1) or by channel (..., L, K), none for a = 1;
    state (..., K, V): what precedes, or nothing.
    """
    length, keys, values = q.shape[-2], q.shape[-1], v.shape[-1]
    chunk = _chunk(length)
    q, k, v = (chunks(x, chunk) for x in (q, k, v))
    last = None if state is None else F.pad(state, (0, -values % 4, 0, -keys % 4))
    if log_decay is None:
        scores = (q @ k.mT).tril()
        added = k.mT @ v
        states = added.cumsum(-3)
        if last is not None:
            states = states + last.unsqueeze(-3)
    else:
        by_channel = log_decay.shape[-1] > 1
        log_decay = chunks(log_decay, chunk, fill=by_channel)
        if by_channel:
            scores = _decayed_scores(q, k, log_decay)
        else:
            scores = (q @ k.mT * _spanned(log_decay).squeeze(-1)).tril()
        added = (k * torch.exp(_sum_after(log_decay))).mT @ v
        since_start = log_decay.cumsum(-2)
        whole = since_start[..., -1, :].unsqueeze(-1).expand(added.shape)
        start = None if last is None else last.flatten(-2)
        states = diagonal_scan(added.flatten(-2), whole.flatten(-2), start).view_as(added)
        q = q * torch.exp(since_start)
    outputs = scores @ v
    if states.shape[-3] > 1 or last is not None:
        outputs = outputs + q @ _shifted(states, last)
    return _cut(outputs, states[..., -1, :, :], length, keys, values)


@full_precision
def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None = None,
    state: Tensor | None = None,
) -> Recurrence:
    """S' = a_t S_{t-1};  S_t = S' + beta_t k_t (v_t - S'^T k_t)^T;  o_t = S_t^T q_t.

    q and k (..., L, K), v (..., L, V), beta and log a (..., L), none for a = 1; state (..., K, V).

    Inside a chunk that begins at S, with a(s, t) the decay from s to t, what each step adds is
    S_t = a(0, t) S + sum_{s<=t} a(s, t) k_s u_s^T, and its u_t solve a triangular system,
        u_t + sum_{s<t} beta_t a(s, t) (k_t.k_s) u_s = beta_t (v_t - a(0, t) S^T k_t),
    solved for v and for k before S is known (WY form; arXiv 2406.06484 eq. 10, 2412.06464 eq. 8).
    """
    length, keys, values = q.shape[-2], q.shape[-1], v.shape[-1]
    chunk = _chunk(length)
    q, k, v = (chunks(x, chunk) for x in (q, k, v))
    beta = chunks(beta.unsqueeze(-1), chunk, fill=False)
    products, scores, k_start, k_end = k @ k.mT, q @ k.mT, k, k
    if log_decay is not None:
        log_decay = chunks(log_decay.unsqueeze(-1), chunk, fill=False)
        spanned = _spanned(log_decay).squeeze(-1)
        products, scores = products * spanned, scores * spanned
        since_start = torch.exp(log_decay.cumsum(-2))
        q, k_start = q * since_start, k * since_start
        k_end = k * torch.exp(_sum_after(log_decay))
        whole = since_start[..., -1:, :]
    right = beta * torch.cat([v, k_start], -1)
    solved = torch.linalg.solve_triangular(
        (beta * products).tril(-1), right, upper=False, unitriangular=True
    )
    from_v, from_k = solved.split([v.shape[-1], k.shape[-1]], -1)
    if state is None:
        now = v.new_zeros((*v.shape[:-3], k.shape[-1], v.shape[-1]))
    else:
        now = F.pad(state, (0, -values % 4, 0, -keys % 4))
    starts, added = [], []
    for index in range(v.shape[-3]):
        starts.append(now)
        added.append(from_v[..., index, :, :] - from_k[..., index, :, :] @ now)
        kept = now if log_decay is None else now * whole[..., index, :, :]
        now = kept + k_end[..., index, :, :].mT @ added[-1]
    outputs = scores.tril() @ torch.stack(added, -3) + q @ torch.stack(starts, -3)
    return _cut(outputs, now, length, keys, values)


@full_precision
def diagonal_scan(x: Tensor, log_decay: Tensor, state: Tensor | None = None) -> Tensor:
    """h_t = exp(log_decay_t) h_{t-1} + x_t for every t; the last row is the final state.

    x and log_decay (..., L, D) of one shape; state (..., D): h before the first step, or nothing.
    In log2 L passes over half as many positions each: linear work, no loop over time.
    """
    if state is not None:
        first = x[..., :1, :] + torch.exp(log_decay[..., :1, :]) * state.unsqueeze(-2)
        x = torch.cat([first, x[..., 1:, :]], -2)
    return _DiagonalScan.apply(x, log_decay)


class _DiagonalScan(torch.autograd.Function):
    """Its gradient is the same scan backwards in time, so that no pass keeps its operands."""

    @staticmethod
    def forward(ctx, x: Tensor, log_decay: Tensor) -> Tensor:
        decay = torch.exp(log_decay)
        h = _scan(x, decay)
        ctx.save_for_backward(decay, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        decay, h = ctx.saved_tensors
        following = F.pad(decay[..., 1:, :], (0, 0, 0, 1))
        grad_x = _scan(grad.flip(-2), following.flip(-2)).flip(-2)
        previous = F.pad(h[..., :-1, :], (0, 0, 1, 0))
        return grad_x, grad_x * decay * previous


def _scan(x: Tensor, decay: Tensor) -> Tensor:
    """h_t = decay_t h_{t-1} + x_t: two steps are one step of a sequence half as long."""
    length = x.shape[-2]
    if length == 1:
        return x.clone()
    evens, odds = slice(0, length // 2 * 2, 2), slice(1, None, 2)
    decay_odd = decay[..., odds, :]
    h_odd = _scan(x[..., odds, :] + decay_odd * x[..., evens, :], decay_odd * decay[..., evens, :])
    h = torch.empty_like(x, memory_format=torch.contiguous_format)
    h[..., odds, :] = h_odd
    h[..., 0, :] = x[..., 0, :]
    before = h_odd[..., : (length - 1) // 2, :]
    h[..., 2::2, :] = x[..., 2::2, :] + decay[..., 2::2, :] * before
    return h


@full_precision
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)): exact at both ends, the same bits at every place, gradient 1/2 at 0.

    log sigmoid(x) is -softplus(-x).
    """
    size = x.abs()
    return (x + size) * 0.5 + torch.log1p(torch.exp(-size))


def _decayed_scores(q: Tensor, k: Tensor, log_decay: Tensor) -> Tensor:
    """sum_c q[t, c] k[s, c] exp(sum_{s<r<=t} log_decay[r, c]) for s <= t, else 0: (..., C, C).

    Between the halves of a chunk the decay is that since the middle times that up to it: a product
    of matrices. The halves are treated alike, down to blocks small enough to go pair by pair.
    """
    size = q.shape[-2]
    if size == _BLOCK:
        pairs = q.unsqueeze(-2) * k.unsqueeze(-3) * _spanned(log_decay)
        return pairs.sum(-1).tril()
    q, k, log_decay = (x.unflatten(-2, (2, size // 2)) for x in (q, k, log_decay))
    early, late = _decayed_scores(q, k, log_decay).unbind(-3)
    late_q = q[..., 1, :, :] * torch.exp(log_decay[..., 1, :, :].cumsum(-2))
    early_k = k[..., 0, :, :] * torch.exp(_sum_after(log_decay[..., 0, :, :]))
    lower = torch.cat([late_q @ early_k.mT, late], -1)
    return torch.cat([F.pad(early, (0, size // 2)), lower], -2)


def _spanned(log_decay: Tensor) -> Tensor:
    """(..., C, K) -> (..., C, C, K): exp(sum_{s<r<=t} log_decay[r]) at [t, s], 1 for s >= t."""
    size = log_decay.shape[-2]
    within = torch.ones(size, size, dtype=torch.bool, device=log_decay.device).tril(-1)
    steps = log_decay.unsqueeze(-2).expand(*log_decay.shape[:-1], size, log_decay.shape[-1])
    return torch.exp(steps.masked_fill(~within.unsqueeze(-1), 0.0).cumsum(-3))


def _sum_after(log_decay: Tensor) -> Tensor:
    """sum_{r>t} log_decay[r] at [t], over dimension -2."""
    following = F.pad(log_decay[..., 1:, :], (0, 0, 0, 1))
    return following.flip(-2).cumsum(-2).flip(-2)


def _chunk(length: int) -> int:
    """_CHUNK, or the least power of two from _BLOCK on that holds a shorter sequence."""
    chunk = _CHUNK
    while chunk > _BLOCK and chunk // 2 >= length:
        chunk //= 2
    return chunk


def chunks(x: Tensor, chunk: int, *, fill: bool = True) -> Tensor:
    """(..., L, K) -> (..., N, C, K), with zeros at the end; fill: K to a multiple of four."""
    x = F.pad(x, (0, -x.shape[-1] % 4 if fill else 0, 0, -x.shape[-2] % chunk))
    return x.unflatten(-2, (-1, chunk))


def _shifted(states: Tensor, first: Tensor | None) -> Tensor:
    """States (..., N, K, V) after each chunk -> before each chunk."""
    if first is None:
        return F.pad(states[..., :-1, :, :], (0, 0, 0, 0, 1, 0))
    return torch.cat([first.unsqueeze(-3), states[..., :-1, :, :]], -3)


def _cut(outputs: Tensor, state: Tensor, length: int, keys: int, values: int) -> Recurrence:
    """Without what was filled up."""
    outputs = outputs.flatten(-3, -2)[..., :length, :values]
    return Recurrence(outputs, state[..., :keys, :values])
