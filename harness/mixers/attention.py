"""Softmax attention (Vaswani et al., arXiv 1706.03762, eq. 1), causal or over all positions.

Positions are the model's job. Members are folded into the batch, so one kernel serves a stack.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, contiguous_gradient
from harness.mixers.base import Mixer, Regime, State, register


@register("attention")
class Attention(Mixer):
    """softmax(q k^T / sqrt(D / heads)) v. heads must divide the width."""

    summary: ClassVar[str] = "softmax attention"
    source: ClassVar[str] = "arXiv:1706.03762, eq. 1"

    heads: Annotated[int, Field(ge=1)] = 1
    causal: bool = True

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    def check(self, width: int, length: int) -> None:
        if width % self.heads:
            raise ValueError(
                f"attention with {self.heads} heads needs a width that {self.heads} divides, "
                f"got {width}"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return _Attention(width, heads=self.heads, causal=self.causal)

    def flops_per_token(self, width: int, length: int) -> float:
        """Causal attention counts half of the products, those that it needs."""
        scores = 4.0 * width * length
        return 8.0 * width**2 + (scores / 2 if self.causal else scores)

    def state_size(self, width: int, length: int) -> int:
        return 2 * length * width


class _Attention(nn.Module):
    def __init__(self, width: int, *, heads: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        size = x.shape[-1] // self.heads
        rows = contiguous_gradient(self.qkv(x)).reshape(-1, x.shape[-2], 3, self.heads, size)
        if size % 4:  # filled up, for the reason that `harness.layers.linear` gives
            rows = F.pad(rows, (0, -size % 4))
        q, k, v = rows.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=size**-0.5)
        return self.out(y[..., :size].transpose(1, 2).reshape(x.shape)), state
