from __future__ import annotations

from harness import mixers

CASES = {
    "short_conv": mixers.get("short_conv"),
    "short_conv-gated": mixers.get("short_conv", taps=4, gated=True),
}
