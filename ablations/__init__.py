"""The ablation runner: from a question in YAML to a ledger of runs."""

from ablations.ablation import Ablation, library, load

__all__ = ["Ablation", "library", "load"]
