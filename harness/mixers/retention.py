"""Retention (Sun et al., RetNet, arXiv 2307.08621, eq. 5 to 8).

    head:   o_t = sum_{s<=t} gamma_h^(t-s) (q_t.k_s) v_s,   gamma_h = 1 - 2^(-5-h)
            q and k turned by the angle t theta (eq. 5), and q scaled by 1 / sqrt(K)
    output: W_o (swish(W_g x) * GroupNorm(o)), a group a head (eq. 8)

The scores' normalisation of the paper's section 2.2 is left out: the group norm, which does not
see the scale of its input, undoes it. Values are as wide as the model; the published models take
twice that. Their code divides by the root mean square alone where the paper writes GroupNorm.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, full_precision, silu
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.heads import check_heads, head_norm, merge_heads, split_heads, xavier
from harness.mixers.recurrence import linear_recurrence


@register("retention")
class Retention(Mixer):
    """heads must divide the width. rotation: of q and k, in pairs of channels, eq. 5.

    norm: the group norm, gate: the swish gate of eq. 8.
    """

    summary: ClassVar[str] = "linear attention with a fixed decay a head"
    source: ClassVar[str] = "arXiv:2307.08621, eq. 5-8"
    call_time: ClassVar[float] = 2.3
    pass_time: ClassVar[float] = 2.3

    heads: Annotated[int, Field(ge=1)] = 1
    rotation: bool = True
    norm: bool = True
    gate: bool = True

    @property
    def regime(self) -> Regime:
        return "causal"

    def check(self, width: int, length: int) -> None:
        check_heads(self.name, self.heads, width, least=2 if self.norm else 1)
        if self.rotation and (width // self.heads) % 2:
            raise ValueError(
                f"retention with rotation turns pairs of channels: {width} channels in "
                f"{self.heads} heads leave an odd {width // self.heads} a head"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return _Retention(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        """Of the recurrence: the state decays, k v^T is added to it, q reads it."""
        projections = 2.0 * width**2 * (4 + int(self.gate))
        return projections + 5.0 * self.state_size(width, length)

    def state_size(self, width: int, length: int) -> int:
        return width * (width // self.heads)


class _Retention(nn.Module):
    def __init__(self, config: Retention, width: int):
        super().__init__()
        self.config = config
        small = xavier(2**-2.5)
        self.q, self.k, self.v = (_linear(width, small) for _ in range(3))
        self.gate = _linear(width, small) if config.gate else None
        self.out = _linear(width, xavier(1.0))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        config = self.config
        q, k, v = (split_heads(part(x), config.heads) for part in (self.q, self.k, self.v))
        if config.rotation:
            q, k = rotate(q), rotate(k)
        y = retain(q * q.shape[-1] ** -0.5, k, v)
        if config.norm:
            y = head_norm(y)
        y = merge_heads(y)
        if self.gate is not None:
            y = silu(self.gate(x)) * y
        return self.out(y), state


def _linear(width: int, init) -> Linear:
    return Linear(width, width, bias=False, kind="own", init=init)


@full_precision
def retain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """sum_{s<=t} gamma_h^(t-s) (q_t.k_s) v_s; q and k (..., H, L, K), v (..., H, L, V)."""
    heads, length = q.shape[-3:-1]
    index = torch.arange(heads, dtype=torch.float64, device=q.device)
    log_gamma = torch.log1p(-torch.exp2(-5 - index)).to(q.dtype)
    log_decay = log_gamma.view(-1, 1, 1).expand(*q.shape[:-2], length, 1)
    return linear_recurrence(q, k, v, log_decay).outputs


@full_precision
def rotate(x: Tensor) -> Tensor:
    """Turns channels (2i, 2i + 1) of x (..., L, K) at position t by t 10000^(-i / (K/2 - 1))."""
    length, pairs = x.shape[-2], x.shape[-1] // 2
    t = torch.arange(length, dtype=torch.float64, device=x.device)
    exponent = torch.linspace(0, 1, pairs, dtype=torch.float64, device=x.device)
    angle = t.unsqueeze(-1) * 10000**-exponent
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)
