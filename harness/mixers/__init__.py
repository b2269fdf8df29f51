"""Sequence mixers, one a file, chosen by name."""

from __future__ import annotations

from harness.foundation.config import parse_component
from harness.mixers.attention import Attention
from harness.mixers.base import MIXERS, Mixer, register
from harness.mixers.long_conv import LongConv
from harness.mixers.orchid import Orchid

__all__ = ["Attention", "LongConv", "Mixer", "Orchid", "get", "names", "register"]


def get(name: str, **options) -> Mixer:
    """The mixer of that name. Raises HarnessError for an unknown name or option."""
    return parse_component(MIXERS, {"name": name, **options})


def names() -> list[str]:
    """All registered mixers, plug-ins included."""
    return list(MIXERS)
