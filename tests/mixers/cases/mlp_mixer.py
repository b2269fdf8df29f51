from __future__ import annotations

from harness import mixers

CASES = {
    "mlp_mixer": mixers.get("mlp_mixer"),
    "mlp_mixer-narrow": mixers.get("mlp_mixer", ratio=0.5),
    "mlp_mixer-causal": mixers.get("mlp_mixer", ratio=1.5, causal=True),
}
