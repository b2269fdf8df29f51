"""The static kernel h0: a small network of the tap index, so that parameters do not grow with L.

    h0[t, d] = MLP(p_t)[d] * window[t, d],   p_t = [t/(L-1), cos(f_j w_t), -sin(f_j w_t)]_j

with w_t = 2 pi t / L and the sine as activation, as in CKConv and Hyena; Orchid takes it over
(arXiv 2402.18508, section 3). p is a trained table with its own small learning rate.

Dimensions: L length, T taps (T <= L), E = 2 bands + 1, W inner width, D width.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.foundation.config import Component, FromRegistry
from harness.foundation.registry import Registry
from harness.layers import Linear, Recipe, constant, full_precision, linear, parameter

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Decay(Component):
    """The window by which the kernel is multiplied."""

    @abstractmethod
    def window(self, width: int, length: int, taps: int | None = None) -> np.ndarray:
        """(T, D) for a kernel of this length; T: taps, as many as the length by default."""


DECAYS: Registry[Decay] = Registry("decay")


@DECAYS.register("relative")
class RelativeDecay(Decay):
    """exp(-|delta_d| t/(L-1)) + shift, delta between ln(target)/slow and ln(target)/fast.

    As published: in fractions of the length, so that half-lives in taps grow with it.
    """

    fast: Positive = 0.3
    slow: Positive = 1.5
    target: Annotated[float, Field(gt=0, lt=1)] = 0.01
    shift: float = 0.0

    def window(self, width: int, length: int, taps: int | None = None) -> np.ndarray:
        rate = math.log(self.target)
        delta = np.abs(np.linspace(rate / self.slow, rate / self.fast, width))
        t = np.arange(length if taps is None else taps)[:, None] / max(1, length - 1)
        return np.exp(-t * delta) + self.shift


@DECAYS.register("taps")
class TapsDecay(Decay):
    """2^(-t / half_life), half-lives in taps, spaced evenly from `longest` to `shortest`.

    For comparisons over lengths or kernel lengths: the window stays where it is.
    """

    longest: Positive = 16.0
    shortest: Positive = 4.0

    def window(self, width: int, length: int, taps: int | None = None) -> np.ndarray:
        half_life = np.linspace(self.longest, self.shortest, width)
        return np.exp2(-np.arange(length if taps is None else taps)[:, None] / half_life)


@DECAYS.register("none")
class NoDecay(Decay):
    """A window of ones."""

    def window(self, width: int, length: int, taps: int | None = None) -> np.ndarray:
        return np.ones((length if taps is None else taps, width))


class StaticKernel(Component):
    """Base of the static kernels."""

    def check(self, width: int, length: int) -> None:
        """Raises ValueError where the kernel cannot be built."""

    @abstractmethod
    def module(self, width: int, length: int, *, sides: int = 1) -> nn.Module | None:
        """forward(length) -> (..., length, sides D); None where there is no static kernel.

        sides: 2 for a second kernel, of negative taps, with the same window.
        """

    def num_taps(self, length: int) -> int:
        """Taps that may differ from zero, in a sequence of this length."""
        return length

    @abstractmethod
    def flops(self, width: int, length: int) -> float:
        """FLOPs of forming the kernel once (it serves a whole batch)."""


STATIC_KERNELS: Registry[StaticKernel] = Registry("static kernel")


@STATIC_KERNELS.register("none")
class NoStaticKernel(StaticKernel):
    """No h0: the kernel is the conditioning network's alone."""

    def module(self, width: int, length: int, *, sides: int = 1) -> None:
        return None

    def flops(self, width: int, length: int) -> float:
        return 0.0


@STATIC_KERNELS.register("implicit")
class ImplicitKernel(StaticKernel):
    """h0 by the network above.

    width: W. bands: sinusoids of p (the official emb_dim is 2 bands + 1). inner_layers: hidden
    layers after the first. frequency: initial factor inside the sines. kernel_length: taps
    [0, K), zero from there on; None: all. normalized: divided by the L1 norm over channels.
    beyond: taps from the length on that the kernel was built for, in a longer sequence: `zeros`,
        or `network`, the same network at the next positions (p there as it is initialised).
    """

    width: Count = 64
    bands: Count = 16
    inner_layers: Annotated[int, Field(ge=0)] = 1
    frequency: Positive = 10.0
    kernel_length: Count | None = None
    decay: Annotated[Decay, FromRegistry(DECAYS)] = RelativeDecay()
    normalized: bool = False
    beyond: Literal["zeros", "network"] = "zeros"

    @model_validator(mode="after")
    def _no_inert_option(self):
        if self.beyond == "network" and self.kernel_length is not None:
            raise ValueError(
                "beyond: network has no effect where kernel_length ends the kernel; "
                "remove one of the two"
            )
        return self

    def check(self, width: int, length: int) -> None:
        if self.kernel_length is not None and self.kernel_length > length:
            raise ValueError(
                f"the static kernel's kernel_length is {self.kernel_length}, but the length is "
                f"{length}: choose 1 to {length}, or null for all taps"
            )

    def module(self, width: int, length: int, *, sides: int = 1) -> ImplicitFilter:
        return ImplicitFilter(self, width, length, sides)

    def num_taps(self, length: int) -> int:
        return min(length, self.kernel_length or length)

    def flops(self, width: int, length: int) -> float:
        taps = self.num_taps(length)
        mlp = (2 * self.bands + 1) * self.width + self.inner_layers * self.width**2
        return 2.0 * taps * (mlp + self.width * width)


class ImplicitFilter(nn.Module):
    """forward(length) -> h0 (..., length, sides D)."""

    def __init__(self, config: ImplicitKernel, width: int, length: int, sides: int = 1):
        super().__init__()
        self.config, self.width, self.sides, self.built = config, width, sides, length
        taps = config.kernel_length or length
        table = positions(taps, length, config.bands)
        self.positions = parameter(table.shape, Recipe(constant(table), lr_max=1e-5, decay=False))
        widths = [table.shape[1]] + (config.inner_layers + 1) * [config.width]
        self.layers = nn.ModuleList(
            Linear(a, b, kind="own", decay=False) for a, b in pairwise(widths)
        )
        self.frequency = parameter((config.width,), Recipe(constant(config.frequency), decay=False))
        self.out = Linear(config.width, sides * width, bias=False, kind="own", decay=False)
        self.register_buffer("window", self._window(taps), persistent=False)

    @full_precision
    def forward(self, length: int) -> Tensor:
        taps = min(length, self.positions.shape[-2])
        k, window = self.positions[..., :taps, :], self.window[:taps]
        if length > self.built and self.config.beyond == "network":
            taps = length
            later = positions(taps, self.built, self.config.bands)[self.built :]
            later = torch.from_numpy(later).to(k).expand(*k.shape[:-2], -1, -1)
            k, window = torch.cat([k, later], dim=-2), self._window(taps).to(k)
        layers = (value for layer in self.layers for value in (layer.weight, layer.bias))
        k = self.out(_Sines.apply(k, self.frequency, *layers)) * window
        if self.config.normalized:
            k = k / k.abs().sum(-1, keepdim=True)
        return nn.functional.pad(k, (0, 0, 0, length - taps)) if taps < length else k

    def _window(self, taps: int) -> Tensor:
        """(taps, sides D)."""
        window = self.config.decay.window(self.width, self.built, taps)
        return torch.from_numpy(np.tile(window, self.sides)).to(torch.get_default_dtype())


class _Sines(torch.autograd.Function):
    """k -> sin(f (W_n ... sin(f (W_1 k + b_1)) ... + b_n)); k (..., T, E), f (..., W).

    Sines of large arguments, one in another, magnify rounding a hundredfold: forward is in
    float64. Gradients are not magnified so and stay in the parameters' type, at a third of the
    cost; that is why this is an own function. f is multiplied to the weights, not to every tap.
    """

    @staticmethod
    def forward(ctx, k: Tensor, frequency: Tensor, *layers: Tensor) -> Tensor:
        saved, f = [], frequency.double()
        k = k.double()
        for weight, bias in zip(layers[0::2], layers[1::2], strict=True):
            angle = linear(k, f.unsqueeze(-1) * weight, f * bias)
            saved += [k.to(weight.dtype), angle.to(weight.dtype)]
            k = torch.sin(angle)
        ctx.save_for_backward(frequency, *layers, *saved)
        return k.to(frequency.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        f, *saved = ctx.saved_tensors
        layers, saved = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        grad, grad_f, grads = grad.contiguous(), torch.zeros_like(f), []
        for i in reversed(range(0, len(layers), 2)):
            (weight, bias), (k, angle) = layers[i : i + 2], saved[i : i + 2]
            grad = torch.cos(angle).mul_(grad)
            by_weight, by_bias = linear(grad.mT, k.mT, None), grad.sum(-2)  # of f W and f b
            grads = [f.unsqueeze(-1) * by_weight, f * by_bias, *grads]
            grad_f += (by_weight * weight).sum(-1) + by_bias * bias
            grad = linear(grad, (f.unsqueeze(-1) * weight).mT, None)
        return grad, grad_f, *grads


def positions(taps: int, length: int, bands: int) -> np.ndarray:
    """(T, 2 bands + 1): the initial table p of a kernel of this length, for taps 0 to T - 1:
    rows [t/(L-1), cos(f_j w_t), -sin(f_j w_t)]."""
    t = np.arange(taps)[:, None]
    angle = 2 * np.pi * t / length * np.linspace(1e-4, bands - 1, bands)
    return np.concatenate([t / max(1, length - 1), np.cos(angle), -np.sin(angle)], axis=1)
