"""Dotted keys: `model.mixer.chain` names one field of nested plain data, `model.mixer.0` one entry
of a list.
"""

from __future__ import annotations

from typing import Any

from harness.foundation.config import Implied, Path
from harness.foundation.errors import HarnessError


def path(key: str) -> Path:
    """The parts of a key; a part that is a number is a place in a list."""
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def key(path: Path) -> str:
    """The key of a path."""
    return ".".join(map(str, path))


def put(data: dict, path: Path, value: Any) -> None:
    """Sets one field; a component given by its name alone becomes a mapping on the way, and one
    that is not given at all the default one with this field.

    Raises HarnessError where the path leads through something that has no such fields.
    """
    inner: Any = data
    for depth, part in enumerate(path):
        _check(inner, path[:depth], part)
        if depth == len(path) - 1:
            inner[part] = value
            return
        if isinstance(inner, dict):
            inner.setdefault(part, Implied())
        if isinstance(inner[part], str):
            inner[part] = {"name": inner[part]}
        inner = inner[part]


def holds(data: Any, path: Path) -> bool:
    """Whether something stands at the path."""
    for part in path:
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif isinstance(data, dict) and part in data:
            data = data[part]
        else:
            return False
    return True


def remove(data: dict, path: Path) -> None:
    """Removes one field, if it is there."""
    inner: Any = data
    for part in path[:-1]:
        inner = inner.get(part)
        if not isinstance(inner, dict):
            return
    inner.pop(path[-1], None)


def related(a: Path, b: Path) -> bool:
    """Whether one path lies on or below the other."""
    return a[: len(b)] == b or b[: len(a)] == a


def _check(holder: Any, path: Path, part: str | int) -> None:
    """Whether what stands at the path can hold this part."""
    if isinstance(holder, list):
        if not isinstance(part, int) or part >= len(holder):
            raise HarnessError(
                f"{key(path)} is a list of {len(holder)}, so it has no {part!r}",
                fix=f"name one of its entries: {key((*path, 0))}",
            )
    elif not isinstance(holder, dict):
        raise HarnessError(f"{key(path)} is no mapping, so it has no fields")
    elif isinstance(part, int):
        raise HarnessError(f"{key(path)} is no list, so it has no entry {part}")
