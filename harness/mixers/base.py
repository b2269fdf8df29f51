"""What a mixer is: a configuration that builds a sequence operator (B, L, D) -> (B, L, D).

A new mixer is one file: a frozen configuration with the methods below, registered by name, and
a module written in the style of `harness.layers` (parameters may have a leading member
dimension, so dimensions are counted from the right). What sums long, or knows no bfloat16 (an own
backward pass, torch.fft), is marked with `harness.layers.full_precision`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

from harness.foundation.config import Component
from harness.foundation.registry import Registry
from harness.foundation.seeding import generator
from harness.layers import initialise

Regime = Literal["causal", "bidirectional"]
State = dict[str, Tensor] | None

MIXERS: Registry[Mixer] = Registry("mixer")
register = MIXERS.register


class Mixer(Component):
    """Base of all mixers; subclasses declare their options as fields.

    Class attributes
        summary: one line for `orchid list`.
        source: the paper and the equation.
        fixed_length: built for one length; the module raises ValueError at any other.
        call_time, pass_time: of a training step with it, over those with attention: of its calls,
            which take as long for few numbers, and of its passes over arrays. `orchid bench
            cohort --calibrate` measures them; plans alone read them.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    fixed_length: ClassVar[bool] = False
    call_time: ClassVar[float] = 1.0
    pass_time: ClassVar[float] = 1.0

    @property
    @abstractmethod
    def regime(self) -> Regime:
        """causal: output t depends on inputs up to t alone. Tested by perturbation."""

    def check(self, width: int, length: int) -> None:
        """Raises ValueError, with the broken rule in numbers, where it cannot be built."""

    def check_length(self, width: int, built: int, length: int) -> None:
        """Raises ValueError where an operator built for one length cannot read another."""
        if self.fixed_length and length != built:
            raise ValueError(f"{self.name} is built for {built} positions and reads no {length}")

    @abstractmethod
    def module(self, width: int, length: int) -> nn.Module:
        """The operator, its parameters not yet initialised.

        forward(x, state) -> (y, state), x and y (..., B, L, D); state passes from layer to layer,
        most mixers hand it on untouched.
        """

    def build(self, width: int, length: int, *, seed: int = 0) -> nn.Module:
        """The operator, checked and initialised as a model would (seed, parameter name)."""
        self.check(width, length)
        module = self.module(width, length)
        initialise(module, lambda name: generator("init", seed, name))
        return module

    @abstractmethod
    def flops_per_token(self, width: int, length: int) -> float:
        """FLOPs of one forward pass per token, a multiply-add counted as two."""

    @abstractmethod
    def state_size(self, width: int, length: int) -> int:
        """Numbers that must be kept of a sequence of this length to answer at its end."""


def fft_flops(length: int) -> float:
    """FLOPs of one real transform of this length: half the customary 5 n log2 n."""
    return 2.5 * length * math.log2(max(2, length))
