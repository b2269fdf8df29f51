"""Simple long convolution (Fu et al., ICML 2023, arXiv 2302.06646): every tap is a parameter.

    h = shrink(smooth(K)),   shrink(k) = sign(k) max(|k| - lambda, 0)   (algorithm 1)
    y = activation(h * x + D x), then a map across channels

The soft threshold makes such kernels trainable: sparse in time, hence smooth in frequency. Unlike
`long_conv` and `ckconv`, whose kernels come from a small network, it has L numbers a channel and
cannot be longer than it was built for (taps are zero from there on). The kernel's dropout of the
paper is left out. The published layer does not cut its kernel in sequences shorter than that, so
that the rest wraps around and shows the future; here it is cut.

Dimensions: B batch, L length, D width, c channels (kernels that read the same input).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from harness.layers import Init, Recipe, normal, parameter
from harness.mixers.base import Mixer, Regime, register
from harness.mixers.padded_convolution import (
    Activation,
    ConvolutionLayer,
    Output,
    fit,
    layer_flops_per_token,
)


@register("simple_long_conv")
class SimpleLongConv(Mixer):
    """Convolution with a kernel whose taps are parameters, shrunk towards zero.

    threshold: lambda. smoothing: taps of a moving average over the kernel's positions, odd, zeros
    beyond its ends counted; null: none. From 5 on it makes `random` taps so small that the default
    threshold leaves hardly one, and without taps a kernel never learns: begin with
    double_exponential ones, or choose a threshold of 0.001.
    bidirectional: a second kernel reads the future.
    channels: kernels that read each input channel, the map across channels sees all.
    initialization: `random` 0.002 times normal; `double_exponential` 0.02 times normal times
    exp(-(t/L) floor(D/2)^(d/D)), faster decay in later channels.
    output: `glu` is a map to 2D, then first half * sigma(second half).
    """

    summary: ClassVar[str] = "convolution with trained taps under a soft threshold"
    source: ClassVar[str] = "arXiv:2302.06646, algorithm 1"
    call_time: ClassVar[float] = 1.1
    pass_time: ClassVar[float] = 1.2

    threshold: Annotated[float, Field(ge=0)] = 0.003
    smoothing: Annotated[int, Field(ge=3)] | None = None
    bidirectional: bool = False
    channels: Annotated[int, Field(ge=1)] = 1
    initialization: Literal["random", "double_exponential"] = "random"
    activation: Activation = "gelu"
    output: Output = "glu"

    @model_validator(mode="after")
    def _fits_together(self):
        if self.smoothing is not None and self.smoothing % 2 == 0:
            raise ValueError(f"smoothing needs an odd number of taps, got {self.smoothing}")
        if self.output == "none" and self.channels > 1:
            raise ValueError(
                f"{self.channels} channels need a map back to the width: choose output: linear or "
                "glu, or channels: 1"
            )
        return self

    @property
    def regime(self) -> Regime:
        return "bidirectional" if self.bidirectional else "causal"

    def module(self, width: int, length: int) -> nn.Module:
        return ConvolutionLayer(
            width,
            _Taps(self, width, length),
            channels=self.channels,
            bidirectional=self.bidirectional,
            activation=self.activation,
            output=self.output,
        )

    def flops_per_token(self, width: int, length: int) -> float:
        return layer_flops_per_token(width, length, channels=self.channels, output=self.output)

    def state_size(self, width: int, length: int) -> int:
        """All inputs."""
        return length * width


class _Taps(nn.Module):
    """forward(length) -> taps (..., L, c D), twice as many channels where bidirectional."""

    def __init__(self, config: SimpleLongConv, width: int, length: int):
        super().__init__()
        self.threshold, self.smoothing = config.threshold, config.smoothing
        kernels = config.channels * (1 + config.bidirectional)
        init = normal(0.002) if config.initialization == "random" else _double_exponential(width)
        self.taps = parameter((length, kernels * width), Recipe(init, decay=False))

    def forward(self, length: int) -> Tensor:
        return fit(self.shrunk(), length)

    def shrunk(self) -> Tensor:
        """All taps, smoothed and shrunk."""
        taps = self.taps
        if self.smoothing is not None:
            reach, rows = self.smoothing // 2, taps.shape[-2]
            filled = F.pad(taps, (0, 0, reach, reach))
            shifted = (filled[..., i : i + rows, :] for i in range(self.smoothing))
            taps = sum(shifted) / self.smoothing
        return F.softshrink(taps, self.threshold)


def _double_exponential(width: int) -> Init:
    def init(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        rate = float(width // 2) ** (np.arange(width) / width)
        decay = np.exp(-np.arange(shape[0])[:, None] / shape[0] * rate)
        return 0.02 * np.tile(decay, shape[1] // width) * rng.standard_normal(shape)

    return init
