"""Mamba's block around a selective scan (Gu & Dao, arXiv 2312.00752, algorithm 2, section 3.4).

    [u, z] = W_in x                              E = expand D channels each
    u = silu(conv(u))                            causal, depthwise, short_filter taps
    [r, B, C] = W_x u                            R, N and N numbers a position
    dt = softplus(W_dt r + b_dt)                 a step size a channel
    h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t     A = -exp(A_log), (E, N); h_t (E, N)
    y_t = C_t h_t + D u_t
    out = W_out (y . silu(z))

B enters as dt B, as in the published code; the paper's zero-order hold (eq. 4) would divide by A.
The scan goes by chunks of positions, parallel inside each. The backward pass forms a chunk's
states again, so that no more than one chunk's E N numbers a position are held at a time.

Dimensions: E channels, N states of a channel, R rank of dt, C positions in a chunk.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from harness.layers import (
    Linear,
    Recipe,
    ShortConv,
    constant,
    full_precision,
    parameter,
    per_channel,
    silu,
    uniform,
)
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.recurrence import diagonal_scan, softplus

# Positions of a chunk: fewer in wide batches. At batch 64, length 64, width 64 that takes a fifth
# of the memory, and half the time where the system maps pages for the larger arrays anew.
CHUNK, SMALLEST_CHUNK = 64, 8
CHUNK_NUMBERS = 2**20
SMALLEST_DT, LARGEST_DT = 1e-3, 1e-1


@register("selective_scan")
class SelectiveScan(Mixer):
    """expand: inner channels as a multiple of the width. state: N, numbers a channel.

    dt_rank: R; by default the width / 16, rounded up. short_filter: taps of the convolution
    before the scan, a part of the published block; 0 is none.

    Learning rates are the model's, as published; A_log, D and the bias of dt do not decay.
    """

    summary: ClassVar[str] = "Mamba: linear state space with steps chosen by the input"
    source: ClassVar[str] = "arXiv:2312.00752, algorithm 2"
    call_time: ClassVar[float] = 1.7
    pass_time: ClassVar[float] = 14.0

    expand: Annotated[int, Field(ge=1)] = 2
    state: Annotated[int, Field(ge=1)] = 16
    dt_rank: Annotated[int, Field(ge=1)] | None = None
    short_filter: Annotated[int, Field(ge=0)] = 4

    @property
    def regime(self) -> Regime:
        return "causal"

    def module(self, width: int, length: int) -> nn.Module:
        return _SelectiveScan(self, width)

    def rank(self, width: int) -> int:
        return self.dt_rank or math.ceil(width / 16)

    def flops_per_token(self, width: int, length: int) -> float:
        """The recurrence step by step: seven operations a state."""
        inner, rank = self.expand * width, self.rank(width)
        projections = 2.0 * inner * (3 * width + 2 * rank + 2 * self.state)
        return projections + inner * (7.0 * self.state + 2.0 * self.short_filter + 4)

    def state_size(self, width: int, length: int) -> int:
        """h, and what the short convolution still sees."""
        return self.expand * width * (self.state + max(0, self.short_filter - 1))


class _SelectiveScan(nn.Module):
    def __init__(self, config: SelectiveScan, width: int):
        super().__init__()
        inner, states, rank = config.expand * width, config.state, config.rank(width)
        self.sizes = [rank, states, states]
        self.in_linear = Linear(width, 2 * inner, bias=False)
        self.short_conv = ShortConv(inner, config.short_filter) if config.short_filter else None
        self.x_linear = Linear(inner, sum(self.sizes), bias=False)
        self.dt_linear = Linear(rank, inner, bias=False, kind="own", init=uniform(rank**-0.5))
        self.dt_bias = parameter((inner,), Recipe(_steps, decay=False))
        a_log = np.log(np.arange(1.0, states + 1))
        self.A_log = parameter((inner, states), Recipe(constant(a_log), decay=False))
        self.D = parameter((inner,), Recipe(constant(1.0), decay=False))
        self.out_linear = Linear(inner, width, bias=False, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        u, z = self.in_linear(x).chunk(2, dim=-1)
        if self.short_conv is not None:
            u = self.short_conv(u)
        u = silu(u)
        r, b, c = self.x_linear(u).split(self.sizes, dim=-1)
        dt = softplus(self.dt_linear(r) + per_channel(self.dt_bias))
        y = selective_scan(u, dt, -torch.exp(self.A_log), b, c) + u * per_channel(self.D)
        return self.out_linear(y * silu(z)), state


def _steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The bias at which softplus gives steps between 1e-3 and 1e-1, log-uniform (section 3.6)."""
    dt = np.exp(rng.uniform(math.log(SMALLEST_DT), math.log(LARGEST_DT), shape))
    return dt + np.log(-np.expm1(-dt))


@full_precision
def selective_scan(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """y_t = C_t h_t of the module's equations.

    u and dt (..., L, E), A (..., E, N), B and C (..., L, N) -> (..., L, E).
    """
    h, outputs = None, []
    numbers = u.shape[-3] * a.shape[-2:].numel()  # of a member at one position
    chunk = max(SMALLEST_CHUNK, min(CHUNK, CHUNK_NUMBERS // numbers))
    for part in zip(*(x.split(chunk, dim=-2) for x in (u, dt, b, c)), strict=True):
        y, h = checkpoint(_chunk, *part, a, h, use_reentrant=False, preserve_rng_state=False)
        outputs.append(y)
    return torch.cat(outputs, dim=-2)


def _chunk(
    u: Tensor, dt: Tensor, b: Tensor, c: Tensor, a: Tensor, h: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Outputs of a chunk (..., C, E) and the states after it (..., E N), from those before."""
    log_decay = dt.unsqueeze(-1) * a[..., None, None, :, :]
    added = (dt * u).unsqueeze(-1) * b.unsqueeze(-2)
    states = diagonal_scan(added.flatten(-2), log_decay.flatten(-2), h)
    y = (states.view_as(added) * c.unsqueeze(-2)).sum(-1)
    return y, states[..., -1, :].clone()  # a view would keep all states alive
