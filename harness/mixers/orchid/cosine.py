"""Cosine transforms of long signals through FFTs, with their transposes for backward passes.

R is scipy's unnormalised transform, type II or I; a pair is T = s v R and T^-1 = s' R^T u (type
II) or s' R (type I), where v and u weigh bin 0 so that the two undo each other.

Dimensions: L length, D width; all functions map (..., L, D) to (..., L, D).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor


class CosinePair:
    """forward, inverse and their transposes, of one type, length and normalisation.

    scales: s and s'.
    """

    def __init__(self, kind: Literal["dct", "dct1"], scales: tuple[float, float], *, ortho: bool):
        self.kind, (self.scale, self.inverse_scale) = kind, scales
        # weights of bin 0 in T and in T^-1
        self.weights = (math.sqrt(0.5), math.sqrt(0.5)) if ortho else (1.0, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "dct1":
            return self.scale * _type_1(x)
        return self.scale * _weigh(_type_2(x), self.weights[0])

    def forward_transposed(self, grad: Tensor) -> Tensor:
        if self.kind == "dct1":
            return self.scale * _type_1_transposed(grad)
        return self.scale * _type_2_transposed(_weigh(grad, self.weights[0]))

    def inverse(self, spectrum: Tensor) -> Tensor:
        if self.kind == "dct1":
            return self.inverse_scale * _type_1(spectrum)
        return self.inverse_scale * _type_2_transposed(_weigh(spectrum, self.weights[1]))

    def inverse_transposed(self, grad: Tensor) -> Tensor:
        if self.kind == "dct1":
            return self.inverse_scale * _type_1_transposed(grad)
        return self.inverse_scale * _weigh(_type_2(grad), self.weights[1])


def _weigh(spectrum: Tensor, weight: float) -> Tensor:
    """The spectrum with bin 0 multiplied."""
    return torch.cat([spectrum[..., :1, :] * weight, spectrum[..., 1:, :]], dim=-2)


def _type_2(x: Tensor) -> Tensor:
    """X[k] = 2 sum_t x[t] cos(pi (2t + 1) k / 2L): the DFT of x and its mirror image, turned."""
    length = x.shape[-2]
    spectrum = torch.fft.rfft(torch.cat([x, x.flip(-2)], dim=-2), dim=-2)
    return (spectrum[..., :length, :] * _turn(x, -1)).real.contiguous()


def _type_2_transposed(grad: Tensor) -> Tensor:
    """y[t] = 2 sum_k g[k] cos(pi (2t + 1) k / 2L)."""
    length = grad.shape[-2]
    spectrum = _weigh(grad, 2.0) * _turn(grad, 1)  # the inverse FFT counts bin 0 once
    y = torch.fft.irfft(spectrum, 2 * length, dim=-2, norm="forward")
    return y[..., :length, :].contiguous()


def _turn(x: Tensor, sign: int) -> Tensor:
    """exp(sign i pi k / 2L), (L, 1)."""
    length = x.shape[-2]
    angle = torch.arange(length, dtype=torch.float64, device=x.device) * (math.pi / (2 * length))
    turn = torch.polar(torch.ones_like(angle), sign * angle).unsqueeze(-1)
    return turn.to(torch.complex128 if x.dtype == torch.float64 else torch.complex64)


def _type_1(x: Tensor) -> Tensor:
    """X[k] = x[0] + (-1)^k x[L-1] + 2 sum_t x[t] cos(pi t k / (L - 1)) over what lies between."""
    mirrored = torch.cat([x, x[..., 1:-1, :].flip(-2)], dim=-2)
    return torch.fft.rfft(mirrored, dim=-2).real.contiguous()


def _type_1_transposed(grad: Tensor) -> Tensor:
    """R weighs its two end columns by half of what its end rows have."""
    ends = torch.ones(grad.shape[-2], 1, dtype=grad.dtype, device=grad.device)
    ends[0] = ends[-1] = 2.0
    return _type_1(grad * ends) / ends
