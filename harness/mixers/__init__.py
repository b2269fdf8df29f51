"""Sequence mixers, one a file, chosen by name; every module of this folder is imported."""

from __future__ import annotations

import importlib
import pkgutil

from harness.foundation.config import parse_component
from harness.mixers.base import MIXERS, Mixer, register

__all__ = ["Mixer", "get", "names", "register"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def get(name: str, **options) -> Mixer:
    """The mixer of that name. Raises HarnessError for an unknown name or option."""
    return parse_component(MIXERS, {"name": name, **options})


def names() -> list[str]:
    """All registered mixers, plug-ins included."""
    return list(MIXERS)
