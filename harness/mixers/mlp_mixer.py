"""The token-mixing MLP of MLP-Mixer (Tolstikhin et al., arXiv 2105.01601, eq. 1, first line).

    y = W2 gelu(W1 x + b1) + b2,   over positions, the same for every channel

W1 is (H, L) and W2 (L, H) with H = ratio L: the weights belong to positions, so the mixer works
at the length it was built for and at no other.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from harness.layers import Linear, contiguous_gradient, gelu, linear
from harness.mixers.base import Mixer, Regime, State, register


@register("mlp_mixer")
class MlpMixer(Mixer):
    """ratio: hidden units as a multiple of the length (384 for 196 in Mixer-B/16).

    causal: hidden unit j stands at position floor(j L / H), reads positions up to there and is
    read from there on: both weights are masked. Not in the paper.
    """

    summary: ClassVar[str] = "MLP over positions"
    source: ClassVar[str] = "arXiv:2105.01601, eq. 1"
    fixed_length: ClassVar[bool] = True

    ratio: Annotated[float, Field(gt=0)] = 2.0
    causal: bool = False

    @model_validator(mode="after")
    def _a_unit_a_position(self):
        if self.causal and self.ratio < 1:
            raise ValueError(
                f"causal needs a hidden unit for every position: ratio >= 1, got {self.ratio}"
            )
        return self

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    def module(self, width: int, length: int) -> nn.Module:
        return _MlpMixer(length, self.hidden(length), causal=self.causal)

    def hidden(self, length: int) -> int:
        return max(1, round(self.ratio * length))

    def flops_per_token(self, width: int, length: int) -> float:
        """Causal counts half of the products, those that it needs."""
        products = 4.0 * self.hidden(length) * width
        return products / 2 if self.causal else products

    def state_size(self, width: int, length: int) -> int:
        """All inputs, or the hidden units that they are summed into where those are fewer."""
        return min(length, self.hidden(length)) * width


class _MlpMixer(nn.Module):
    def __init__(self, length: int, hidden: int, *, causal: bool):
        super().__init__()
        self.length = length
        self.up = Linear(length, hidden)
        self.down = Linear(hidden, length, kind="residual")
        self.causal = causal
        if causal:
            position, unit = torch.arange(length), torch.arange(hidden) * length // hidden
            self.register_buffer("read", unit[:, None] >= position, persistent=False)
            self.register_buffer("written", position[:, None] >= unit, persistent=False)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        length = x.shape[-2]
        if length != self.length:
            raise ValueError(
                f"mlp_mixer was built for length {self.length}, got {length}: its weights belong "
                "to positions"
            )
        up, down = self.up.weight, self.down.weight
        if self.causal:
            up, down = up * self.read, down * self.written
        hidden = gelu(linear(x.mT, up, self.up.bias))
        return contiguous_gradient(linear(hidden, down, self.down.bias)).mT, state
