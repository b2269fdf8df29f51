"""Linear attention (Katharopoulos et al., arXiv 2006.16236, eq. 4 to 7, causal eq. 9 to 12).

    o_t = sum_s (phi(q_t).phi(k_s)) v_s / sum_s phi(q_t).phi(k_s)

phi is elu + 1 in the paper. Queries are scaled by 1 / sqrt(K) as in later code; with the division
this makes no difference. The causal sum is a recurrence (`harness.mixers.recurrence`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from harness.layers import Linear, full_precision
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.heads import check_heads, merge_heads, split_heads
from harness.mixers.recurrence import linear_recurrence

FeatureMap = Literal["elu", "relu", "identity"]


@register("linear_attention")
class LinearAttention(Mixer):
    """heads must divide the width. feature_map: phi, of which elu stands for elu(x) + 1.

    normalize: divide by the sum of the weights, which `identity` cannot: its weights have any
    sign, so that their sum may vanish. causal: s <= t, otherwise all s.
    """

    summary: ClassVar[str] = "attention with a product of features in place of the exponential"
    source: ClassVar[str] = "arXiv:2006.16236, eq. 4-12"
    call_time: ClassVar[float] = 1.6
    pass_time: ClassVar[float] = 2.1

    heads: Annotated[int, Field(ge=1)] = 1
    feature_map: FeatureMap = "elu"
    normalize: bool = True
    causal: bool = True

    @model_validator(mode="after")
    def _weights_are_positive(self):
        if self.normalize and self.feature_map == "identity":
            raise ValueError(
                "linear_attention with feature_map identity has weights of any sign, whose sum "
                "may vanish: set normalize: false, or choose elu or relu"
            )
        return self

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    def check(self, width: int, length: int) -> None:
        check_heads(self.name, self.heads, width)

    def module(self, width: int, length: int) -> nn.Module:
        return _LinearAttention(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        """Of the recurrence: k v^T is added to the state, q reads it."""
        return 8.0 * width**2 + 4.0 * self.state_size(width, length)

    def state_size(self, width: int, length: int) -> int:
        """A matrix a head and, to normalise, the sum of keys."""
        return width * (width // self.heads + int(self.normalize))


class _LinearAttention(nn.Module):
    def __init__(self, config: LinearAttention, width: int):
        super().__init__()
        self.config = config
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        config = self.config
        q, k, v = (split_heads(part, config.heads) for part in self.qkv(x).chunk(3, -1))
        q, k = features(q, config.feature_map), features(k, config.feature_map)
        y = attend(q * q.shape[-1] ** -0.5, k, v, causal=config.causal, normalize=config.normalize)
        return self.out(merge_heads(y)), state


def features(x: Tensor, feature_map: FeatureMap) -> Tensor:
    """phi, entry by entry."""
    if feature_map == "elu":
        return torch.where(x > 0, x + 1, torch.exp(x.clamp(max=0)))
    return torch.relu(x) if feature_map == "relu" else x


@full_precision
def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool,
    normalize: bool,
    eps: float = 1e-10,
) -> Tensor:
    """sum_s (q_t.k_s) v_s, divided by (sum_s q_t.k_s + eps) if normalised; s <= t if causal.

    q and k are features (..., L, K), v (..., L, V); the sum of weights is the sum over a value
    that is always one.
    """
    values = v.shape[-1]
    if normalize:
        v = F.pad(v, (0, 1), value=1.0)
    y = linear_recurrence(q, k, v).outputs if causal else _over_all(q, k, v)
    if normalize:
        return y[..., :values] / (y[..., values : values + 1] + eps)
    return y[..., :values]


def _over_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (k^T v), the sizes filled up for the reason that `harness.layers.linear` gives."""
    q, k = (F.pad(x, (0, -x.shape[-1] % 4)) for x in (q, k))
    return q @ (k.mT @ F.pad(v, (0, -v.shape[-1] % 4)))
