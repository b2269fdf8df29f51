"""BaseConv of HazyResearch/zoology@d88d6f5."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from harness.mixers.base_conv import BaseConv, ExplicitKernel, ImplicitKernel, ShortKernel
from tests.parity.weights import Weights, expect_input, run

KEYS = {
    *("L", "batch", "d_model", "float32_casts_lifted", "float32_max_rel_dev", "kernel_size"),
    *("implicit_long_conv", "l_max", "upstream", "use_act", "variant"),
}


def recognises(config: Mapping) -> bool:
    return "zoology" in str(config.get("upstream", "")) and "implicit_long_conv" in config


def unsupported(config: Mapping) -> str:
    long, explicit = config["kernel_size"] == -1, not config["implicit_long_conv"]
    if long and explicit and config["L"] < config["l_max"]:
        return (
            f"explicit kernel of {config['l_max']} taps at length {config['L']}: the original's "
            "wraps around and shows the future"
        )
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    expect_input(config, data, "batch", "L", "d_model")
    mixer = options(config, data)
    layer = mixer.build(config["d_model"], config["l_max"]).to(dtype)
    load(layer, mixer, data)
    x = torch.from_numpy(data["input"]).to(dtype)
    y, grad = run(lambda x: layer(x, None)[0], x)
    pairs = {"output": (y.numpy(), data["output"])}
    with torch.no_grad():
        if "mid/kernel" in data:
            taps = layer.conv.taps
            kernel = (taps(config["L"]) if callable(taps) else taps).mT.unsqueeze(0)
            pairs["kernel"] = (kernel.numpy(), data["mid/kernel"])
        if "mid/conv_out" in data:
            pairs["conv_out"] = (layer.conv(x).numpy(), data["mid/conv_out"])
    if "grad_input" in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input"])
    return pairs


def options(config: Mapping, data: Mapping) -> BaseConv:
    """Our configuration; the sizes of the implicit network are those of its arrays."""
    if config["kernel_size"] != -1:
        kernel = ShortKernel(taps=config["kernel_size"])
    elif config["implicit_long_conv"]:
        hidden, embedding = data["param/conv.mlp.0.weight"].shape
        kernel = ImplicitKernel(bands=(embedding - 1) // 2, hidden=hidden)
    else:
        kernel = ExplicitKernel()
    return BaseConv(kernel=kernel, activation="silu" if config.get("use_act") else "none")


def load(layer: torch.nn.Module, mixer: BaseConv, data: Mapping) -> None:
    weights, conv = Weights(data), layer.conv
    weights.put_linear(layer.projection, "projection")
    match mixer.kernel.name:
        case "short":
            weights.put(conv.weight, weights.take("conv.conv.weight").squeeze(1), "conv.conv")
            weights.put(conv.bias, "conv.conv.bias")
        case "implicit":
            weights.put(conv.positions, weights.take("conv.pos_emb.z")[0], "conv.pos_emb.z")
            weights.put_linear(conv.hidden, "conv.mlp.0")
            weights.put_linear(conv.out, "conv.mlp.2")
        case "explicit":
            weights.put(conv.taps, weights.take("conv.filter").mT, "conv.filter")
    weights.finish()
