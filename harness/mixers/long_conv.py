"""Long convolution with Hyena's implicit kernel, and nothing else.

    y = W_out (h0 * x + beta x),   h0: implicit kernel of `harness.mixers.orchid.static_kernel`

Linear in x and without gates or input projection: the floor against which gating (Orchid with
conditioning `static`) and data dependence are measured. Relatives: `ckconv`, whose kernel network
sees the position alone and has no window; `simple_long_conv`, whose taps are parameters.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor, nn

from harness.foundation.config import FromRegistry
from harness.layers import Linear, Recipe, normal, parameter
from harness.mixers.base import Mixer, Regime, State, fft_flops, register
from harness.mixers.orchid.global_convolution import Transform
from harness.mixers.orchid.static_kernel import STATIC_KERNELS, ImplicitKernel, StaticKernel
from harness.mixers.padded_convolution import spectrum


@register("long_conv")
class LongConv(Mixer):
    """causal: zero-padded to 2L, taps reach back only; otherwise circular over L positions."""

    summary: ClassVar[str] = "convolution with a static implicit kernel"
    source: ClassVar[str] = "arXiv:2302.10866"
    call_time: ClassVar[float] = 1.6
    pass_time: ClassVar[float] = 1.0

    causal: bool = True
    kernel: Annotated[StaticKernel, FromRegistry(STATIC_KERNELS)] = ImplicitKernel()

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    def check(self, width: int, length: int) -> None:
        if self.kernel.name == "none":
            raise ValueError("long_conv needs a kernel: choose kernel: implicit")
        self.kernel.check(width, length)

    def module(self, width: int, length: int) -> nn.Module:
        return _LongConv(self, width, length)

    def flops_per_token(self, width: int, length: int) -> float:
        points = 2 * length if self.causal else length
        convolution = (2 * fft_flops(points) + 6 * (points // 2 + 1)) * width / length
        return 2.0 * width**2 + convolution

    def state_size(self, width: int, length: int) -> int:
        """All inputs, as a kernel as long as the sequence has no smaller exact state; those that
        it reaches where it is causal and shorter."""
        return width * (self.kernel.num_taps(length) if self.causal else length)


class _LongConv(nn.Module):
    def __init__(self, config: LongConv, width: int, length: int):
        super().__init__()
        self.causal = config.causal
        self.kernel = config.kernel.module(width, length)
        self.skip = parameter((width,), Recipe(normal(1.0), decay=False))
        self.out_linear = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        length = x.shape[-2]
        points = 2 * length if self.causal else length
        transform = Transform("dft", "backward", length, points)
        kernel = spectrum(self.kernel(length), self.skip, transform)
        return self.out_linear(transform.convolve(x, kernel)), state
