"""Global convolution as a product of spectra: y = T^-1( T(z) * K ), in real arithmetic.

T is a discrete Fourier transform over positions (then y is the circular convolution, paper
eq. 1) or a cosine transform (then it is not; the published code offers it). A complex spectrum
(..., F, D) is held as (..., F, 2D), real parts before imaginary ones: a transform is then one
real matrix product, whose rows alternate cosine and sine so that its output (2F, D) already is
(F, 2D) in memory. Up to MATRIX_POINTS points that product is faster than an FFT.

Gradients are written out, with the adjoints of both maps: torch's own backward of complex
products and real views costs several times as much. First derivatives only.

Dimensions: B batch, L length, D width, n points of the transform, F = n // 2 + 1 bins; C is 2D
for the Fourier transform, D for the cosine transforms, whose F is L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.layers import full_precision, remembered
from harness.mixers.orchid.cosine import CosinePair

Kind = Literal["dft", "dct", "dct1"]
Normalization = Literal["backward", "forward", "ortho"]

# One thread of an AVX2 machine, forward and backward: at 32 points the product takes three
# quarters of the time of an FFT and the copies around it, at 128 as long, at 256 nearly twice.
MATRIX_POINTS = 128
COSINE_MATRIX_POINTS = 512  # an FFT has twice the points to go through

OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


@dataclass(frozen=True)
class Transform:
    """A transform pair between signals (..., L, D) and spectra (..., F, C).

    kind: dft; dct (type II; its inverse is type III); dct1 (type I, needs L >= 2).
    normalization: as in torch.fft. backward: T^-1(T a * T b) is the plain convolution; forward
    divides it by n, ortho by sqrt(n).
    points: n >= L of the Fourier transform; the signal is padded with zeros to n, and the
    inverse gives its first L samples.
    """

    kind: Kind
    normalization: Normalization
    length: int
    points: int

    @property
    def bins(self) -> int:
        return self.points // 2 + 1 if self.kind == "dft" else self.length

    def channels(self, width: int) -> int:
        return 2 * width if self.kind == "dft" else width

    @property
    def dense(self) -> bool:
        return self.points <= (MATRIX_POINTS if self.kind == "dft" else COSINE_MATRIX_POINTS)

    @property
    def _cosine(self) -> CosinePair | None:
        """The transform by FFTs, where it is a cosine transform."""
        if self.kind == "dft":
            return None
        return CosinePair(self.kind, _scales(self), ortho=self.normalization == "ortho")

    @full_precision
    def spectrum(self, x: Tensor) -> Tensor:
        """T: (..., L, D) -> (..., F, C)."""
        return _Spectrum.apply(x, self)

    @full_precision
    def signal(self, spectrum: Tensor) -> Tensor:
        """T^-1: (..., F, C) -> (..., L, D)."""
        return _Signal.apply(spectrum, self)

    @full_precision
    def convolve(self, z: Tensor, kernel: Tensor) -> Tensor:
        """T^-1( T(z) * K ): z (..., B, L, D), K (..., B or 1, F, C) -> (..., B, L, D)."""
        return _Convolve.apply(z, kernel, self)

    @full_precision
    def correlate(self, k: Tensor, q: Tensor) -> Tensor:
        """conj(K) * Q of two spectra (..., F, C); the plain product of cosine spectra."""
        return _Correlate.apply(k, q) if self.kind == "dft" else k * q

    def _forward(self, x: Tensor) -> Tensor:
        if self.dense:
            return self._fold(_apply(_matrices(self, x.dtype, x.device)[0], x))
        if self._cosine:
            return self._cosine.forward(x)
        return _halves(torch.fft.rfft(x, self.points, dim=-2, norm=self.normalization))

    def _forward_adjoint(self, grad: Tensor) -> Tensor:
        if self.dense:
            return _apply(_matrices(self, grad.dtype, grad.device)[0].mT, self._unfold(grad))
        if self._cosine:
            return self._cosine.forward_transposed(grad)
        grad = _complex(grad)
        grad[..., 1 : (self.points + 1) // 2, :] *= 0.5
        norm = OPPOSITE[self.normalization]
        x = torch.fft.irfft(grad, self.points, dim=-2, norm=norm)
        return x[..., : self.length, :].contiguous()

    def _inverse(self, spectrum: Tensor) -> Tensor:
        if self.dense:
            inverse = _matrices(self, spectrum.dtype, spectrum.device)[1]
            return _apply(inverse, self._unfold(spectrum))
        if self._cosine:
            return self._cosine.inverse(spectrum)
        spectrum = _complex(spectrum)
        x = torch.fft.irfft(spectrum, self.points, dim=-2, norm=self.normalization)
        return x[..., : self.length, :].contiguous()

    def _inverse_adjoint(self, grad: Tensor) -> Tensor:
        if self.dense:
            return self._fold(_apply(_matrices(self, grad.dtype, grad.device)[1].mT, grad))
        if self._cosine:
            return self._cosine.inverse_transposed(grad)
        norm = OPPOSITE[self.normalization]
        spectrum = torch.fft.rfft(grad, self.points, dim=-2, norm=norm)
        spectrum[..., 1 : (self.points + 1) // 2, :] *= 2
        return _halves(spectrum)

    def _fold(self, rows: Tensor) -> Tensor:
        return rows if self.kind != "dft" else rows.unflatten(-2, (self.bins, 2)).flatten(-2)

    def _unfold(self, spectrum: Tensor) -> Tensor:
        if self.kind != "dft":
            return spectrum
        return spectrum.unflatten(-1, (2, spectrum.shape[-1] // 2)).flatten(-3, -2)


class _Spectrum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, transform: Transform) -> Tensor:
        ctx.transform = transform
        return transform._forward(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        return ctx.transform._forward_adjoint(grad), None


class _Signal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spectrum: Tensor, transform: Transform) -> Tensor:
        ctx.transform = transform
        return transform._inverse(spectrum)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        return ctx.transform._inverse_adjoint(grad), None


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z: Tensor, kernel: Tensor, transform: Transform) -> Tensor:
        spectrum = transform._forward(z)
        ctx.transform = transform
        ctx.save_for_backward(spectrum, kernel)
        product = _product if transform.kind == "dft" else torch.mul
        return transform._inverse(product(spectrum, kernel))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        (spectrum, kernel), transform = ctx.saved_tensors, ctx.transform
        product = _conjugate_product if transform.kind == "dft" else torch.mul
        grad = transform._inverse_adjoint(grad)
        grad_z = grad_kernel = None
        if ctx.needs_input_grad[0]:
            grad_z = transform._forward_adjoint(product(kernel, grad))
        if ctx.needs_input_grad[1]:
            grad_kernel = product(spectrum, grad)
            if kernel.shape[-3] == 1 != grad.shape[-3]:
                grad_kernel = grad_kernel.sum(-3, keepdim=True)
        return grad_z, grad_kernel, None


class _Correlate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, k: Tensor, q: Tensor) -> Tensor:
        ctx.save_for_backward(k, q)
        return _conjugate_product(k, q)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        k, q = ctx.saved_tensors
        return _conjugate_product(grad, q), _product(k, grad)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a * b of complex numbers held as halves (..., [Re | Im])."""
    (ar, ai), (br, bi) = a.chunk(2, -1), b.chunk(2, -1)
    out = a.new_empty(torch.broadcast_shapes(a.shape, b.shape))
    re, im = out.chunk(2, -1)
    torch.mul(ar, br, out=re).addcmul_(ai, bi, value=-1)
    torch.mul(ar, bi, out=im).addcmul_(ai, br)
    return out


def _conjugate_product(a: Tensor, b: Tensor) -> Tensor:
    """conj(a) * b of complex numbers held as halves (..., [Re | Im])."""
    (ar, ai), (br, bi) = a.chunk(2, -1), b.chunk(2, -1)
    out = a.new_empty(torch.broadcast_shapes(a.shape, b.shape))
    re, im = out.chunk(2, -1)
    torch.mul(ar, br, out=re).addcmul_(ai, bi)
    torch.mul(ar, bi, out=im).addcmul_(ai, br, value=-1)
    return out


def _halves(z: Tensor) -> Tensor:
    out = z.real.new_empty((*z.shape[:-1], 2 * z.shape[-1]))
    re, im = out.chunk(2, -1)
    re.copy_(z.real)
    im.copy_(z.imag)
    return out


def _complex(halves: Tensor) -> Tensor:
    return torch.complex(*halves.chunk(2, -1))


def _apply(matrix: Tensor, x: Tensor) -> Tensor:
    """(R, L) times (..., L, D), one product an example, so that examples never meet.

    D is filled up to a multiple of four, for the reason that `harness.layers.linear` gives.
    """
    width = x.shape[-1]
    rows = x.reshape(-1, *x.shape[-2:])
    if width % 4:
        rows = F.pad(rows, (0, -width % 4))
    out = torch.bmm(matrix.expand(len(rows), -1, -1), rows)
    return out[..., :width].reshape(*x.shape[:-2], len(matrix), width)


@remembered(256)
def _matrices(
    transform: Transform, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """T as (R, L) and T^-1 as (L, R), formed in float64; shared by all layers of a process."""
    build = {"dft": _dft, "dct": _dct, "dct1": _dct1}[transform.kind]
    with torch.inference_mode(False):
        forward, inverse = build(transform)
        return (
            torch.from_numpy(forward).to(device, dtype).contiguous(),
            torch.from_numpy(inverse).to(device, dtype).contiguous(),
        )


def _scales(transform: Transform) -> tuple[float, float]:
    """Factors of T and T^-1; their product undoes what the sums of both multiply by."""
    length = transform.length
    total = {"dft": transform.points, "dct": 2 * length, "dct1": 2 * (length - 1)}[transform.kind]
    return {
        "backward": (1.0, 1 / total),
        "forward": (1 / total, 1.0),
        "ortho": (1 / math.sqrt(total), 1 / math.sqrt(total)),
    }[transform.normalization]


def _dft(transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    n, bins = transform.points, transform.bins
    turns = np.outer(np.arange(bins), np.arange(transform.length)) % n
    angle = 2 * np.pi * turns / n
    rows = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    weight = np.full(bins, 2.0)
    weight[0] = 1
    if n % 2 == 0:
        weight[-1] = 1
    scale, inverse_scale = _scales(transform)
    inverse = inverse_scale * weight[:, None, None] * rows
    shape = (2 * bins, transform.length)
    return scale * rows.reshape(shape), inverse.reshape(shape).T


def _dct(transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    n = transform.length
    k, t = np.arange(n)[:, None], np.arange(n)[None, :]
    rows = 2 * np.cos(np.pi * ((2 * t + 1) * k % (4 * n)) / (2 * n))
    weight = np.where(k == 0, 0.5, 1.0)
    scale, inverse_scale = _scales(transform)
    if transform.normalization == "ortho":
        rows = np.sqrt(weight) * rows
        return scale * rows, inverse_scale * rows.T
    return scale * rows, (inverse_scale * weight * rows).T


def _dct1(transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    n = transform.length
    k, t = np.arange(n)[:, None], np.arange(n)[None, :]
    rows = 2 * np.cos(np.pi * (k * t % (2 * n - 2)) / (n - 1))
    rows[:, [0, -1]] /= 2
    scale, inverse_scale = _scales(transform)
    return scale * rows, inverse_scale * rows
