"""Hyena of HazyResearch/safari@02220c6 (standalone) and of HazyResearch/zoology@d88d6f5.

The first takes `normalized` and `short_filter_order` and makes nothing of them, both do so with
`w_mod`. Of an input longer than l_max the first sees no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from harness.mixers.hyena import Hyena
from harness.mixers.orchid.static_kernel import ImplicitKernel, NoDecay
from tests.parity.weights import Weights, expect_input, run

KEYS = {
    *("L", "batch", "d_model", "emb_dim", "filter_order", "float32_casts_lifted", "l_max"),
    *("float32_max_rel_dev", "num_blocks", "num_heads", "num_inner_mlps", "order", "upstream"),
    *("short_filter_order", "variant", "w", "w_mod", "normalized", "bidirectional", "shift"),
    *("modulate", "linear_mixer"),
}


def recognises(config: Mapping) -> bool:
    return "hyena" in str(config.get("variant", "")).lower()


def unsupported(config: Mapping) -> str:
    for key in ("num_heads", "num_blocks"):
        if config.get(key, 1) != 1:
            return f"{key} {config[key]}"
    if config.get("bidirectional"):
        return "bidirectional filter"
    if config.get("linear_mixer"):
        return "a linear filter"
    if _zoology(config) and config.get("order", 2) != 2:
        return f"order {config['order']} with zoology's order of gates"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    expect_input(config, data, "batch", "L", "d_model")
    layer = options(config, data).build(config["d_model"], config["l_max"]).to(dtype)
    load(layer, config, data)
    x = torch.from_numpy(data["input"]).to(dtype)
    y, grad = run(lambda x: layer(x[:, : config["l_max"]], None)[0], x)
    pairs = {"output": (y.numpy(), data["output"])}
    # Two sines of angles times 10 amplify float32's rounding by up to 100, in the original alike.
    if "mid/kernel" in data and dtype == torch.float64:
        kernel = layer.filter(min(config["L"], config["l_max"])).detach().numpy()
        pairs["kernel"] = (kernel, data["mid/kernel"])
    if "grad_input" in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input"])
    return pairs


def options(config: Mapping, data: Mapping) -> Hyena:
    return Hyena(
        order=config.get("order", 2),
        short_filter=data["param/short_filter.weight"].shape[-1],
        gate_order="first_first" if _zoology(config) else "last_first",
        filter=ImplicitKernel(
            width=config.get("filter_order", 64),
            bands=(config.get("emb_dim", 3) - 1) // 2,
            inner_layers=config.get("num_inner_mlps", 2),
            frequency=float(config.get("w", 1)),
            normalized=_zoology(config) and bool(config.get("normalized", False)),
            decay=NoDecay(),
        ),
    )


def load(layer: torch.nn.Module, config: Mapping, data: Mapping) -> None:
    weights = Weights(data)
    weights.put_linear(layer.in_linear, "in_proj")
    weights.put_linear(layer.out_linear, "out_proj")
    short = weights.take("short_filter.weight")
    weights.put(layer.short_conv.weight, short.squeeze(1), "short_filter.weight")
    weights.put(layer.short_conv.bias, "short_filter.bias")
    weights.put(layer.skip, "filter_fn.bias")
    weights.put_implicit_filter(
        layer.filter,
        "filter_fn",
        shift=config.get("shift", 0.0),
        modulate=config.get("modulate", True),
    )
    weights.finish()


def _zoology(config: Mapping) -> bool:
    return "zoology" in f"{config.get('variant', '')} {config.get('upstream', '')}".lower()
