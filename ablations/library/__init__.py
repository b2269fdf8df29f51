"""The ablations that ship, a file each."""

from __future__ import annotations

from pathlib import Path


def files() -> dict[str, Path]:
    """Name -> YAML file, in the order of the alphabet."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
