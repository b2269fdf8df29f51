from __future__ import annotations

from harness import mixers

CASES = {
    "gated_linear_attention": mixers.get("gated_linear_attention", heads=2),
    "gated_linear_attention-fast": mixers.get(
        "gated_linear_attention", key_ratio=1.0, gate_rank=3, temperature=1.0
    ),
}
