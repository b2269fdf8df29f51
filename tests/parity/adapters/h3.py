"""H3 of HazyResearch/zoology@d88d6f5."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from harness.mixers.h3 import H3
from tests.parity.weights import Weights, expect_input, run

DISCRETIZATIONS = {"bilinear": "bilinear", "zoh": "zero_order_hold"}
KEYS = {
    *("L", "batch", "d_model", "d_state", "disc", "float32_casts_lifted", "float32_max_rel_dev"),
    *("head_dim", "l_max", "measure", "upstream", "variant"),
}


def recognises(config: Mapping) -> bool:
    named = str(config.get("variant", config.get("case", ""))).lower()
    return "zoology" in str(config.get("upstream", "")) and (
        named.startswith("h3") or {"head_dim", "d_state", "disc"} <= set(config)
    )


def unsupported(config: Mapping) -> str:
    if config.get("disc", "bilinear") not in DISCRETIZATIONS:
        return f"discretisation {config['disc']}"
    if config["d_state"] % 2:
        return f"odd d_state {config['d_state']}"
    if config["L"] > config.get("l_max", config["L"]):
        return f"length {config['L']} beyond l_max {config['l_max']}, where the original cuts"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    expect_input(config, data, "batch", "L", "d_model")
    length = config["L"]
    layer = options(config).build(config["d_model"], length).to(dtype)
    load(layer, data)
    y, grad = run(lambda x: layer(x, None)[0], torch.from_numpy(data["input"]).to(dtype))
    pairs = {"output": (y.numpy(), data["output"])}
    with torch.no_grad():
        for name, part in (("kernel", layer.diagonal), ("shift_kernel", layer.shift)):
            if f"mid/{name}" in data:
                taps = part(length).mT.unsqueeze(0)
                taps = torch.nn.functional.pad(taps, (0, length - taps.shape[-1]))
                pairs[name] = (taps.numpy(), data[f"mid/{name}"])
    if "grad_input" in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input"])
    return pairs


def options(config: Mapping) -> H3:
    return H3(
        state=config["d_state"],
        head_dim=config.get("head_dim", 1),
        discretization=DISCRETIZATIONS[config.get("disc", "bilinear")],
    )


def load(layer: torch.nn.Module, data: Mapping) -> None:
    weights = Weights(data)
    names = [f"{part}_proj" for part in "qkv"]
    for key, target in layer.qkv.named_parameters():
        weights.put(target, torch.cat([weights.take(f"{name}.{key}") for name in names]), key)
    # The original reads heads as (head, position) and writes them as (position, head).
    width, size = layer.out.weight.shape[0], layer.head_dim
    out = weights.take("output_linear.weight").unflatten(1, (size, width // size))
    weights.put(layer.out.weight, out.mT.flatten(1), "output_linear.weight")
    weights.put(layer.out.bias, "output_linear.bias")
    weights.put(layer.shift.input_map, "ssm_k_kernel.kernel.B")
    weights.put(layer.shift.output_map, weights.take("ssm_k_kernel.kernel.C")[0], "shift C")
    weights.put(layer.shift_skip, "ssm_k_D")
    weights.put(layer.diagonal_skip, "D")
    diagonal = layer.diagonal
    weights.put(diagonal.log_dt, "kernel.kernel.log_dt")
    weights.put(diagonal.log_decay, "kernel.kernel.inv_A_real")
    weights.put(diagonal.frequency, "kernel.kernel.A_imag")
    weights.put(diagonal.input_map, "kernel.kernel.B")
    weights.put(diagonal.output_map, weights.take("kernel.kernel.C")[0], "kernel.kernel.C")
    weights.finish()
