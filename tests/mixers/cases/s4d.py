from __future__ import annotations

from harness import mixers

CASES = {
    "s4d": mixers.get("s4d"),
    "s4d-linear": mixers.get(
        "s4d", state=6, initialization="linear", mode_sets=None, activation="identity"
    ),
    "s4d-bidirectional": mixers.get(
        "s4d", state=8, bidirectional=True, output="glu", channels=2, mode_sets=2
    ),
    "s4d-bilinear": mixers.get("s4d", state=2, discretization="bilinear", output="glu"),
}
