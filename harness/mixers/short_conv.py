"""A short causal depthwise convolution and a projection: the control for the models' own one.

    y = W_out conv(x)                      y_d[t] = sum_k w_d[k] x_d[t - k] + b_d
    y = W_out (conv(x) . (W_gate x))       gated

Whatever a mixer does beyond this it owes to more than its neighbourhood of `taps` tokens. The
gated form is a BaseConv (Arora et al., arXiv 2312.04927, section 4) with a short filter.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, ShortConv
from harness.mixers.base import Mixer, Regime, State, register


@register("short_conv")
class ShortConvolution(Mixer):
    """taps: positions that an output sees, its own included. gated: times a projection of x."""

    summary: ClassVar[str] = "causal convolution with a few taps: a control"
    source: ClassVar[str] = "arXiv:2312.04927, section 4, with a short filter"
    call_time: ClassVar[float] = 0.8
    pass_time: ClassVar[float] = 0.74

    taps: Annotated[int, Field(ge=1)] = 3
    gated: bool = False

    @property
    def regime(self) -> Regime:
        return "causal"

    def check(self, width: int, length: int) -> None:
        if self.taps > length:
            raise ValueError(f"taps must be at most the length: {self.taps} > {length}")

    def module(self, width: int, length: int) -> nn.Module:
        return _ShortConvolution(width, taps=self.taps, gated=self.gated)

    def flops_per_token(self, width: int, length: int) -> float:
        return 2.0 * (1 + self.gated) * width**2 + (2.0 * self.taps + self.gated) * width

    def state_size(self, width: int, length: int) -> int:
        """The inputs that later outputs see, and the present one."""
        return self.taps * width


class _ShortConvolution(nn.Module):
    def __init__(self, width: int, *, taps: int, gated: bool):
        super().__init__()
        self.conv = ShortConv(width, taps)
        self.gate = Linear(width, width) if gated else None
        self.out = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.conv(x)
        if self.gate is not None:
            y = y * self.gate(x)
        return self.out(y), state
