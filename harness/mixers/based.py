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
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, full_precision
from harness.mixers import linear_attention
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.heads import check_heads, merge_heads, split_heads
from harness.mixers.recurrence import chunks

FeatureMap = Literal["taylor", "cosformer", "pos_elu"]
_CHUNK = 128  # positions: features are many, similarities within a chunk go without them


@register("based")
class Based(Mixer):
    """heads must divide the width; feature_dim: channels of q and k a head, before the features.

    eps: added to the sum of weights. causal: s <= t, otherwise all s.
    """

    summary: ClassVar[str] = "linear attention with Taylor features of the exponential"
    source: ClassVar[str] = "arXiv:2402.18668, sec. 4.1"
    call_time: ClassVar[float] = 1.3
    pass_time: ClassVar[float] = 0.9

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
        if config.causal and config.feature_map == "taylor":
            y = causal_taylor(q, k, v, eps=config.eps)
        else:
            q, k = (features(part, config.feature_map) for part in (q, k))
            y = linear_attention.attend(
                q, k, v, causal=config.causal, normalize=True, eps=config.eps
            )
        return self.out(merge_heads(y)), state


@full_precision
def features(x: Tensor, feature_map: FeatureMap) -> Tensor:
    """(..., L, f) -> (..., L, features); products of features of q and k are the similarity."""
    if feature_map == "pos_elu":
        return linear_attention.features(x, "elu")
    if feature_map == "cosformer":
        x = torch.relu(x)
        angle = angles(x.shape[-2], x.dtype, x.device).unsqueeze(-1)
        return torch.cat([x * torch.sin(angle), x * torch.cos(angle)], -1)
    x = x * x.shape[-1] ** -0.25
    return torch.cat([torch.ones_like(x[..., :1]), _first_and_second(x)], -1)


@full_precision
def causal_taylor(q: Tensor, k: Tensor, v: Tensor, *, eps: float) -> Tensor:
    """sum_{s<=t} S_ts v_s / (sum_{s<=t} S_ts + eps); q and k (..., L, f), v (..., L, V).

    Inside a chunk S is formed from a; features serve for what lies in the chunks before. There
    the constant one's part is a sum of values alone, which leaves f + f^2 features.
    """
    length, values = v.shape[-2:]
    chunk = min(_CHUNK, length + -length % 4)
    scale = q.shape[-1] ** -0.25
    q, k = chunks(q * scale, chunk), chunks(k * scale, chunk)
    v = chunks(F.pad(v, (0, 1), value=1.0), chunk)
    a = q @ k.mT
    y = (1 + a + 0.5 * a.square()).tril() @ v
    if y.shape[-3] > 1:
        first, later = y[..., :1, :, :], y[..., 1:, :, :]
        v = v[..., :-1, :, :]
        sums = v.sum(-2, keepdim=True).cumsum(-3)
        states = (_first_and_second(k[..., :-1, :, :]).mT @ v).cumsum(-3)
        later = later + sums + _first_and_second(q[..., 1:, :, :]) @ states
        y = torch.cat([first, later], -3)
    y = y.flatten(-3, -2)[..., :length, :]
    return y[..., :values] / (y[..., values : values + 1] + eps)


def _first_and_second(x: Tensor) -> Tensor:
    """(..., f) -> (..., f + f^2): x and its products of two channels, these over sqrt(2)."""
    products = (x.unsqueeze(-1) * (x * math.sqrt(0.5)).unsqueeze(-2)).flatten(-2)
    return torch.cat([x, products], -1)


def angles(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """pi/2 t / L for t = 1 .. L, of cosformer."""
    steps = torch.arange(1, length + 1, dtype=torch.float64, device=device)
    return (math.pi / 2 * steps / length).to(dtype)
