"""Convolution over positions by transforms of 2L points, so that nothing wraps around.

    causal      y[t] = sum_{j >= 0} h[j] x[t-j] + skip x[t]
    two-sided   y[t] = sum_{j >= 0} (h[j] x[t-j] + g[j] x[t+1+j]) + skip x[t]

Beyond the ends x counts as zero. Exact up to rounding: an output differs by some 1e-7 (float32)
of the largest one through inputs that it does not depend on.

Dimensions: B batch, L length, T taps, D width, c channels (kernels that read the same input).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.layers import Linear, Recipe, gelu, normal, parameter, per_channel, sigmoid
from harness.mixers.base import State, fft_flops
from harness.mixers.orchid.global_convolution import Transform

Activation = Literal["gelu", "identity"]
Output = Literal["linear", "glu", "none"]


def causal(x: Tensor, taps: Tensor, skip: Tensor | None = None) -> Tensor:
    """x (..., B, L, D), taps (..., T, D), skip (..., D): (..., B, L, D)."""
    transform = _padded(x.shape[-2])
    return transform.convolve(x, spectrum(fit(taps, x.shape[-2]), skip, transform))


def two_sided(x: Tensor, past: Tensor, future: Tensor, skip: Tensor | None = None) -> Tensor:
    """As `causal`, with h = past and g = future, both (..., T, D)."""
    length = x.shape[-2]
    circle = torch.cat([fit(past, length), fit(future, length).flip(-2)], dim=-2)
    transform = _padded(length)
    return transform.convolve(x, spectrum(circle, skip, transform))


def spectrum(taps: Tensor, skip: Tensor | None, transform: Transform) -> Tensor:
    """Of taps (..., T, D), plus skip (..., D) at tap 0: (..., 1, F, 2D)."""
    out = replace(transform, length=taps.shape[-2]).spectrum(taps).unsqueeze(-3)
    # An impulse at tap 0 is the same real number in every bin.
    return out if skip is None else out + per_channel(F.pad(skip, (0, skip.shape[-1])))


def fit(taps: Tensor, length: int) -> Tensor:
    """Taps (..., T, D) cut or filled up with zeros: (..., L, D)."""
    missing = length - taps.shape[-2]
    return taps if missing == 0 else F.pad(taps, (0, 0, 0, missing))


def flops_per_token(length: int) -> float:
    """FLOPs of one channel's convolution; the kernel's transform serves a whole batch."""
    return (2 * fft_flops(2 * length) + 6.0 * (length + 1)) / length


def _padded(length: int) -> Transform:
    return Transform("dft", "backward", length, 2 * length)


class ConvolutionLayer(nn.Module):
    """Kernel, skip, activation and a map across channels: S4D's layer around any kernel.

    kernel: module with forward(length) -> taps (..., T, c D); bidirectional (..., T, 2 c D), the
    taps of the past first. output: "glu" is a map to 2D, then first half * sigma(second half).
    """

    def __init__(
        self,
        width: int,
        kernel: nn.Module,
        *,
        channels: int,
        bidirectional: bool,
        activation: Activation,
        output: Output,
    ):
        super().__init__()
        self.kernel, self.channels, self.bidirectional = kernel, channels, bidirectional
        self.activation, self.output = activation, output
        self.skip = parameter((channels * width,), Recipe(normal(1.0)))
        self.out = None
        if output != "none":
            outputs = 2 * width if output == "glu" else width
            self.out = Linear(channels * width, outputs, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.responses(x)
        if self.out is not None:
            y = self.out(y)
        if self.output == "glu":
            y, gate = y.chunk(2, dim=-1)
            y = y * sigmoid(gate)
        return y, state

    def responses(self, x: Tensor) -> Tensor:
        """What the map across channels reads: x (..., B, L, D) -> (..., B, L, c D)."""
        taps = self.kernel(x.shape[-2])
        if self.channels > 1:
            x = torch.cat(self.channels * [x], dim=-1)
        if self.bidirectional:
            y = two_sided(x, *taps.chunk(2, dim=-1), self.skip)
        else:
            y = causal(x, taps, self.skip)
        return gelu(y) if self.activation == "gelu" else y


def layer_flops_per_token(width: int, length: int, *, channels: int, output: Output) -> float:
    """FLOPs per token of a `ConvolutionLayer`."""
    maps = {"linear": 1, "glu": 2, "none": 0}[output]
    return channels * width * (2.0 * maps * width + flops_per_token(length))
