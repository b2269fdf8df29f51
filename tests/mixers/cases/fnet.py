from __future__ import annotations

from harness import mixers

CASES = {
    "fnet": mixers.get("fnet"),
    "fnet-ortho": mixers.get("fnet", normalization="ortho"),
}
