"""BaseConv (Arora et al., ICLR 2024, arXiv 2312.04927, section 4): one gated convolution.

    y = conv(u) . (W u + b) + u,   with activation: y = silu(conv(u)) . silu(W u + b) + u

Published long kernels include an identity, conv(u) = h * u + u; the short one does not. Taps
beyond the length that a long kernel was built for are zero. The published explicit kernel is not
cut in shorter sequences, so that the rest wraps around and shows the future; here it is cut.

Dimensions: B batch, L length, D width.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from harness.foundation.config import Component, FromRegistry
from harness.foundation.registry import Registry
from harness.layers import Linear, Recipe, ShortConv, full_precision, normal, parameter, silu
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.padded_convolution import causal, flops_per_token

Count = Annotated[int, Field(ge=1)]


class Kernel(Component):
    """Base of the kernels of `base_conv`."""

    @abstractmethod
    def module(self, width: int, length: int) -> nn.Module:
        """forward(u) -> conv(u), both (..., B, L, D), causal."""

    @abstractmethod
    def flops_per_token(self, width: int, length: int) -> float:
        """FLOPs of conv(u) per token."""

    @abstractmethod
    def inputs_kept(self, length: int) -> int:
        """Past inputs that conv(u) needs."""


KERNELS: Registry[Kernel] = Registry("kernel")


@KERNELS.register("short")
class ShortKernel(Kernel):
    """Depthwise convolution of a few taps, with a bias."""

    taps: Count = 3

    def module(self, width: int, length: int) -> nn.Module:
        return ShortConv(width, self.taps)

    def flops_per_token(self, width: int, length: int) -> float:
        return 2.0 * width * self.taps

    def inputs_kept(self, length: int) -> int:
        return self.taps


class _LongKernel(Kernel):
    def flops_per_token(self, width: int, length: int) -> float:
        return width * (flops_per_token(length) + 1)

    def inputs_kept(self, length: int) -> int:
        return length


@KERNELS.register("implicit")
class ImplicitKernel(_LongKernel):
    """h = W2 relu(W1 p_t), p_t = [t/(L-1), cos(f_j w_t), -sin(f_j w_t)]_j, w_t = 2 pi t / L.

    bands: frequencies f_j, evenly from 1e-4 to bands - 1 (published: one, so that p is all but a
    ramp). hidden: width of the network. No window and no sines, unlike Hyena's; p is fixed.
    """

    bands: Count = 1
    hidden: Count = 16

    def module(self, width: int, length: int) -> nn.Module:
        return _Implicit(self, width, length)


@KERNELS.register("explicit")
class ExplicitKernel(_LongKernel):
    """Every tap is a parameter, standard normal at the start, as published."""

    def module(self, width: int, length: int) -> nn.Module:
        return _Explicit(width, length)


@register("base_conv")
class BaseConv(Mixer):
    """A convolution gated by a linear map of the same input, plus the input."""

    summary: ClassVar[str] = "convolution gated by a linear map"
    source: ClassVar[str] = "arXiv:2312.04927, section 4"
    call_time: ClassVar[float] = 1.0
    pass_time: ClassVar[float] = 0.72

    kernel: Annotated[Kernel, FromRegistry(KERNELS)] = ShortKernel()
    activation: Literal["none", "silu"] = "none"

    @property
    def regime(self) -> Regime:
        return "causal"

    def module(self, width: int, length: int) -> nn.Module:
        return _BaseConv(self, width, length)

    def flops_per_token(self, width: int, length: int) -> float:
        return 2.0 * width**2 + 2 * width + self.kernel.flops_per_token(width, length)

    def state_size(self, width: int, length: int) -> int:
        return width * self.kernel.inputs_kept(length)


class _BaseConv(nn.Module):
    def __init__(self, config: BaseConv, width: int, length: int):
        super().__init__()
        self.conv = config.kernel.module(width, length)
        self.projection = Linear(width, width)
        self.activation = config.activation

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, gate = self.conv(x), self.projection(x)
        if self.activation == "silu":
            y, gate = silu(y), silu(gate)
        return torch.addcmul(x, y, gate), state


class _Implicit(nn.Module):
    def __init__(self, config: ImplicitKernel, width: int, length: int):
        super().__init__()
        t = np.arange(length)[:, None]
        angle = 2 * np.pi * t / length * np.linspace(1e-4, config.bands - 1, config.bands)
        ramp = t / max(1, length - 1)
        table = torch.from_numpy(np.concatenate([ramp, np.cos(angle), -np.sin(angle)], axis=1))
        self.register_buffer("positions", table.to(torch.get_default_dtype()), persistent=False)
        self.hidden = Linear(table.shape[1], config.hidden, kind="own")
        self.out = Linear(config.hidden, width, kind="own")

    def forward(self, x: Tensor) -> Tensor:
        return causal(x, self.taps(x.shape[-2])) + x

    @full_precision
    def taps(self, length: int) -> Tensor:
        """(..., min(L, built), D)."""
        rows = self.positions[:length]
        rows = rows.expand(*self.hidden.weight.shape[:-2], *rows.shape)
        return self.out(torch.relu(self.hidden(rows)))


class _Explicit(nn.Module):
    def __init__(self, width: int, length: int):
        super().__init__()
        self.taps = parameter((length, width), Recipe(normal(1.0)))

    def forward(self, x: Tensor) -> Tensor:
        return causal(x, self.taps) + x
