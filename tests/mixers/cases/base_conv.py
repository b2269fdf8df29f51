from __future__ import annotations

from harness import mixers

CASES = {
    "base_conv": mixers.get("base_conv"),
    "base_conv-taps": mixers.get("base_conv", kernel={"name": "short", "taps": 5}),
    "base_conv-implicit": mixers.get("base_conv", kernel="implicit", activation="silu"),
    "base_conv-bands": mixers.get(
        "base_conv", kernel={"name": "implicit", "bands": 3, "hidden": 10}
    ),
    "base_conv-explicit": mixers.get("base_conv", kernel="explicit"),
}
