"""Helpers: members of a stack, made by hand as the trainer makes them."""

from __future__ import annotations

from torch import nn

from harness.mixers import Mixer
from harness.mixers.check import outputs_and_gradients as run
from harness.mixers.check import stack_members as stack

__all__ = ["members", "run", "stack"]


def members(mixer: Mixer, width: int, length: int, num: int) -> list[nn.Module]:
    """Modules of the same mixer with different seeds."""
    return [mixer.build(width, length, seed=seed) for seed in range(num)]
