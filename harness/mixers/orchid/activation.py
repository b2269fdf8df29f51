"""The activation sigma of the cross-correlation network, paper eq. 3.

It acts on the magnitude and keeps the phase, sigma(|q|) q / |q|, which leaves the kernel
invariant to shifts; `on: parts` applies it to real and imaginary part, which does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from harness.foundation.config import Component
from harness.foundation.registry import Registry
from harness.layers import gelu, sigmoid, silu

_FLOOR = 1e-6  # of |q| in the division, as published


class Activation(Component):
    """Base: the identity."""

    def before(self, q: Tensor) -> Tensor:
        """On the signal (..., L, D), before its transform."""
        return q

    def after(self, q: Tensor, *, complex_halves: bool) -> Tensor:
        """On the spectrum (..., F, C); complex_halves: C is [Re | Im]."""
        return q


ACTIVATIONS: Registry[Activation] = Registry("activation")


@ACTIVATIONS.register("identity")
class Identity(Activation):
    """Nothing; the best published choice."""


@ACTIVATIONS.register("softmax")
class Softmax(Activation):
    """Softmax over positions of the signal, before the transform."""

    def before(self, q: Tensor) -> Tensor:
        return q.softmax(-2)


def _softplus(x: Tensor) -> Tensor:
    return torch.relu(x) + torch.log1p(torch.exp(-x.abs()))


class Pointwise(Activation):
    """on: magnitude (phase kept), or parts (real and imaginary part, each by itself)."""

    function: ClassVar[Callable[[Tensor], Tensor]]

    on: Literal["magnitude", "parts"] = "magnitude"

    def apply(self, x: Tensor) -> Tensor:
        return type(self).function(x)

    def after(self, q: Tensor, *, complex_halves: bool) -> Tensor:
        if self.on == "parts":
            return self.apply(q)
        if not complex_halves:
            size = q.abs()
            return q * (self.apply(size) / size.clamp_min(_FLOOR))
        halves = q.unflatten(-1, (2, -1))
        size = magnitude(halves.square().sum(-2, keepdim=True), floor=_FLOOR)
        return (halves * (self.apply(size) / size)).flatten(-2)


@ACTIVATIONS.register("tanh")
class Tanh(Pointwise):
    function = staticmethod(torch.tanh)


@ACTIVATIONS.register("sigmoid")
class Sigmoid(Pointwise):
    function = staticmethod(sigmoid)


@ACTIVATIONS.register("softsign")
class Softsign(Pointwise):
    function = staticmethod(F.softsign)


@ACTIVATIONS.register("softplus")
class Softplus(Pointwise):
    function = staticmethod(_softplus)


@ACTIVATIONS.register("relu")
class Relu(Pointwise):
    """A magnitude is never negative, so that only its parts can be rectified."""

    on: Literal["parts"] = "parts"

    function = staticmethod(torch.relu)


@ACTIVATIONS.register("silu")
class Silu(Pointwise):
    function = staticmethod(silu)


@ACTIVATIONS.register("gelu")
class Gelu(Pointwise):
    function = staticmethod(gelu)


@ACTIVATIONS.register("softshrink")
class Softshrink(Pointwise):
    """sign(x) max(|x| - threshold, 0)."""

    threshold: Annotated[float, Field(ge=0)] = 0.5

    def apply(self, x: Tensor) -> Tensor:
        return F.softshrink(x, self.threshold)


def magnitude(power: Tensor, *, floor: float) -> Tensor:
    """sqrt(power), at least `floor` and without slope there (the root's own is infinite at 0)."""
    return power.clamp_min(floor**2).sqrt()
