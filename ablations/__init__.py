"""The ablation runner: from a question in YAML to a ledger of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablations.ablation import Ablation


def load(name: str, *, scale: str = "smoke", overrides: Sequence[str] = ()) -> Ablation:
    """An ablation by library name, YAML path or output folder; see `ablations.reading.load`."""
    from ablations.reading import load as load_ablation  # imports torch, which readers do without

    return load_ablation(name, scale=scale, overrides=overrides)
