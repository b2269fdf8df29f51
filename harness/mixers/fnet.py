"""FNet's Fourier mixing (Lee-Thorp et al., arXiv 2105.03824, eq. 3): no parameters.

    y = Re( F_L ( F_D x ) ),   F_D over the channels, F_L over the positions

Every output depends on every input, so it is bidirectional; at another length it is the transform
of that length, another function.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from harness.layers import full_precision
from harness.mixers.base import Mixer, Regime, State, fft_flops, register


@register("fnet")
class FNet(Mixer):
    """The real part of the two-dimensional Fourier transform.

    normalization: `backward` is the plain transform, as published, for blocks that normalise
        behind the residual sum: it scales noise by sqrt(L D / 2), so that in a pre-norm block the
        residual hardly counts. `ortho` divides by sqrt(L D).
    """

    summary: ClassVar[str] = "Fourier transform over positions and channels"
    source: ClassVar[str] = "arXiv:2105.03824, eq. 3"
    call_time: ClassVar[float] = 1.1
    pass_time: ClassVar[float] = 0.67

    normalization: Literal["backward", "ortho"] = "backward"

    @property
    def regime(self) -> Regime:
        return "bidirectional"

    def module(self, width: int, length: int) -> nn.Module:
        return _FNet(self.normalization)

    def flops_per_token(self, width: int, length: int) -> float:
        """Real transforms over the channels, complex ones over half of the frequencies."""
        return fft_flops(width) + (width // 2 + 1) * 2 * fft_flops(length) / length

    def state_size(self, width: int, length: int) -> int:
        """All inputs."""
        return length * width


class _FNet(nn.Module):
    def __init__(self, normalization: str):
        super().__init__()
        self.normalization = normalization

    @full_precision
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y = _RealFourier.apply(x)
        if self.normalization == "ortho":
            y = y * (x.shape[-1] * x.shape[-2]) ** -0.5
        return y, state


class _RealFourier(torch.autograd.Function):
    """A symmetric linear map, so that it is its own gradient; x (..., L, D)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return real_fourier(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _RealFourier.apply(grad)


def real_fourier(x: Tensor) -> Tensor:
    """Re(F_L(F_D x)) of real x (..., L, D), from the frequencies up to D / 2.

    The others follow: entry (k, j) of a real signal's transform is the conjugate of (-k, -j).
    """
    width = x.shape[-1]
    # One axis at a time and unscaled: the library rounds a lone example otherwise than many.
    half = torch.fft.fft(torch.fft.rfft(x), dim=-2).real
    rest = half[..., 1 : (width + 1) // 2].flip(-1)
    mirrored = torch.cat([rest[..., :1, :], rest[..., 1:, :].flip(-2)], dim=-2)
    return torch.cat([half, mirrored], dim=-1)
