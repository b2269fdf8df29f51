from __future__ import annotations

from harness import mixers

CASES = {
    "attention": mixers.get("attention", heads=2),
    "attention-bidirectional": mixers.get("attention", heads=4, causal=False),
}
