from __future__ import annotations

from harness import mixers

CASES = {
    "long_conv": mixers.get("long_conv"),
    "long_conv-circular": mixers.get("long_conv", causal=False),
    "long_conv-short": mixers.get("long_conv", kernel={"name": "implicit", "kernel_length": 3}),
}
