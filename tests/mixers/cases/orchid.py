from __future__ import annotations

from harness import mixers

DECAY = {"name": "implicit", "decay": {"name": "taps", "longest": 8.0, "shortest": 2.0}}

CASES = {
    "orchid": mixers.get("orchid"),
    "orchid-static": mixers.get("orchid", conditioning="static", static_kernel=DECAY),
    "orchid-magnitude": mixers.get("orchid", conditioning="magnitude", chain="gate-conv"),
    "orchid-power": mixers.get("orchid", conditioning="power", chain="conv", short_filter=1),
    "orchid-spectrum": mixers.get("orchid", conditioning="spectrum", chain="conv-gate"),
    "orchid-dynamic": mixers.get("orchid", static_kernel="none"),
    "orchid-layers": mixers.get(
        "orchid",
        conditioning={"name": "power", "layers": 2, "padding": "reflect", "filter_size": 5},
        normalization="ortho",
        residual_conv=True,
    ),
    "orchid-window": mixers.get(
        "orchid",
        conditioning={
            "name": "cross_correlation",
            "kernel_length": 3,
            "padding": "circular",
            "activation": {"name": "softshrink", "threshold": 0.1},
            "layers": 2,
        },
    ),
    "orchid-constant": mixers.get(
        "orchid", conditioning={"name": "cross_correlation", "input": "constant"}
    ),
    "orchid-table": mixers.get(
        "orchid", conditioning={"name": "cross_correlation", "input": "table"}
    ),
    "orchid-shuffled": mixers.get(
        "orchid", conditioning={"name": "magnitude", "input": "shuffled", "convolutions": "time"}
    ),
    "orchid-padded": mixers.get(
        "orchid", conditioning={"name": "power", "padded": True, "norm": "none"}
    ),
    "orchid-softmax": mixers.get(
        "orchid",
        conditioning={
            "name": "cross_correlation",
            "activation": "softmax",
            "convolutions": "freq",
        },
    ),
    "orchid-dct": mixers.get("orchid", transform="dct", normalization="ortho"),
}
