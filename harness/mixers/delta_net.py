"""DeltaNet (Yang et al., arXiv 2406.06484, sec. 2.2, 3.3), Gated DeltaNet (2412.06464, eq. 10).

    S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T,   o_t = S_t^T q_t / sqrt(K)
    q, k = silu(W x) / |silu(W x)|,  v = silu(W x),  beta_t = sigmoid(w x_t) a head
    y_t = W_o RMSNorm(o_t), the norm within a head

What a key holds is replaced by v in the proportion beta, where linear attention adds to it. Gated:
the state decays first, S_{t-1} <- exp(g_t) S_{t-1} with g_t = -exp(A) softplus(w x_t + dt) a head,
and y_t = W_o (swish(W_g x_t) * RMSNorm(o_t)). The published models put a short convolution before
q, k and v: the model's `short_conv`, an axis of every mixer. Values are as wide as the model, in
the published Gated DeltaNet wider.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, Recipe, constant, parameter, per_channel, sigmoid, silu
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.heads import check_heads, merge_heads, split_heads, unit_length
from harness.mixers.recurrence import delta_rule, softplus

_EPS = 1e-5  # of the norm, as published


@register("delta_net")
class DeltaNet(Mixer):
    """heads must divide the width. gated: decay and output gate of Gated DeltaNet."""

    summary: ClassVar[str] = "a fast memory that replaces what a key held"
    source: ClassVar[str] = "arXiv:2406.06484, sec. 2.2; arXiv:2412.06464, eq. 10"
    call_time: ClassVar[float] = 2.2
    pass_time: ClassVar[float] = 2.6

    heads: Annotated[int, Field(ge=1)] = 1
    gated: bool = False

    @property
    def regime(self) -> Regime:
        return "causal"

    def check(self, width: int, length: int) -> None:
        check_heads(self.name, self.heads, width)

    def module(self, width: int, length: int) -> nn.Module:
        return _DeltaNet(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        """Of the recurrence: k reads the state, the correction is added, q reads; and decays."""
        per_head = self.heads * (1 + int(self.gated))
        projections = 2.0 * width * (width * (4 + int(self.gated)) + per_head)
        return projections + (6.0 + int(self.gated)) * self.state_size(width, length)

    def state_size(self, width: int, length: int) -> int:
        return width * (width // self.heads)


class _DeltaNet(nn.Module):
    def __init__(self, config: DeltaNet, width: int):
        super().__init__()
        self.heads = config.heads
        self.qkv = Linear(width, 3 * width, bias=False)
        self.beta = Linear(width, self.heads, bias=False)
        self.norm = parameter((width // self.heads,), Recipe(constant(1.0), decay=False))
        self.decay = _Decay(width, self.heads) if config.gated else None
        self.gate = Linear(width, width, bias=False) if config.gated else None
        self.out = Linear(width, width, bias=False, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = (split_heads(part, self.heads) for part in silu(self.qkv(x)).chunk(3, -1))
        beta = sigmoid(self.beta(x)).mT
        log_decay = None if self.decay is None else self.decay(x).mT
        q, k = unit_length(q) * q.shape[-1] ** -0.5, unit_length(k)
        y = delta_rule(q, k, v, beta, log_decay).outputs
        scale = torch.rsqrt(y.square().mean(-1, keepdim=True) + _EPS)
        y = merge_heads(y * scale * per_channel(self.norm).unsqueeze(-4))
        if self.gate is not None:
            y = silu(self.gate(x)) * y
        return self.out(y), state


class _Decay(nn.Module):
    """g_t = -exp(A) softplus(w x_t + dt): x (..., B, L, D) -> (..., B, L, H), as Mamba-2 starts it.

    exp(A) is uniform in (0, 16], softplus(dt) log-uniform in [.001, .1]; no weight decay on either.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.step = Linear(width, heads, bias=False)
        self.log_rate = parameter((heads,), Recipe(_log_rate, decay=False))
        self.step_bias = parameter((heads,), Recipe(_step_bias, decay=False))

    def forward(self, x: Tensor) -> Tensor:
        step = softplus(self.step(x) + per_channel(self.step_bias))
        return -torch.exp(per_channel(self.log_rate)) * step


def _log_rate(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.log(16 * (1 - rng.random(shape)))


def _step_bias(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    step = np.exp(rng.uniform(math.log(1e-3), math.log(1e-1), shape))
    return step + np.log(-np.expm1(-step))  # the inverse of softplus
