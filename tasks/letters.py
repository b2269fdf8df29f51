"""How tokens without a meaning of their own are written in tasks on strings."""

from __future__ import annotations

from string import ascii_lowercase


def letters(count: int) -> list[str]:
    """count different names: letters as long as there are enough, else x0, x1, ..."""
    if count <= len(ascii_lowercase):
        return list(ascii_lowercase[:count])
    return [f"x{i}" for i in range(count)]
