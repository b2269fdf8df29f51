from __future__ import annotations

from harness import mixers

CASES = {
    "linear_attention": mixers.get("linear_attention", heads=2),
    "linear_attention-relu": mixers.get("linear_attention", feature_map="relu", causal=False),
    "linear_attention-identity": mixers.get(
        "linear_attention", feature_map="identity", normalize=False
    ),
    "linear_attention-full": mixers.get("linear_attention", heads=2, causal=False, normalize=False),
}
