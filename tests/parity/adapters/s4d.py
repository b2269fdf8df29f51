"""S4D of HazyResearch/safari@02220c6, whose layout is (B, D, L)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from harness.mixers.s4d import S4D
from tests.parity.weights import Weights, expect_input, run

ACTIVATIONS = {"gelu": "gelu", "id": "identity", "identity": "identity", None: "identity"}
OUTPUTS = {None: "linear", "id": "linear", "identity": "linear", "linear": "linear", "glu": "glu"}
SCALINGS = ("linear", "inverse")
KEYS = {
    *("L", "activation", "batch", "bidirectional", "channels", "d_model", "d_state", "layout"),
    *("float32_casts_lifted", "float32_max_rel_dev", "n_ssm", "postact", "scaling"),
    *("transposed", "upstream", "variant"),
}


def recognises(config: Mapping) -> bool:
    return str(config.get("variant", "")) == "S4D"


def unsupported(config: Mapping) -> str:
    if config.get("activation") not in ACTIVATIONS:
        return f"activation {config['activation']}"
    if config.get("postact") not in OUTPUTS:
        return f"activation {config['postact']} behind the output's map"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    transposed = config.get("transposed", True)
    expect_input(config, data, "batch", *(("d_model", "L") if transposed else ("L", "d_model")))
    layer = options(config).build(config["d_model"], config["L"]).to(dtype)
    load(layer, data)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return layer(x.mT, None)[0].mT if transposed else layer(x, None)[0]

    y, grad = run(forward, torch.from_numpy(data["input"]).to(dtype))
    pairs = {"output": (y.numpy(), data["output"])}
    if "mid/kernel" in data:
        taps = layer.kernel(config["L"]).detach()
        kernel = taps.mT.unflatten(0, (-1, config["d_model"]))
        pairs["kernel"] = (kernel.numpy(), data["mid/kernel"])
    if "grad_input" in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input"])
    return pairs


def options(config: Mapping) -> S4D:
    scaling = config.get("scaling", "inverse")  # initial values alone: the file has the modes
    return S4D(
        state=config["d_state"] // 2 * 2,
        initialization=scaling if scaling in SCALINGS else "inverse",
        mode_sets=config.get("n_ssm", 1),
        bidirectional=bool(config.get("bidirectional", False)),
        channels=config.get("channels", 1),
        activation=ACTIVATIONS[config.get("activation", "gelu")],
        output=OUTPUTS[config.get("postact")],
    )


def load(layer: torch.nn.Module, data: Mapping) -> None:
    weights, kernel = Weights(data), layer.kernel
    weights.put(layer.skip, weights.take("D").flatten(), "D")
    weights.put(kernel.coefficient, "kernel.kernel.C")
    weights.put(kernel.log_dt, "kernel.kernel.log_dt")
    weights.put(kernel.log_decay, "kernel.kernel.log_w_real")
    weights.put(kernel.frequency, "kernel.kernel.w_imag")
    followed = "output_linear.0.weight" in weights  # by an activation, be it the identity
    weights.put_linear(layer.out, "output_linear.0" if followed else "output_linear")
    weights.finish()
