"""RWKV-4's time mixing (Peng et al., arXiv 2305.13048, section 3.1).

    r, k, v = W_r, W_k, W_v (mu . x_t + (1 - mu) . x_{t-1})          token shift, one mu each
    wkv_t = (sum_{i<t} e^{k_i - (t-1-i) w} v_i + e^{u + k_t} v_t)
          / (sum_{i<t} e^{k_i - (t-1-i) w} + e^{u + k_t})
    out = W_o (sigmoid(r_t) . wkv_t)                                 output gate

w = exp(decay) > 0 and u are learned, by channel. The sums carry the logarithm of their largest
term, so that no weight overflows, and are formed by doubling: two positions make one of a
sequence half as long, whose decay is 2 w.

Initialisation: decay, u and mu as the published code sets them in its first layer, since a mixer
does not know its depth. That code starts W_r, W_k and W_o at zero; here they start as the model's
other maps do, which keeps the arms of a comparison alike.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.layers import (
    Linear,
    Recipe,
    constant,
    full_precision,
    parameter,
    per_channel,
    sigmoid,
)
from harness.mixers.base import Mixer, Regime, State, register

# The logarithm of no weight at all, finite so that differences of two of them are numbers.
NOTHING = -1e30


@register("rwkv")
class Rwkv(Mixer):
    """A mean of the past with weights e^k that fade, a bonus for the present, a gate.

    As in the published code `decay` learns at twice the rate and u at three times. They and the
    mu have no weight decay.
    """

    summary: ClassVar[str] = "RWKV-4: fading weighted mean of the past"
    source: ClassVar[str] = "arXiv:2305.13048, section 3.1"
    call_time: ClassVar[float] = 2.8
    pass_time: ClassVar[float] = 2.8

    @property
    def regime(self) -> Regime:
        return "causal"

    def module(self, width: int, length: int) -> nn.Module:
        return _Rwkv(width)

    def flops_per_token(self, width: int, length: int) -> float:
        """The recurrence step by step: token shift 7, sums 18, gate 5 operations a channel."""
        return 8.0 * width**2 + 30.0 * width

    def state_size(self, width: int, length: int) -> int:
        """The input before, both sums and the logarithm of their scale."""
        return 4 * width


class _Rwkv(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        channel = np.arange(width)
        first = channel / width
        self.mu_r = _still(first**0.5)
        self.mu_k = _still(first)
        self.mu_v = _still(first)
        self.decay = _still(-5 + 8 * (channel / max(1, width - 1)) ** 0.7, lr_scale=2.0)
        self.u = _still(np.log(0.3) + 0.5 * ((channel + 1) % 3 - 1), lr_scale=3.0)
        self.r_linear = Linear(width, width, bias=False)
        self.k_linear = Linear(width, width, bias=False)
        self.v_linear = Linear(width, width, bias=False)
        self.out_linear = Linear(width, width, bias=False, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        before = _later(x, 0.0)
        change = x - before
        r, k, v = (
            linear(before + change * per_channel(mu))
            for linear, mu in (
                (self.r_linear, self.mu_r),
                (self.k_linear, self.mu_k),
                (self.v_linear, self.mu_v),
            )
        )
        y = wkv(k, v, torch.exp(per_channel(self.decay)), per_channel(self.u))
        return self.out_linear(sigmoid(r) * y), state


def _still(value: np.ndarray, *, lr_scale: float = 1.0) -> nn.Parameter:
    """A parameter (D,) that starts at this value and does not decay."""
    return parameter(value.shape, Recipe(constant(value), lr_scale=lr_scale, decay=False))


@full_precision
def wkv(k: Tensor, v: Tensor, w: Tensor, u: Tensor) -> Tensor:
    """wkv_t, as at the top: k and v (..., L, D), w and u (..., 1, 1, D) -> (..., L, D)."""
    past = _before(_faded_sums(_terms(k, v), w))
    every = _together(past, 0.0, _terms(k + u, v))
    return every.values / every.weights


class _Sums(NamedTuple):
    """Sums of e^k v and of e^k, each (..., L, D), both divided by e^scale.

    The scale is about the largest k of a sum. No result depends on it, so it has no gradient.
    """

    scale: Tensor
    values: Tensor
    weights: Tensor


def _terms(k: Tensor, v: Tensor) -> _Sums:
    """The sums of one term each."""
    weights = torch.exp(k - k.detach())
    return _Sums(k.detach(), weights * v, weights)


def _together(past: _Sums, fading: Tensor | float, present: _Sums) -> _Sums:
    """e^-fading past + present."""
    faded = past.scale - fading
    scale = torch.maximum(faded.detach(), present.scale)
    old, new = torch.exp(faded - scale), torch.exp(present.scale - scale)
    return _Sums(
        scale,
        past.values * old + present.values * new,
        past.weights * old + present.weights * new,
    )


def _faded_sums(terms: _Sums, w: Tensor) -> _Sums:
    """At t: the sum over i <= t of the terms i, each times e^(-(t - i) w)."""
    length = terms.scale.shape[-2]
    if length == 1:
        return terms
    even, odd = (
        _Sums(*(F.pad(x, (0, 0, 0, length % 2))[..., parity::2, :] for x in terms))
        for parity in (0, 1)
    )
    at_odd = _faded_sums(_together(even, w, odd), 2 * w)
    at_even = _together(_before(at_odd), w, even)
    pairs = zip(at_even, at_odd, strict=True)
    return _Sums(*(torch.stack(pair, -2).flatten(-3, -2)[..., :length, :] for pair in pairs))


def _before(sums: _Sums) -> _Sums:
    """What position t - 1 has, at t; nothing at the first."""
    scale, values, weights = sums
    return _Sums(_later(scale, NOTHING), _later(values, 0.0), _later(weights, 0.0))


def _later(x: Tensor, first: float) -> Tensor:
    """x[t - 1] at t, over dimension -2."""
    return F.pad(x[..., :-1, :], (0, 0, 1, 0), value=first)
