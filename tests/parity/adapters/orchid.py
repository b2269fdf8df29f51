"""The published Orchid layer (Karami-m/orchid@061f6df); see `harness.mixers.orchid.official`.

With its `causal: true` files hold the meaningful diagonal of the output as `output_diag`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from unittest import mock

import numpy as np
import torch

from harness.mixers.orchid import global_convolution, official
from harness.mixers.orchid.global_convolution import Transform

KEYS = {
    *("L", "actq", "batch", "causal", "conv_filter_size", "d_model", "dxt", "emb_dim", "bias"),
    *("filter_order", "float32_max_rel_dev", "kernel_adapt_buffer_removed", "l_max", "n_layer"),
    *("nn", "norm", "normalized", "num_heads", "num_inner_mlps", "order", "padding_mode", "type"),
    *("residual_long_conv", "short_filter_order", "upstream", "w", "w_mod", "shift", "modulate"),
    *("activation", "bidirectional", "linear_mixer"),
}

unsupported = official.unsupported


def recognises(config: Mapping) -> bool:
    return "orchid" in str(config.get("upstream", "")).lower()


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs (ours, theirs) of the output, the conditioning kernel and the input's gradient."""
    length, built = config["L"], config.get("l_max", 128)
    expected = (config["batch"], length, config["d_model"])
    if data["input"].shape != expected:
        raise ValueError(f"the input is {data['input'].shape}, its configuration says {expected}")
    mixer = official.mixer(config)
    mixer.check(config["d_model"], min(length, built))
    layer = mixer.build(config["d_model"], built).to(dtype).eval()
    names = [name for name in data if name.startswith("param/")]
    official.load(
        layer, config, {name[6:]: torch.from_numpy(np.asarray(data[name])) for name in names}
    )
    network = layer.convolutions[0].conditioning
    # For cosine transforms an identity, but for their rounding.
    if config.get("causal", True) and config.get("type") != "corrTime":
        network.in_time = True
    x = torch.from_numpy(data["input"]).to(dtype).requires_grad_()
    with _stored_matrices(data):
        y, _ = layer(x, None)
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        kernel = layer.conditioning_kernel(x).detach()
        if "mid/h_adapt" in data:
            kernel = _as_stored(kernel, network, data, length)
    diag = "_diag" if "output_diag" in data else ""
    pairs = {"output": (y.detach().numpy(), data["output" + diag])}
    if "mid/h_adapt" in data:
        theirs = data["mid/h_adapt"]
        pairs["kernel"] = (kernel, theirs.squeeze(1) if theirs.ndim == 4 else theirs)
    if "grad_input" + diag in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input" + diag])
    return pairs


def _as_stored(kernel: torch.Tensor, network, data: Mapping, length: int) -> np.ndarray:
    """Ours (B, F, C) or (B, L, D) as the file has it: (B, D, F) complex or real, or (B, D, L)."""
    in_time = str(np.ravel(data["mid/h_adapt_domain"])[0]) == "time"
    kind, normalization = network.reading.kind, network.reading.makes
    if in_time and not network.in_time:
        kernel = Transform(kind, normalization, length, length).signal(kernel)
    elif not in_time and kind == "dft":
        kernel = torch.complex(*kernel.chunk(2, -1))
    return kernel.mT.numpy()


def _stored_matrices(data: Mapping):
    """The dense cosine matrices of the original are rounded to float32: its own are used."""
    if "param/dct_forward_matrix" not in data:
        return nullcontext()

    def matrices(transform, dtype, device):
        return tuple(
            torch.from_numpy(data[f"param/dct_{name}_matrix"]).to(device, dtype)
            for name in ("forward", "inverse")
        )

    return mock.patch.multiple(
        global_convolution, _matrices=matrices, COSINE_MATRIX_POINTS=math.inf
    )
