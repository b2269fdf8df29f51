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
    "orchid-order-2": mixers.get(
        "orchid", chain="gate-conv-gate-conv-gate", conditioning="magnitude"
    ),
    "orchid-two-convolutions": mixers.get("orchid", chain="conv-gate-gate-conv"),
    "orchid-heads": mixers.get("orchid", heads=2),
    "orchid-heads-power": mixers.get(
        "orchid", heads=4, conditioning={"name": "power", "convolutions": "time"}
    ),
    "orchid-bidirectional": mixers.get("orchid", form="bidirectional", residual_conv=True),
    "orchid-bidirectional-window": mixers.get(
        "orchid",
        form="bidirectional",
        conditioning={"name": "magnitude", "kernel_length": 4, "input": "constant"},
    ),
    "orchid-causal": mixers.get("orchid", form={"name": "causal", "chunks": 3}),
    "orchid-causal-window": mixers.get(
        "orchid",
        form="causal",
        heads=2,
        residual_conv=True,
        conditioning={"name": "power", "kernel_length": 3, "convolutions": "freq"},
    ),
    "orchid-causal-constant": mixers.get(
        "orchid", form="causal", conditioning={"name": "magnitude", "input": "constant"}
    ),
    "orchid-hidden-relu": mixers.get(
        "orchid",
        conditioning={"name": "cross_correlation", "layers": 2, "hidden_activation": "tanh"},
    ),
    "orchid-batchnorm": mixers.get(
        "orchid",
        conditioning={"name": "cross_correlation", "norm": "batchnorm", "layers": 2},
    ),
    "orchid-matched": mixers.get("orchid", gain="matched"),
    "orchid-dct-matched": mixers.get(
        "orchid", transform="dct", gain="matched", conditioning="magnitude"
    ),
}
