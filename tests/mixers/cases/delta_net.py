from __future__ import annotations

from harness import mixers

CASES = {
    "delta_net": mixers.get("delta_net"),
    "delta_net-heads": mixers.get("delta_net", heads=2),
    "delta_net-gated": mixers.get("delta_net", heads=2, gated=True),
}
