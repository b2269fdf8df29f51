from __future__ import annotations

from harness import mixers

CASES = {
    "attention": mixers.get("attention", heads=2),
    "attention-bidirectional": mixers.get("attention", heads=4, causal=False),
    "attention-rotary": mixers.get("attention", heads=2, positions="rotary"),
    "attention-window": mixers.get("attention", heads=2, window=5),
    "attention-window-both-sides": mixers.get(
        "attention", causal=False, positions="rotary", window=2
    ),
}
