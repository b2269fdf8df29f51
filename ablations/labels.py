"""How levels and arms are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def level_label(level: Any) -> str:
    """A level of a factor in one line: `orchid(form=causal)`, `none`, `0.5`."""
    if isinstance(level, Mapping):
        inner = ", ".join(f"{k}={level_label(v)}" for k, v in level.items() if k != "name")
        name = level_label(level["name"]) if "name" in level else ""
        return f"{name}({inner})" if name and inner else name or inner
    if isinstance(level, list | tuple):
        return ", ".join(map(level_label, level))
    if level is None or isinstance(level, bool):
        return {None: "none", True: "true", False: "false"}[level]
    return str(level)


def arm_label(levels: Mapping[str, str]) -> str:
    """An arm by the levels of its factors, each called by as much of its key as tells it apart."""
    if len(levels) == 1:
        (label,) = levels.values()
        return label
    return ", ".join(f"{_short(key, levels)}={label}" for key, label in levels.items())


def _short(key: str, keys: Collection[str]) -> str:
    """The least ending of a dotted key that no other of the keys has."""
    parts = key.split(".")
    endings = (parts[-num:] for num in range(1, len(parts) + 1))
    return next(
        (".".join(end) for end in endings
         if sum(other.split(".")[-len(end):] == end for other in keys) == 1),
        key,
    )  # fmt: skip
