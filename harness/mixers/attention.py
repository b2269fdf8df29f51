"""Softmax attention (Vaswani et al., arXiv 1706.03762, eq. 1), causal or over all positions.

Learned positions are the model's (`model.positions: learned`); rotary ones belong to the products
and are an option here. Members are folded into the batch, so one kernel serves a stack.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, contiguous_gradient, full_precision, remembered
from harness.mixers.base import Mixer, Regime, State, register

# Queries that share a band of keys. Narrower bands than this would save little memory and cost
# many small products.
SMALLEST_BLOCK = 64


@register("attention")
class Attention(Mixer):
    """softmax(q k^T / sqrt(D / heads)) v. heads must divide the width.

    positions: `rotary` turns q and k of position t by angles t / 10000^(2j / head size), in the
        rotate-halves form (Su et al., arXiv 2104.09864, eq. 34); the head size must be even.
    window: position t sees the last `window` positions, itself included (|t - s| < window where
        not causal); null sees all. Memory is then linear in the length.
    """

    summary: ClassVar[str] = "softmax attention"
    source: ClassVar[str] = "arXiv:1706.03762, eq. 1"

    heads: Annotated[int, Field(ge=1)] = 1
    causal: bool = True
    positions: Literal["none", "rotary"] = "none"
    window: Annotated[int, Field(ge=1)] | None = None

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    def check(self, width: int, length: int) -> None:
        if width % self.heads:
            raise ValueError(
                f"attention with {self.heads} heads needs a width that {self.heads} divides, "
                f"got {width}"
            )
        size = width // self.heads
        if self.positions == "rotary" and size % 2:
            raise ValueError(
                "rotary positions need an even head size (width / heads), "
                f"got {width} / {self.heads} = {size}"
            )
        if self.window is not None and self.window > length:
            raise ValueError(
                f"a window must be at most the length: window {self.window} > length {length}; "
                "window: null sees everything"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return _Attention(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        """Causal attention counts half of the products, those that it needs."""
        window = self._reach(length)
        scores = 4.0 * width * window * (2 - window / length)
        rotation = 6.0 * width if self.positions == "rotary" else 0.0
        return 8.0 * width**2 + rotation + (scores / 2 if self.causal else scores)

    def state_size(self, width: int, length: int) -> int:
        return 2 * self._reach(length) * width

    def _reach(self, length: int) -> int:
        return length if self.window is None else min(self.window, length)


class _Attention(nn.Module):
    def __init__(self, config: Attention, width: int):
        super().__init__()
        self.heads, self.causal, self.window = config.heads, config.causal, config.window
        self.rotary = config.positions == "rotary"
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        length, size = x.shape[-2], x.shape[-1] // self.heads
        rows = contiguous_gradient(self.qkv(x)).reshape(-1, length, 3, self.heads, size)
        if self.rotary:
            rows = torch.cat([_rotate(rows[..., :2, :, :]), rows[..., 2:, :, :]], dim=-3)
        if size % 4:  # filled up, for the reason that `harness.layers.linear` gives
            rows = F.pad(rows, (0, -size % 4))
        q, k, v = rows.permute(2, 0, 3, 1, 4)
        if self.window is None or self.window >= length:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=size**-0.5)
        else:
            y = _banded(q, k, v, self.window, causal=self.causal, scale=size**-0.5)
        return self.out(y[..., :size].transpose(1, 2).reshape(x.shape)), state


@full_precision
def _rotate(x: Tensor) -> Tensor:
    """Rotary positions: x (..., L, 2, H, C), channels j and j + C/2 turned as a pair."""
    cos, sin = _angles(x.shape[-4], x.shape[-1], x.dtype, x.device)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


@remembered(64)
def _angles(
    length: int, size: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """cos and sin of t / 10000^(2j / C), each (L, 1, 1, C/2), formed in float64."""
    with torch.inference_mode(False):
        rates = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = (torch.arange(length, dtype=torch.float64)[:, None] * rates).view(length, 1, 1, -1)
        return angle.cos().to(device, dtype), angle.sin().to(device, dtype)


def _banded(q: Tensor, k: Tensor, v: Tensor, window: int, *, causal: bool, scale: float) -> Tensor:
    """Attention within a window, by blocks of queries that share a band of keys.

    q, k, v (N, H, L, C) -> (N, H, L, C). A block of P queries meets the P + window - 1 keys that
    its queries may see (as many more ahead where not causal): memory O(L (P + window)).
    """
    length = q.shape[-2]
    block = min(length, max(window, SMALLEST_BLOCK))
    blocks = -(-length // block)
    back, ahead = window - 1, 0 if causal else window - 1
    span = back + block + ahead
    span += -span % 4  # for the reason that `harness.layers.linear` gives
    fill = blocks * block - length
    rows = F.pad(q, (0, 0, 0, fill)).flatten(0, 1).unflatten(-2, (blocks, block))
    bands = [
        F.pad(side, (0, 0, back, span - back - block + fill))
        .flatten(0, 1)
        .unfold(-2, span, block)
        .transpose(-1, -2)
        for side in (k, v)
    ]
    mask = _visible(length, window, block, span, causal, q.device)
    y = F.scaled_dot_product_attention(rows, *bands, attn_mask=mask, scale=scale)
    return y.flatten(1, 2)[:, :length].reshape(q.shape)


@remembered(16)
def _visible(
    length: int, window: int, block: int, span: int, causal: bool, device: torch.device
) -> Tensor:
    """Which keys of its band a query sees, (blocks, P, span); one beyond the end sees itself."""
    with torch.inference_mode(False):
        first = torch.arange(0, length, block).view(-1, 1, 1)
        query = first + torch.arange(block).view(-1, 1)
        key = first + torch.arange(span) - (window - 1)
        back = query - key
        seen = (back < window) & (back > (-1 if causal else -window)) & (key >= 0) & (key < length)
        return (seen | (back == 0)).to(device)
