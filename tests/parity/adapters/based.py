"""Linear attention of Based in HazyResearch/zoology@d88d6f5.

`train_view` chooses between two ways to the same function; "quadratic" is causal whatever `causal`
says. Both form the angles of cosformer in float32, which moves its output by 1e-7: the check does
likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from unittest import mock

import numpy as np
import torch

from harness.mixers import based
from tests.parity.weights import Weights, expect_input, run

FEATURE_MAPS = {"taylor_exp": "taylor", "cosformer": "cosformer", "pos_elu": "pos_elu"}
KEYS = {
    *("L", "batch", "causal", "d_model", "eps", "feature_dim", "feature_name", "l_max"),
    *("float32_casts_lifted", "float32_max_rel_dev", "num_heads", "num_key_value_heads"),
    *("train_view", "upstream", "variant", "apply_rotary", "feature_kwargs"),
}


def recognises(config: Mapping) -> bool:
    return "feature_name" in config


def unsupported(config: Mapping) -> str:
    if config["feature_name"] not in FEATURE_MAPS:
        return f"feature map {config['feature_name']}"
    heads = config["num_heads"]
    if config.get("num_key_value_heads", heads) != heads:
        return f"{config['num_key_value_heads']} heads of keys and values with {heads} of queries"
    if config.get("apply_rotary"):
        return "rotary positions"
    if config.get("feature_kwargs"):
        return f"options of the feature map: {config['feature_kwargs']}"
    if config["d_model"] % heads:
        return f"{heads} heads that do not divide the width {config['d_model']}"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs (ours, theirs) of the output, the features and the input's gradient."""
    expect_input(config, data, "batch", "L", "d_model")
    mixer = based.Based(
        heads=config["num_heads"],
        feature_dim=config["feature_dim"],
        feature_map=FEATURE_MAPS[config["feature_name"]],
        eps=config.get("eps", 1e-12),
        causal=config.get("causal", True) or config.get("train_view") == "quadratic",
    )
    layer = mixer.build(config["d_model"], config["L"]).to(dtype)
    weights = Weights(data)
    for name in ("q", "k", "v"):
        weights.put(getattr(layer, name).weight, f"proj_{name}.weight")
    weights.put(layer.out.weight, "proj_o.weight")
    weights.finish()
    x = torch.from_numpy(data["input"]).to(dtype)
    with mock.patch.object(based, "angles", _angles):
        y, grad = run(lambda x: layer(x, None)[0], x)
        pairs = {"output": (y.numpy(), data["output"])}
        for name in ("q", "k"):
            if f"mid/phi_{name}" in data:
                ours = based.split_heads(getattr(layer, name)(x), mixer.heads)
                ours = based.features(ours, mixer.feature_map).detach().numpy()
                pairs[f"phi_{name}"] = (ours, data[f"mid/phi_{name}"])
    if "grad_input" in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input"])
    return pairs


def _angles(length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return (math.pi / 2 * torch.arange(1, length + 1)).to(dtype) / length
