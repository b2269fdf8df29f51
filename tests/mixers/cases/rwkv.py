from __future__ import annotations

from harness import mixers

CASES = {"rwkv": mixers.get("rwkv")}
