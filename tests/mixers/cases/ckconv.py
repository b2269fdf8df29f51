from __future__ import annotations

from harness import mixers

CASES = {
    "ckconv": mixers.get("ckconv"),
    "ckconv-bidirectional": mixers.get("ckconv", causal=False, hidden=10, omega_0=5.0),
}
