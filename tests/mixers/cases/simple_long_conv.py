from __future__ import annotations

from harness import mixers

CASES = {
    "simple_long_conv": mixers.get("simple_long_conv"),
    "simple_long_conv-smooth": mixers.get(
        "simple_long_conv",
        threshold=0.001,
        smoothing=7,
        initialization="double_exponential",
        channels=2,
        output="linear",
        activation="identity",
    ),
    "simple_long_conv-bidirectional": mixers.get(
        "simple_long_conv", bidirectional=True, threshold=0.0, output="none"
    ),
}
