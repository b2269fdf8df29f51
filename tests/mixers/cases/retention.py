from __future__ import annotations

from harness import mixers

CASES = {
    "retention": mixers.get("retention", heads=2),
    "retention-bare": mixers.get("retention", rotation=False, norm=False, gate=False),
    "retention-norm": mixers.get("retention", gate=False),
}
