from __future__ import annotations

from harness import mixers

CASES = {
    "based": mixers.get("based", heads=2, feature_dim=3),
    "based-full": mixers.get("based", feature_dim=5, causal=False),
    "based-cosformer": mixers.get("based", feature_dim=4, feature_map="cosformer"),
    "based-cosformer-full": mixers.get(
        "based", heads=2, feature_dim=4, feature_map="cosformer", causal=False
    ),
    "based-pos_elu": mixers.get("based", heads=2, feature_dim=4, feature_map="pos_elu", eps=1e-6),
}
