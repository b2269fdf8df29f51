from __future__ import annotations

from harness import mixers

CASES = {
    "selective_scan": mixers.get("selective_scan"),
    "selective_scan-small": mixers.get(
        "selective_scan", expand=1, state=3, dt_rank=2, short_filter=0
    ),
}
