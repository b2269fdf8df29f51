"""Hyena (Poli et al., ICML 2023, arXiv 2302.10866, definition 3.1): gates and long convolutions.

    [x_0, ..., x_{N-1}, v] = ShortConv(W_in u)
    y = v;   y <- h_i * (gate y) + b_i (gate y), for each of N - 1 filters;   out = W_out (gate y)

N is the order: N gates, N - 1 causal convolutions between them, as the published code has it (the
definition counts N of them). h_i: implicit filters, see `harness.mixers.orchid.static_kernel`.

Dimensions: B batch, L length, D width.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from harness.foundation.config import FromRegistry
from harness.layers import Linear, Recipe, ShortConv, normal, parameter
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.orchid.static_kernel import STATIC_KERNELS, ImplicitKernel, StaticKernel
from harness.mixers.padded_convolution import causal, flops_per_token


@register("hyena")
class Hyena(Mixer):
    """Causal implicit convolutions between multiplicative gates.

    order: N. short_filter: taps of the causal depthwise convolution behind the projections.
    gate_order: `last_first` multiplies with x_{N-1} first and x_0 last, as the authors' code does;
    `first_first` the other way round, as zoology does. The two are one function with the
    projections renamed: the option is there for their weights.
    filter: one network for all filters, D (N - 1) channels wide, filter i being its i-th D.
    """

    summary: ClassVar[str] = "long convolutions with implicit kernels between gates"
    source: ClassVar[str] = "arXiv:2302.10866, definition 3.1"
    call_time: ClassVar[float] = 1.8
    pass_time: ClassVar[float] = 1.6

    order: Annotated[int, Field(ge=2)] = 2
    short_filter: Annotated[int, Field(ge=1)] = 3
    gate_order: Literal["last_first", "first_first"] = "last_first"
    filter: Annotated[StaticKernel, FromRegistry(STATIC_KERNELS)] = ImplicitKernel()

    @property
    def regime(self) -> Regime:
        return "causal"

    def check(self, width: int, length: int) -> None:
        if self.filter.name == "none":
            raise ValueError("hyena needs a filter: choose filter: implicit")
        self.filter.check(width * (self.order - 1), length)

    def module(self, width: int, length: int) -> nn.Module:
        return _Hyena(self, width, length)

    def flops_per_token(self, width: int, length: int) -> float:
        streams = self.order + 1
        per_channel = (
            2.0 * streams * self.short_filter
            + self.order
            + (self.order - 1) * flops_per_token(length)
        )
        return 2.0 * (streams + 1) * width**2 + width * per_channel

    def state_size(self, width: int, length: int) -> int:
        """The inputs that every long convolution reaches, all unless its filter has a
        kernel_length, and those before the present that the short one does."""
        short = (self.order + 1) * (self.short_filter - 1)
        return width * ((self.order - 1) * self.filter.num_taps(length) + short)


class _Hyena(nn.Module):
    def __init__(self, config: Hyena, width: int, length: int):
        super().__init__()
        self.order, self.reverse = config.order, config.gate_order == "last_first"
        self.in_linear = Linear(width, (config.order + 1) * width)
        self.short_conv = ShortConv((config.order + 1) * width, config.short_filter)
        channels = (config.order - 1) * width
        self.filter = config.filter.module(channels, length)
        self.skip = parameter((channels,), Recipe(normal(1.0), decay=False))
        self.out_linear = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        *gates, y = self.short_conv(self.in_linear(x)).chunk(self.order + 1, dim=-1)
        if self.reverse:
            gates.reverse()
        filters = self.filter(x.shape[-2]).chunk(self.order - 1, dim=-1)
        skips = self.skip.chunk(self.order - 1, dim=-1)
        for gate, taps, skip in zip(gates, filters, skips, strict=False):
            y = causal(gate * y, taps, skip)
        return self.out_linear(gates[-1] * y), state
