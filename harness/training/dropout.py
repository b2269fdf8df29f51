"""Dropout of a stack: each member drops what it would drop alone.

A mask depends on (member's seed, layer, step) and on nothing else, so that neither companions nor
what was drawn before move it. Outside `dropping` nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import nn

from harness.foundation.seeding import generator
from harness.layers import Dropout


@contextmanager
def dropping(model: nn.Module, seed_keys: Sequence[str], step: int) -> Iterator[None]:
    """A training step of a stacked model whose members have these seeds."""
    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, Dropout)]
    device = next(model.parameters()).device
    for name, layer in layers:
        layer.generators = [
            torch.Generator(device).manual_seed(_first(key, name) + step) for key in seed_keys
        ]
    try:
        yield
    finally:
        for _, layer in layers:
            layer.generators = None


@lru_cache(maxsize=4096)
def _first(seed_key: str, layer: str) -> int:
    """The seed of a member's mask at step 0; steps count on from there."""
    return int(generator("dropout", seed_key, layer).integers(2**62))
