"""Linear attention of Based (Arora et al., arXiv 2402.18668, sec. 4.1): exp by its Taylor series.

    o_t = sum_s S_ts v_s / (sum_s S_ts + eps),   S_ts = 1 + a + a^2 / 2,   a = q_t.k_s / sqrt(f)

q and k have f = feature_dim channels a head, v has D / heads. S is a product of features of q and
of k, so the causal sum is a recurrence. The published Based alternates this with attention in a
sliding window: that is a pattern of layers, not this mixer.

Two other similarities of the published code: `cosformer`, relu(q).relu(k) cos(pi/2 (t - s) / L)
(Qin et al., arXiv 2202.08791, eq. 10), and `pos_elu`, (elu(q) + 1).(elu(k) + 1). As published,
the angles of cosformer are those of the sequence at hand: what precedes a position is weighted
by how long the sequence will be, also where it is causal.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear
from harness.mixers import linear_attention
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.heads import check_heads, merge_heads, split_heads

FeatureMap = Literal["taylor", "cosformer", "pos_elu"]
_CHUNK = 64  # positions: the features are many, so a state is worth more of them


@register("based")
class Based(Mixer):
    """heads must divide the width; feature_dim: channels of q and k a head, before the features.

    eps: added to the sum of weights. causal: s <= t, otherwise all s.
    """

    summary: ClassVar[str] = "linear attention with Taylor features of the exponential"
    source: ClassVar[str] = "arXiv:2402.18668, sec. 4.1"

    heads: Annotated[int, Field(ge=1)] = 1
    feature_dim: Annotated[int, Field(ge=1)] = 16
    feature_map: FeatureMap = "taylor"
    eps: Annotated[float, Field(ge=0)] = 1e-12
    causal: bool = True

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    @property
    def num_features(self) -> int:
        """Of q and k a head, after the map."""
        size = self.feature_dim
        return {"taylor": 1 + size + size**2, "cosformer": 2 * size, "pos_elu": size}[
            self.feature_map
        ]

    def check(self, width: int, length: int) -> None:
        check_heads(self.name, self.heads, width)

    def module(self, width: int, length: int) -> nn.Module:
        return _Based(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        """Of the recurrence: features of k times v are added to the state, those of q read it."""
        projections = 4.0 * width * (self.heads * self.feature_dim + width)
        return projections + 4.0 * self.state_size(width, length)

    def state_size(self, width: int, length: int) -> int:
        """A matrix a head and the sum of features of keys."""
        return self.num_features * (width + self.heads)


class _Based(nn.Module):
    def __init__(self, config: Based, width: int):
        super().__init__()
        self.config = config
        keys = config.heads * config.feature_dim
        self.q = Linear(width, keys, bias=False)
        self.k = Linear(width, keys, bias=False)
        self.v = Linear(width, width, bias=False)
        self.out = Linear(width, width, bias=False, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        config = self.config
        q, k, v = (split_heads(part(x), config.heads) for part in (self.q, self.k, self.v))
        q, k = (features(part, config.feature_map) for part in (q, k))
        y = linear_attention.attend(
            q, k, v, causal=config.causal, normalize=True, eps=config.eps, chunk=_CHUNK
        )
        return self.out(merge_heads(y)), state


def features(x: Tensor, feature_map: FeatureMap) -> Tensor:
    """(..., L, f) -> (..., L, features); products of features of q and k are the similarity."""
    if feature_map == "pos_elu":
        return linear_attention.features(x, "elu")
    if feature_map == "cosformer":
        x = torch.relu(x)
        angle = angles(x.shape[-2], x.dtype, x.device).unsqueeze(-1)
        return torch.cat([x * torch.sin(angle), x * torch.cos(angle)], -1)
    x = x * x.shape[-1] ** -0.25
    squares = (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2) * math.sqrt(0.5)
    return torch.cat([torch.ones_like(x[..., :1]), x, squares], -1)


def angles(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """pi/2 t / L for t = 1 .. L, of cosformer."""
    steps = torch.arange(1, length + 1, dtype=torch.float64, device=device)
    return (math.pi / 2 * steps / length).to(dtype)
