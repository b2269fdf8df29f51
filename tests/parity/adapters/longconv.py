"""LongConv of HazyResearch/safari@02220c6, whose layout is (B, D, L).

It does not cut its kernel in sequences shorter than it was built for: the taps beyond wrap around
in the transform and read the future. Such a file is what our layer computes with a kernel of both
sides whose taps are those of that circle.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from harness.mixers.simple_long_conv import SimpleLongConv
from tests.parity.weights import Weights, expect_input, run

ACTIVATIONS = {"gelu": "gelu", "id": "identity", "identity": "identity", None: "identity"}
OUTPUTS = {None: "none", "glu": "glu", "id": "linear", "identity": "linear", "linear": "linear"}
KEYS = {
    *("L", "activation", "batch", "bidirectional", "channels", "d_model", "l_max", "lam"),
    *("float32_casts_lifted", "float32_max_rel_dev", "layout", "ma_window_len", "postact"),
    *("smooth_freq", "transposed", "upstream", "use_ma_smoothing", "variant", "weight_init"),
}


def recognises(config: Mapping) -> bool:
    return str(config.get("variant", "")) == "LongConv"


def unsupported(config: Mapping) -> str:
    if config.get("activation") not in ACTIVATIONS:
        return f"activation {config['activation']}"
    if config.get("postact") not in OUTPUTS:
        return f"activation {config['postact']} behind the output's map"
    if config.get("smooth_freq"):
        return "smoothing over frequency"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    transposed = config.get("transposed", True)
    expect_input(config, data, "batch", *(("d_model", "L") if transposed else ("L", "d_model")))
    width, channels = config["d_model"], config.get("channels", 1)
    layer = options(config).module(width, config["l_max"]).to(dtype)
    load(layer, data)
    shrunk = layer.kernel.shrunk().detach()
    pairs = {}
    if "mid/kernel" in data:
        kernel = shrunk.mT.unflatten(0, (-1, width))
        pairs["kernel"] = (kernel.numpy(), data["mid/kernel"])
    if config["L"] < config["l_max"]:
        layer = wrapped(layer, config, shrunk)

    def forward(x: torch.Tensor) -> torch.Tensor:
        x = x.mT if transposed else x
        # Without a map several channels are no mixer, whose output is as wide as its input.
        several = layer.output == "none" and channels > 1
        y = layer.responses(x) if several else layer(x, None)[0]
        return y.mT if transposed else y

    y, grad = run(forward, torch.from_numpy(data["input"]).to(dtype))
    pairs["output"] = (y.numpy(), data["output"])
    if "grad_input" in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input"])
    return pairs


def options(config: Mapping, **changes) -> SimpleLongConv:
    options = {
        "threshold": float(config.get("lam", 0.1)),
        "smoothing": config.get("ma_window_len", 7) if config.get("use_ma_smoothing") else None,
        "bidirectional": bool(config.get("bidirectional", False)),
        "channels": config.get("channels", 1),
        "activation": ACTIVATIONS[config.get("activation", "gelu")],
        "output": OUTPUTS[config.get("postact")],
    }
    return SimpleLongConv.model_construct(**(options | changes))


def load(layer: torch.nn.Module, data: Mapping) -> None:
    weights = Weights(data)
    weights.put(layer.skip, weights.take("D").flatten(), "D")
    taps = weights.take("kernel.kernel")
    weights.put(layer.kernel.taps, taps.flatten(0, 1).mT, "kernel.kernel")
    if layer.out is not None:
        name = "output_linear.0" if "output_linear.0.weight" in weights else "output_linear"
        weights.put_linear(layer.out, name)
    weights.finish()


def wrapped(layer: torch.nn.Module, config: Mapping, taps: torch.Tensor) -> torch.nn.Module:
    """The same layer at L < l_max: both halves of the original's circle of 2L taps as kernels."""
    length, points = config["L"], 2 * config["L"]
    if config.get("bidirectional"):
        past, future = taps.chunk(2, dim=-1)
        taps = F.pad(past, (0, 0, 0, length)) + F.pad(future.flip(-2), (0, 0, length, 0))
    circle = F.pad(taps, (0, 0, 0, max(0, points - len(taps))))[:points]
    both = options(config, threshold=0.0, smoothing=None, bidirectional=True)
    out = both.module(config["d_model"], length).to(taps)
    with torch.no_grad():
        out.kernel.taps.copy_(torch.cat([circle[:length], circle[length:].flip(-2)], dim=-1))
        for name, value in layer.named_parameters():
            if not name.startswith("kernel."):
                out.get_parameter(name).copy_(value)
    return out
