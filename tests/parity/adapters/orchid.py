"""The published Orchid layer (Karami-m/orchid@061f6df); see `harness.mixers.orchid.official`.

With its `causal: true` the output has a dimension too many, [i, j] being example j with the kernel
of example i; `output_diag` is the meaningful diagonal. Both are checked.
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
    with _original_matrices(config, data):
        y, _ = layer(x, None)
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        kernel = layer.conditioning_kernel(x).detach()
        if "mid/h_adapt" in data:
            kernel = _as_stored(kernel, network, data, length)
        ours = {"output": y, "grad_input": grad}
        if data["output"].ndim == 4:
            ours = {f"{name}_diag": value for name, value in ours.items() if f"{name}_diag" in data}
            y = _all_pairs(layer, network, x)
            (grad,) = torch.autograd.grad(y.square().sum(), x)
            ours |= {"output": y, "grad_input": grad}
    pairs = {
        name: (value.detach().numpy(), data[name])
        for name, value in ours.items()
        if name in data or name == "output"
    }
    if "mid/h_adapt" in data:
        theirs = data["mid/h_adapt"]
        pairs["kernel"] = (kernel, theirs.squeeze(1) if theirs.ndim == 4 else theirs)
    return pairs


def _all_pairs(layer: torch.nn.Module, network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(B, B, L, D): outputs [i, j] of example j with the kernel that example i makes."""
    pairs = (len(x), len(x))

    def first_of_pair(_, arguments: tuple) -> tuple:
        c, *rest = arguments
        return c.unflatten(0, pairs).transpose(0, 1).flatten(0, 1), *rest

    with network.register_forward_pre_hook(first_of_pair):
        return layer(x.repeat(len(x), 1, 1), None)[0].unflatten(0, pairs)


def _as_stored(kernel: torch.Tensor, network, data: Mapping, length: int) -> np.ndarray:
    """Ours (B, F, C) or (B, L, D) as the file has it: (B, D, F) complex or real, or (B, D, L)."""
    in_time = str(np.ravel(data["mid/h_adapt_domain"])[0]) == "time"
    kind, normalization = network.reading.kind, network.reading.makes
    if in_time and not network.in_time:
        kernel = Transform(kind, normalization, length, length).signal(kernel)
    elif not in_time and kind == "dft":
        kernel = torch.complex(*kernel.chunk(2, -1))
    return kernel.mT.numpy()


def _original_matrices(config: Mapping, data: Mapping):
    """Cosine transforms with what the original rounds to float32 in them: a dense matrix, which is
    in the file, or the factors around an FFT."""
    if "param/dct_forward_matrix" in data:
        pair = [data[f"param/dct_{name}_matrix"] for name in ("forward", "inverse")]
    elif config["dxt"].startswith("dctx2"):
        pair = _rounded_factors(config["L"], ortho=config["dxt"].endswith("-o"))
    else:
        return nullcontext()

    def matrices(transform, dtype, device):
        return tuple(torch.from_numpy(matrix).to(device, dtype) for matrix in pair)

    return mock.patch.multiple(
        global_convolution, _matrices=matrices, COSINE_MATRIX_POINTS=math.inf
    )


def _rounded_factors(n: int, *, ortho: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cosine transform and inverse, each the real part of an FFT over 2n points."""
    turn = np.exp(-0.5j * np.pi / n * np.arange(2 * n)).astype(np.complex64)
    scale = np.full(n, 1 / np.sqrt(2 * n) if ortho else 1.0)
    scale[0] /= np.sqrt(2) if ortho else 1
    twice = np.concatenate([np.eye(n), np.eye(n)[:, ::-1]], axis=1)
    forward = np.fft.fft(twice)[:, :n] * turn[:n] * scale.astype(np.float32)
    odd = np.diag((1 / scale).astype(np.float32).astype(float))
    odd = np.concatenate([odd, np.zeros((n, 1)), -odd[:, :0:-1]], axis=1)
    inverse = np.fft.ifft(odd / turn)[:, :n]
    return forward.real.T.copy(), inverse.real.T.copy()
