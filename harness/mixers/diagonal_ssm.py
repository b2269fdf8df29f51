"""Kernels of diagonal state space models (S4D, arXiv 2206.11893, sections 2 and 3).

    k[t] = 2 Re sum_n c_n g_n exp(t l_n)

over N / 2 complex modes: c_n = C_n B_n, and (l_n, g_n) from the mode a_n and the step dt by

    zero-order hold   exp(l) = exp(dt a)                    g = (exp(dt a) - 1) / a
    bilinear          exp(l) = (1 + dt a/2) / (1 - dt a/2)  g = dt / (1 - dt a/2)

Complex numbers are held as pairs of real ones: torch's complex kernels round by the place of
their operands. Dimensions: D channels, M = N / 2 modes, L length, c kernels a channel.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.layers import Recipe, full_precision, parameter

Discretization = Literal["zero_order_hold", "bilinear"]
Complex = tuple[Tensor, Tensor]


class Modes(NamedTuple):
    """Discrete modes, all (..., D, M): l = log_radius + i angle, and the gain g."""

    log_radius: Tensor
    angle: Tensor
    gain: Complex


def discretise(log_dt: Tensor, log_decay: Tensor, frequency: Tensor, how: Discretization) -> Modes:
    """Modes a = -exp(log_decay) + i frequency (..., D, M) at steps exp(log_dt) (..., D).

    Written without differences of nearly equal numbers: exp(dt a) - 1 and log |exp(l)| are
    some 1e-3 at usual steps.
    """
    dt = log_dt.exp().unsqueeze(-1)
    real = -log_decay.exp()
    x, y = dt * real, dt * frequency
    if how == "zero_order_hold":
        growth = (
            torch.expm1(x) * torch.cos(y) - 2 * torch.sin(y / 2).square(),
            torch.exp(x) * torch.sin(y),
        )
        scale = 1 / (real.square() + frequency.square())
        return Modes(x, y, multiply(growth, (real * scale, -frequency * scale)))
    x, y = x / 2, y / 2
    scale = 1 / ((1 - x).square() + y.square())
    log_radius = 0.5 * torch.log1p(4 * x * scale)
    angle = torch.atan(y / (1 - x)) + _atan2(y, 1 + x)
    return Modes(log_radius, angle, (dt * (1 - x) * scale, dt * y * scale))


@full_precision
def kernel(coefficient: Complex, modes: Modes, length: int) -> Tensor:
    """k of c_n g_n = coefficient (..., c, D, M): (..., L, c D), the c kernels one after the other.

    t = block q + r, so that a matrix product of exp(block q l) and exp(r l) gives all powers from
    2 sqrt(L) exponentials a mode, and neither time nor memory has a term D M L of those.
    Every size is a multiple of four, for the reason that `harness.layers.linear` gives.
    """
    block = 4 * math.ceil(math.sqrt(length) / 4)
    rows = 4 * math.ceil(length / (4 * block))
    near = _powers(modes, torch.arange(block, device=modes.angle.device))
    far = _powers(modes, block * torch.arange(rows, device=modes.angle.device))
    re, im = (part.transpose(-3, -2).unsqueeze(-1) for part in coefficient)
    far = multiply((re, im), (far[0].unsqueeze(-3), far[1].unsqueeze(-3)))  # (..., D, c, M, rows)
    left = torch.cat([far[0], -far[1]], dim=-2).mT
    right = torch.cat(near, dim=-2)
    if left.shape[-1] % 4:
        left = F.pad(left, (0, -left.shape[-1] % 4))
        right = F.pad(right, (0, 0, 0, -right.shape[-2] % 4))
    products = torch.bmm(left.flatten(-3, -2).flatten(0, -3), right.flatten(0, -3))
    k = 2 * products.reshape(*left.shape[:-2], rows * block)[..., :length]
    return k.transpose(-3, -1).flatten(-2)


def multiply(a: Complex, b: Complex) -> Complex:
    """The product of complex numbers held as (real, imaginary)."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def log_step_parameter(width: int) -> torch.nn.Parameter:
    """log dt (D), dt log-uniform in [1e-3, 1e-1]; learning rate as published for dt, A and B."""
    low, high = math.log(1e-3), math.log(1e-1)
    return slow_parameter((width,), lambda rng, shape: rng.uniform(low, high, shape))


def slow_parameter(shape: tuple[int, ...], init) -> torch.nn.Parameter:
    """A parameter of the dynamics: learning rate at most 1e-3, no weight decay."""
    return parameter(shape, Recipe(init, lr_max=1e-3, decay=False))


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """(..., 2): real and imaginary parts of standard complex normal values."""
    return math.sqrt(0.5) * rng.standard_normal(shape)


def _atan2(y: Tensor, x: Tensor) -> Tensor:
    """The angle of x + iy, x not zero; torch's atan2 rounds by the place of its operands."""
    half_turn = torch.copysign(torch.full_like(y, math.pi), y)
    return torch.atan(y / x) + torch.where(x < 0, half_turn, 0.0)


def _powers(modes: Modes, t: Tensor) -> Complex:
    """exp(t l): (..., D, M, T)."""
    radius = torch.exp(modes.log_radius.unsqueeze(-1) * t)
    angle = modes.angle.unsqueeze(-1) * t
    return radius * torch.cos(angle), radius * torch.sin(angle)
