"""What mixers with heads share: channels cut into groups, norms within one; no mixer itself."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.layers import Init, contiguous_gradient, full_precision


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(..., B, L, D) -> (..., B, H, L, D / H); heads are contiguous groups of channels."""
    return contiguous_gradient(x).unflatten(-1, (heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """(..., B, H, L, V) -> (..., B, L, H V)."""
    return x.transpose(-3, -2).flatten(-2)


@full_precision
def head_norm(x: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the last dimension, without scale and offset."""
    return F.layer_norm(x, x.shape[-1:], eps=eps)


@full_precision
def unit_length(x: Tensor, *, eps: float = 1e-6) -> Tensor:
    """x / sqrt(|x|^2 + eps) over the last dimension."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + eps)


def check_heads(mixer: str, heads: int, width: int, *, least: int = 1) -> None:
    """Raises ValueError where the heads do not divide the width, or leave less than `least`."""
    if width % heads:
        raise ValueError(
            f"{mixer} with {heads} heads needs a width that {heads} divides, got {width}"
        )
    if width // heads < least:
        raise ValueError(
            f"{mixer} with {heads} heads needs {least} channels a head, so a width of at least "
            f"{heads * least}, got {width}"
        )


def xavier(gain: float) -> Init:
    """Uniform with variance 2 gain^2 / (inputs + outputs), for a weight (outputs, inputs)."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        bound = gain * math.sqrt(6 / (shape[-1] + shape[-2]))
        return rng.uniform(-bound, bound, shape)

    return draw
