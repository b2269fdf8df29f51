"""One global convolution of Orchid's chain: static kernel, conditioning network and skip.

    y = T^-1( T(z) . (T(h0) + H(c)) ) + beta z

Dimensions: B batch, M chunks of the causal form, L length, D width, G heads (kernels), F bins,
C = 2G (Fourier transform, [Re | Im]) or G (cosine transforms).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.layers import Recipe, normal, parameter, per_channel
from harness.mixers.orchid.conditioning import Conditioning, Reading
from harness.mixers.orchid.form import Causal
from harness.mixers.orchid.global_convolution import Transform

if TYPE_CHECKING:
    from harness.mixers.orchid.operator import Orchid

# What is used in place of h (..., B, F, C), for measurements on a trained layer.
Intervention = Callable[[Tensor, Transform], Tensor]


class GlobalConvolution(nn.Module):
    """forward(z, c) -> y, all (..., B, L, D); c makes the kernel, None where it is static.

    intervention: where set, replaces the kernel of the input by what it returns.
    """

    def __init__(self, config: Orchid, width: int, length: int, conditioning: Conditioning):
        super().__init__()
        form, heads = config.form, config.heads or width
        self.kind, self.normalization = config.transform, config.convolution_normalization
        self.form, self.heads, self.width, self.built = form, heads, width, length
        self.two_sided = form.name == "bidirectional"
        self.cosine_gain = config.gain == "matched" and config.transform != "dft"
        self.chunk = -(-length // form.chunks) if isinstance(form, Causal) else None
        self.static_kernel = config.static_kernel.module(heads, length, sides=1 + self.two_sided)
        self.skip = parameter((width,), Recipe(normal(1.0), decay=False))
        reading = Reading(
            kind=config.transform,
            reads="ortho" if config.gain == "matched" else config.normalization,
            makes=self.normalization,
            heads=config.heads,
            causal_taps=form.causal,
        )
        self.conditioning = conditioning.module(width, length, reading)
        self.intervention: Intervention | None = None

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        transform = self.transform(z.shape[-2])
        if self.conditioning is not None and self.chunk is not None:
            return self._by_chunk(z, c, transform)
        h = None if self.conditioning is None else self.dynamic(c, transform)
        return convolve(z, self.kernel(h, transform), self.skip, transform)

    def transform(self, length: int) -> Transform:
        """T for sequences of this length."""
        points = length
        if self.form.padded:
            points *= 2
        if self.chunk is not None:  # the same bins for every prefix
            points = max(points, 2 * self.built)
        return Transform(self.kind, self.normalization, length, points)

    def dynamic(self, c: Tensor, transform: Transform, past: Tensor | None = None) -> Tensor:
        """H: (..., B or 1, F, C); times M kernels an example with past (M, L), see `Network`."""
        h = self.conditioning(c, transform.points, past)
        if self.conditioning.in_time:
            h = replace(transform, length=h.shape[-2]).spectrum(h)
        return h if self.intervention is None else self.intervention(h, transform)

    def static_taps(self, length: int) -> Tensor | None:
        """h0 (..., L, G); two-sided (..., 2L, G), negative taps last."""
        if self.static_kernel is None:
            return None
        taps = self.static_kernel(length)
        if not self.two_sided:
            return taps
        ahead, back = taps.chunk(2, dim=-1)
        return torch.cat([ahead, back.flip(-2)], dim=-2)

    def kernel(self, h: Tensor | None, transform: Transform) -> Tensor:
        """T(h0) + H, and beta where it is part of them: (..., B or 1, F, C), G = D."""
        taps, shared = self.static_taps(transform.length), self.heads != self.width
        if taps is not None:
            wide = replace(transform, length=taps.shape[-2])
            if self.cosine_gain:
                taps = taps * math.sqrt(transform.length)
            static = static_part(taps, None if shared else self.skip, wide)
        else:
            static = static_part(None, None if shared else self.skip, transform)
        kernel = static if h is None else h + static
        if not shared:
            return kernel
        size = self.width // self.heads
        kernel = kernel.unsqueeze(-1).expand(*kernel.shape, size).flatten(-2)
        return kernel + static_part(None, self.skip, transform)

    def _by_chunk(self, z: Tensor, c: Tensor, transform: Transform) -> Tensor:
        """The causal form: the outputs of each chunk with the kernel that its past makes."""
        batch, length = z.shape[-3:-1]
        chunk = torch.arange(length, device=z.device) // self.chunk
        index = torch.arange(-(-length // self.chunk), device=z.device).unsqueeze(-1)
        own, past = chunk == index, chunk < index
        h = self.dynamic(c, transform, past).unflatten(-3, (-1, len(index)))
        h = h.expand(*h.shape[:-4], batch, *h.shape[-3:]).flatten(-4, -3)
        rows = z.unsqueeze(-3).expand(*z.shape[:-2], len(index), *z.shape[-2:]).flatten(-4, -3)
        y = convolve(rows, self.kernel(h, transform), self.skip, transform)
        return (y.unflatten(-3, (batch, len(index))) * own.unsqueeze(-1)).sum(-3)


def static_part(taps: Tensor | None, skip: Tensor | None, transform: Transform) -> Tensor | float:
    """Spectrum (..., 1, F, C) of taps (..., L, D), and for the DFT of skip (..., D) at tap 0.

    The spectrum of an impulse is the same real number in every bin, so beta z costs nothing.
    """
    spectrum = 0.0 if taps is None else transform.spectrum(taps).unsqueeze(-3)
    if transform.kind != "dft" or skip is None:
        return spectrum
    return spectrum + per_channel(F.pad(skip, (0, skip.shape[-1])))


def convolve(z: Tensor, kernel: Tensor, skip: Tensor, transform: Transform) -> Tensor:
    """T^-1( T(z) K ) + beta z, with beta in K for the DFT; z (..., B, L, D)."""
    y = transform.convolve(z, kernel)
    return y if transform.kind == "dft" else torch.addcmul(y, z, per_channel(skip))
