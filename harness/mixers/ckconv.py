"""CKConv (Romero et al., ICLR 2022, arXiv 2102.02611): a kernel that is a function of position.

    y = W_out (h * x),   h[d, j] = SIREN(p_j)_d,   p_j in [-1, 1] the relative position of tap j
    SIREN(p) = W3 sin(omega_0 (W2 sin(omega_0 (w1 p + b1)) + b2)) + b3   (section 4)

How it differs from `long_conv`: there the sine network is Hyena's (a trained table of sinusoids
as input, a trained frequency, an exponential window) and a skip joins the convolution. Here the
network sees the position alone, nothing forces the kernel to decay, and omega_0 is a fixed number
that sets how fast it may oscillate. The network is defined at every position, so beyond the
length that it was built for it is evaluated further, at the same spacing.

Deviations: a kernel of the paper is dense, D x D at every tap; here it is depthwise and W_out
mixes channels, as in the authors' later work. No weight norm. b3 starts at zero: the published
code draws it from [-1, 1], which makes the kernel nearly a constant, and normalises the output of
each convolution, which a pre-norm block does not.

Dimensions: B batch, L length, T taps, D width, W hidden width.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Linear, Recipe, constant, full_precision, linear, parameter, uniform
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.padded_convolution import causal, flops_per_token, two_sided


@register("ckconv")
class CKConv(Mixer):
    """Convolution with a sine network of relative positions, zero-padded.

    causal: taps 0 to L - 1 at positions -1 to 1; otherwise taps 1 - L to L - 1 at -1 to 1.
    hidden: W, of both layers. omega_0: factor inside the sines, not trained.
    """

    summary: ClassVar[str] = "convolution with a sine network of positions as kernel"
    source: ClassVar[str] = "arXiv:2102.02611, section 4"
    call_time: ClassVar[float] = 1.5
    pass_time: ClassVar[float] = 0.92

    causal: bool = True
    hidden: Annotated[int, Field(ge=1)] = 32
    omega_0: Annotated[float, Field(gt=0)] = 30.0

    @property
    def regime(self) -> Regime:
        return "causal" if self.causal else "bidirectional"

    def module(self, width: int, length: int) -> nn.Module:
        return _CKConv(self, width, length)

    def flops_per_token(self, width: int, length: int) -> float:
        return 2.0 * width**2 + width * flops_per_token(length)

    def state_size(self, width: int, length: int) -> int:
        """All inputs: a kernel as long as the sequence has no smaller exact state."""
        return length * width


class _CKConv(nn.Module):
    def __init__(self, config: CKConv, width: int, length: int):
        super().__init__()
        self.causal, self.built = config.causal, length
        self.kernel = Siren(config.hidden, width, omega_0=config.omega_0)
        self.out_linear = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        length = x.shape[-2]
        taps = torch.arange(length, device=x.device, dtype=self.kernel.slope.dtype)
        taps = taps / max(1, self.built - 1)
        if self.causal:
            y = causal(x, self.kernel(2 * taps - 1))
        else:
            # Reading u[t + 1 + j] is tap -(1 + j); the last one would be a tap too many.
            y = two_sided(x, self.kernel(taps), self.kernel(-taps[1:]))
        return self.out_linear(y), state


class Siren(nn.Module):
    """forward(positions (T)) -> (..., T, D), initialised as sine networks are: inner weights within
    sqrt(6 / W) / omega_0, so that angles keep their spread from layer to layer."""

    def __init__(self, hidden: int, width: int, *, omega_0: float):
        super().__init__()
        self.omega_0 = omega_0
        bound = math.sqrt(6 / hidden) / omega_0
        one = Recipe(uniform(1.0), decay=False)
        inner = Recipe(uniform(bound), decay=False)
        self.slope, self.phase = parameter((hidden,), one), parameter((hidden,), one)
        self.weight, self.bias = parameter((hidden, hidden), inner), parameter((hidden,), one)
        self.out_weight = parameter((width, hidden), inner)
        self.out_bias = parameter((width,), Recipe(constant(0.0), decay=False))

    @full_precision
    def forward(self, positions: Tensor) -> Tensor:
        slope, phase = self.slope.unsqueeze(-2), self.phase.unsqueeze(-2)
        h = torch.sin(self.omega_0 * (slope * positions.unsqueeze(-1) + phase))
        h = torch.sin(self.omega_0 * linear(h, self.weight, self.bias))
        return linear(h, self.out_weight, self.out_bias)
