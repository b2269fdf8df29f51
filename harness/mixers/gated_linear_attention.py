"""Gated linear attention (Yang et al., arXiv 2312.06635, sec. 4.4).

    S_t = diag(alpha_t) S_{t-1} + k_t v_t^T,   o_t = S_t^T q_t / sqrt(K)
    alpha_t = sigmoid(W_2 W_1 x_t + b)^(1 / tau),   W_1 of low rank
    y_t = W_o (swish(W_r x_t + b_r) * LayerNorm(o_t)), the norm within a head

Queries and keys are half as wide as the model. The norm has no scale, as in the authors' code
(W_o absorbs one); small initial values of q, k and the gate are theirs too. Variants with a short
convolution in front: the model's `short_conv`, an axis of every mixer.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, silu
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.heads import check_heads, head_norm, merge_heads, split_heads, xavier
from harness.mixers.recurrence import linear_recurrence, softplus


@register("gated_linear_attention")
class GatedLinearAttention(Mixer):
    """heads must divide the width and key_ratio x width, the width of queries and keys.

    gate_rank: of W_1. temperature: tau; larger forgets more slowly.
    """

    summary: ClassVar[str] = "linear attention with a decay by channel that the input sets"
    source: ClassVar[str] = "arXiv:2312.06635, eq. 3 and sec. 4.4"
    call_time: ClassVar[float] = 3.3
    pass_time: ClassVar[float] = 3.3

    heads: Annotated[int, Field(ge=1)] = 1
    key_ratio: Annotated[float, Field(gt=0)] = 0.5
    gate_rank: Annotated[int, Field(ge=1)] = 16
    temperature: Annotated[float, Field(gt=0)] = 16.0

    @property
    def regime(self) -> Regime:
        return "causal"

    def check(self, width: int, length: int) -> None:
        check_heads(self.name, self.heads, width, least=2)
        keys = self.key_ratio * width
        if abs(keys - round(keys)) > 1e-9 or round(keys) % self.heads or round(keys) < 1:
            raise ValueError(
                f"gated_linear_attention with {self.heads} heads needs a key width that "
                f"{self.heads} divides, got {self.key_ratio} x {width} = {keys:g}"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return _GatedLinearAttention(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        """Of the recurrence: the state decays, k v^T is added to it, q reads it."""
        keys = round(self.key_ratio * width)
        weights = 3 * width**2 + 2 * width * keys + self.gate_rank * (width + keys)
        return 2.0 * weights + 5.0 * self.state_size(width, length)

    def state_size(self, width: int, length: int) -> int:
        return round(self.key_ratio * width) * (width // self.heads)


class _GatedLinearAttention(nn.Module):
    def __init__(self, config: GatedLinearAttention, width: int):
        super().__init__()
        self.heads, self.temperature = config.heads, config.temperature
        keys, rank = round(config.key_ratio * width), config.gate_rank
        small = xavier(2**-2.5)
        self.q = Linear(width, keys, bias=False, kind="own", init=small)
        self.k = Linear(width, keys, bias=False, kind="own", init=small)
        self.v = Linear(width, width, bias=False)
        self.decay_in = Linear(width, rank, bias=False, kind="own", init=small)
        self.decay_out = Linear(rank, keys, kind="own", init=small)
        self.gate = Linear(width, width)
        self.out = Linear(width, width, bias=False, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = (split_heads(part(x), self.heads) for part in (self.q, self.k, self.v))
        log_decay = -softplus(-self.decay_out(self.decay_in(x))) / self.temperature
        log_decay = split_heads(log_decay, self.heads)
        y = linear_recurrence(q * q.shape[-1] ** -0.5, k, v, log_decay).outputs
        return self.out(silu(self.gate(x)) * merge_heads(head_norm(y))), state
