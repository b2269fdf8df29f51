"""The ablation runner: from a question in YAML to a ledger of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablations.ablation import Ablation


def load(
    name: str, *, scale: str = "smoke", overrides: Sequence[str] = (), multiverse: bool = False
) -> Ablation:
    """An ablation by library name, YAML path or output folder; see `ablations.reading.load`.

    multiverse: its claims under every protocol that it declares; see `ablations.multiverse`.
    """
    from ablations import reading  # imports torch, which readers do without

    if multiverse:
        from ablations.multiverse import load as load_multiverse

        return load_multiverse(name, scale=scale, overrides=overrides)
    return reading.load(name, scale=scale, overrides=overrides)
