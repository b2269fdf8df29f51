from __future__ import annotations

from harness import mixers

CASES = {
    "hyena": mixers.get("hyena"),
    "hyena-order-3": mixers.get(
        "hyena",
        order=3,
        short_filter=4,
        filter={"name": "implicit", "bands": 1, "width": 16, "inner_layers": 2, "frequency": 1.0},
    ),
    "hyena-first-first": mixers.get(
        "hyena",
        gate_order="first_first",
        short_filter=1,
        filter={"name": "implicit", "kernel_length": 3, "decay": "none", "normalized": True},
    ),
}
