"""Orchid (Karami & Ghodsi, NeurIPS 2024, arXiv 2402.18508), the operator around its kernel.

    [s1, s2, v] = ShortConv(W_in x)
    z = v . s2                                          gate
    y = T^-1( T(z) . (T(h0) + H(c)) ) + beta z          convolution, eqs. 1 to 3, circular
    y = y . s1                                          gate
    y = y + T^-1( T(x) . T(h0') ) + beta' x             residual_conv, as published code has it
    out = W_out y

c is v before the short convolution. H: `conditioning.py`; h0: `static_kernel.py`.

Not causal: the kernel is circular and made from the whole sequence. In published code plain
transforms are not normalised as convolutions are; the default here, `backward`, is the paper's.

Shift equivariance (x rolled in a circle rolls y) is exact for transform dft with
short_filter: 1, conditioning.padding: circular, input own, not padded, and any kind but
`spectrum`. A longer short_filter is causal and zero-padded: it breaks it in the first
short_filter - 1 positions of z; zero padding of the conditioning convolutions breaks it in h.
Cosine transforms have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.foundation.config import FromRegistry
from harness.layers import (
    Linear,
    Recipe,
    ShortConv,
    depthwise_backward,
    depthwise_forward,
    normal,
    parameter,
    per_channel,
)
from harness.mixers.base import Mixer, Regime, State, fft_flops, register
from harness.mixers.orchid.conditioning import CONDITIONING, Conditioning, CrossCorrelation
from harness.mixers.orchid.global_convolution import Kind, Normalization, Transform
from harness.mixers.orchid.static_kernel import STATIC_KERNELS, ImplicitKernel, StaticKernel

# What is used in place of h (..., B, F, C), for measurements on a trained layer.
Intervention = Callable[[Tensor, Transform], Tensor]

Chain = Literal["gate-conv-gate", "gate-conv", "conv-gate", "conv"]


@register("orchid")
class Orchid(Mixer):
    """Data-dependent global convolution between gates.

    chain: the order of gates and convolution. short_filter: taps of the causal depthwise
    convolution behind the input projections. transform, normalization: T, see `Transform`.
    residual_conv: a second static convolution, of the operator's input, added to the output.
    """

    summary: ClassVar[str] = "convolution with a kernel made from the input"
    source: ClassVar[str] = "arXiv:2402.18508, eqs. 1 to 3"

    chain: Chain = "gate-conv-gate"
    short_filter: Annotated[int, Field(ge=1)] = 3
    static_kernel: Annotated[StaticKernel, FromRegistry(STATIC_KERNELS)] = ImplicitKernel()
    conditioning: Annotated[Conditioning, FromRegistry(CONDITIONING)] = CrossCorrelation()
    transform: Kind = "dft"
    normalization: Normalization = "backward"
    residual_conv: bool = False

    @model_validator(mode="after")
    def _has_a_kernel(self):
        if self.static_kernel.name == "none" and self.conditioning.name == "static":
            raise ValueError(
                "static_kernel: none with conditioning: static leaves no kernel: "
                "choose static_kernel: implicit or another conditioning network"
            )
        if self.static_kernel.name == "none" and self.residual_conv:
            raise ValueError(
                "residual_conv is a static convolution: it needs static_kernel: implicit"
            )
        return self

    @property
    def regime(self) -> Regime:
        return "bidirectional"

    def check(self, width: int, length: int) -> None:
        if self.transform == "dct1" and length < 2:
            raise ValueError(f"transform dct1 needs a length of 2 or more, got {length}")
        self.static_kernel.check(width, length)
        self.conditioning.check(width, length, self.transform)

    def module(self, width: int, length: int) -> nn.Module:
        return _Orchid(self, width, length)

    def flops_per_token(self, width: int, length: int) -> float:
        streams = 1 + self.chain.count("gate")
        convolutions = 1 + self.residual_conv
        transforms = 2.0 * fft_flops(length) + 6.0 * (length // 2 + 1)
        per_channel_flops = (
            2.0 * streams * self.short_filter + streams - 1 + convolutions * transforms / length
        )
        return (
            2.0 * (streams + 1) * width**2
            + width * per_channel_flops
            + self.conditioning.flops_per_token(width, length)
        )

    def state_size(self, width: int, length: int) -> int:
        """All inputs: kernel and output need the whole sequence."""
        return length * width


class _Orchid(nn.Module):
    """Streams of in_linear in order: s1 and s2, where the chain has them, and v."""

    def __init__(self, config: Orchid, width: int, length: int):
        super().__init__()
        self.kind, self.normalization = config.transform, config.normalization
        self.gate_before = config.chain.startswith("gate")
        self.gate_after = config.chain.endswith("gate")
        streams = 1 + self.gate_before + self.gate_after
        self.in_linear = Linear(width, streams * width)
        self.short_conv = ShortConv(streams * width, config.short_filter)
        self.static_kernel = config.static_kernel.module(width, length)
        self.skip = parameter((width,), Recipe(normal(1.0), decay=False))
        self.conditioning = config.conditioning.module(
            width, length, config.transform, config.normalization
        )
        if config.residual_conv:
            self.residual_kernel = config.static_kernel.module(width, length)
            self.residual_skip = parameter((width,), Recipe(normal(1.0), decay=False))
        self.residual = config.residual_conv
        self.out_linear = Linear(width, width, kind="residual")
        self.intervention: Intervention | None = None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        width, length = x.shape[-1], x.shape[-2]
        transform = Transform(self.kind, self.normalization, length, length)
        conv = self.short_conv
        c, z, s1 = _Gate.apply(
            self.in_linear(x),
            conv.weight,
            conv.bias,
            width,
            self.conditioning is not None,
            self.gate_before,
            self.gate_after,
        )
        kernel = self._kernel(c, transform)
        y = convolve(z, kernel, self.skip, transform)
        if self.gate_after:
            y = y * s1
        if self.residual:
            kernel = static_part(self.residual_kernel(length), self.residual_skip, transform)
            y = y + convolve(x, kernel, self.residual_skip, transform)
        return self.out_linear(y), state

    def conditioning_kernel(self, x: Tensor) -> Tensor:
        """h of an input x: spectrum (..., B, F, C), or taps (..., B, L, D) if made in time."""
        return self.conditioning(self.in_linear(x)[..., -x.shape[-1] :])

    def _kernel(self, c: Tensor | None, transform: Transform) -> Tensor:
        """T(h0) + H, and beta where it is part of them: (..., B or 1, F, C)."""
        taps = None if self.static_kernel is None else self.static_kernel(transform.length)
        static = static_part(taps, self.skip, transform)
        if self.conditioning is None:
            return static
        h = self.conditioning(c)
        if self.conditioning.in_time:
            h = transform.spectrum(h)
        if self.intervention is not None:
            h = self.intervention(h, transform)
        return h + static


class _Gate(torch.autograd.Function):
    """Streams [s1, s2, v] (..., B, L, mD) -> c, z, s1; None for c or s1 where not needed.

    c: v as it comes; z: v s2 or v behind the short convolution. One function, because autograd
    would spend as long on putting gradients of slices together as the rest of the layer takes.
    """

    @staticmethod
    def forward(ctx, streams, weight, bias, width: int, dynamic: bool, before: bool, after: bool):
        u = depthwise_forward(streams, weight, weight.shape[-1] - 1, bias)
        ctx.save_for_backward(streams, weight, u)
        ctx.width, ctx.before, ctx.after = width, before, after
        c, v = streams[..., -width:], u[..., -width:]
        z = v * u[..., -2 * width : -width] if before else v
        return c if dynamic else None, z, u[..., :width] if after else None

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_c, grad_z, grad_s1):
        streams, weight, u = ctx.saved_tensors
        width = ctx.width
        v, s2 = slice(-width, None), slice(-2 * width, -width)
        grad = torch.empty_like(u)
        if ctx.before:
            torch.mul(grad_z, u[..., s2], out=grad[..., v])
            torch.mul(grad_z, u[..., v], out=grad[..., s2])
        else:
            grad[..., v] = grad_z
        if ctx.after:
            grad[..., :width] = grad_s1
        grad_streams, grad_weight = depthwise_backward(grad, streams, weight, weight.shape[-1] - 1)
        if grad_c is not None:
            grad_streams[..., v] += grad_c
        return grad_streams, grad_weight, grad.sum((-3, -2)), None, None, None, None


def static_part(taps: Tensor | None, skip: Tensor, transform: Transform) -> Tensor | float:
    """Spectrum (..., 1, F, C) of taps (..., L, D), and for the DFT of skip (..., D) at tap 0.

    The spectrum of an impulse is the same real number in every bin, so beta z costs nothing.
    """
    spectrum = 0.0 if taps is None else transform.spectrum(taps).unsqueeze(-3)
    if transform.kind != "dft":
        return spectrum
    return spectrum + per_channel(F.pad(skip, (0, skip.shape[-1])))


def convolve(z: Tensor, kernel: Tensor, skip: Tensor, transform: Transform) -> Tensor:
    """T^-1( T(z) K ) + beta z, with K from `static_part`, z (..., B, L, D)."""
    y = transform.convolve(z, kernel)
    return y if transform.kind == "dft" else torch.addcmul(y, z, per_channel(skip))
