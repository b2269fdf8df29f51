from __future__ import annotations

from harness import mixers

CASES = {
    "h3": mixers.get("h3"),
    "h3-heads": mixers.get("h3", head_dim=2, state=6),
    "h3-zero-order-hold": mixers.get("h3", head_dim=4, state=8, discretization="zero_order_hold"),
}
