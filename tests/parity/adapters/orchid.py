"""The published Orchid layer (Karami-m/orchid@061f6df): its options and weights as ours.

Its `causal: true` is not causal: it makes the kernel in time, over 2L points, and its output
has a batch dimension too many; files hold the meaningful diagonal as `output_diag`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from unittest import mock

import numpy as np
import torch

from harness.mixers.orchid import Orchid, global_convolution
from harness.mixers.orchid.activation import ACTIVATIONS
from harness.mixers.orchid.conditioning import CONDITIONING, Conditioning
from harness.mixers.orchid.global_convolution import Transform
from harness.mixers.orchid.static_kernel import ImplicitKernel, NoDecay

TRANSFORMS = {
    "fft": ("dft", "forward"),
    "fft-o": ("dft", "ortho"),
    "dctxd-o": ("dct", "ortho"),
    "dctx2-o": ("dct", "ortho"),
    "dct": ("dct", "backward"),
    "dct2": ("dct", "backward"),
    "dctx4-o": ("dct", "backward"),
    "dct1": ("dct1", "backward"),
}
CONVOLUTIONS = {"convt": "time", "convf": "freq", "convtf": "time+freq"}
KEYS = {
    *("L", "actq", "batch", "causal", "conv_filter_size", "d_model", "dxt", "emb_dim", "bias"),
    *("filter_order", "float32_max_rel_dev", "kernel_adapt_buffer_removed", "l_max", "n_layer"),
    *("nn", "norm", "normalized", "num_heads", "num_inner_mlps", "order", "padding_mode", "type"),
    *("residual_long_conv", "short_filter_order", "upstream", "w"),
}


def recognises(config: Mapping) -> bool:
    return "orchid" in str(config.get("upstream", "")).lower()


def unsupported(config: Mapping) -> str:
    """What we lack for this case, or nothing."""
    if config["dxt"] not in TRANSFORMS:
        return f"transform {config['dxt']}"
    if config["type"] not in ("absfreq", "freq", "corrTime"):
        return f"conditioning type {config['type']}"
    if _nn(config) not in CONVOLUTIONS:
        return f"conditioning layout {config['nn']}"
    if config.get("norm", "layernorm") not in ("layernorm", "none", None):
        return f"norm {config['norm']} (running statistics are a state of each member)"
    if config.get("padding_mode", "zeros") not in ("zeros", "reflect", "circular"):
        return f"padding {config['padding_mode']}"
    if config.get("order", 2) != 2 or config.get("num_heads", 1) != 1:
        return f"order {config.get('order', 2)} with {config.get('num_heads', 1)} heads"
    if config.get("residual_long_conv", "sconv") not in ("sconv", None, "none", ""):
        return f"residual {config['residual_long_conv']}"
    if config.get("conv_filter_size", 3) % 2 == 0:
        return "conditioning filter with an even number of taps"
    if config.get("bidirectional"):
        return "bidirectional static kernel"
    name = _activation_name(config)
    if name not in ACTIVATIONS:
        return f"activation {name}"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs (ours, theirs) of the output, the conditioning kernel and the input's gradient."""
    length, built = config["L"], config.get("l_max", 128)
    expected = (config["batch"], length, config["d_model"])
    if data["input"].shape != expected:
        raise ValueError(f"the input is {data['input'].shape}, its configuration says {expected}")
    mixer = options(config)
    mixer.check(config["d_model"], min(length, built))
    layer = mixer.build(config["d_model"], built).to(dtype)
    load(layer, config, data)
    if config.get("causal", True):  # for cosine transforms an identity, but for their rounding
        layer.conditioning.in_time = True
    x = torch.from_numpy(data["input"]).to(dtype).requires_grad_()
    with _stored_matrices(data):
        y, _ = layer(x, None)
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        kernel = layer.conditioning_kernel(x).detach()
        if "mid/h_adapt" in data:
            kernel = _as_stored(kernel, layer, data, length)
    diag = "_diag" if "output_diag" in data else ""
    pairs = {"output": (y.detach().numpy(), data["output" + diag])}
    if "mid/h_adapt" in data:
        theirs = data["mid/h_adapt"]
        pairs["kernel"] = (kernel, theirs.squeeze(1) if theirs.ndim == 4 else theirs)
    if "grad_input" + diag in data:
        pairs["grad_input"] = (grad.numpy(), data["grad_input" + diag])
    return pairs


def options(config: Mapping) -> Orchid:
    """Our configuration of a published one."""
    kind, normalization = TRANSFORMS[config["dxt"]]
    return Orchid(
        short_filter=config.get("short_filter_order", 3),
        static_kernel=ImplicitKernel(
            width=config.get("filter_order", 64),
            bands=(config.get("emb_dim", 3) - 1) // 2,
            inner_layers=config.get("num_inner_mlps", 2),
            frequency=float(config.get("w", 1)),
            normalized=bool(config.get("normalized", False)),
            decay=NoDecay(),
        ),
        conditioning=_conditioning(config, kind),
        transform=kind,
        normalization=normalization,
        residual_conv=config.get("residual_long_conv", "sconv") == "sconv",
    )


def load(layer: torch.nn.Module, config: Mapping, data: Mapping) -> None:
    """Copies the published weights. Raises ValueError for one of another shape or left over."""
    left = {key.removeprefix("param/") for key in data if key.startswith("param/")}
    left -= {name for name in left if name.endswith(("_matrix", "num_batches_tracked"))}

    def take(name: str) -> torch.Tensor:
        left.discard(name)
        return torch.from_numpy(data[f"param/{name}"]).double()

    def put(target: torch.Tensor, value: torch.Tensor, name: str) -> None:
        if target.shape != value.shape:
            raise ValueError(f"{name} is {tuple(value.shape)}, expected {tuple(target.shape)}")
        with torch.no_grad():
            target.copy_(value)

    def copy(target: torch.Tensor, name: str) -> None:
        put(target, take(name), name)

    for part in ("in_linear", "out_linear"):
        copy(getattr(layer, part).weight, f"{part}.weight")
        copy(getattr(layer, part).bias, f"{part}.bias")
    put(layer.short_conv.weight, take("conv1d_short.weight").squeeze(1), "conv1d_short.weight")
    copy(layer.short_conv.bias, "conv1d_short.bias")
    copy(layer.skip, "fixed_conv.bias")
    _load_filter(layer.static_kernel, "fixed_conv", take, put, left)
    if layer.residual:
        copy(layer.residual_skip, "fixed_conv_res.bias")
        _load_filter(layer.residual_kernel, "fixed_conv_res", take, put, left)
    for block, names, layout in _blocks(layer, config):
        for index, (conv, norm) in enumerate(zip(block.convs, block.norms, strict=True)):
            paths = [f"conv_kernel_nn.{name}.conv1d_ls.{index}" for name in names]
            weight = torch.cat([take(f"{path}.weight") for path in paths])
            put(conv.weight, _weight(weight, conv.pairs, layout), paths[0])
            if f"{paths[0]}.bias" in left:
                bias = torch.cat([take(f"{path}.bias") for path in paths])
                put(conv.bias, _rows(bias, layout), paths[0])
            else:
                put(conv.bias, torch.zeros_like(conv.bias), paths[0])
            paths = [f"conv_kernel_nn.{name}.norm_ls.{index}.norm_conv_kernel" for name in names]
            for key, target in norm.named_parameters():
                values = torch.cat([take(f"{path}.{key}") for path in paths])
                put(target, _rows(values, layout), paths[0])
    if left:
        raise ValueError(f"parameters that were not used: {', '.join(sorted(left))}")


def _load_filter(ours, name: str, take, put, left: set[str]) -> None:
    put(ours.positions, take(f"{name}.pos_emb.z")[0], f"{name}.pos_emb.z")
    for index, linear in enumerate([*ours.layers, ours.out]):
        path = f"{name}.implicit_filter.{2 * index}"
        put(linear.weight, take(f"{path}.weight"), path)
        if linear.bias is not None:
            put(linear.bias, take(f"{path}.bias"), path)
    frequencies = sorted(
        key for key in left if key.startswith(f"{name}.") and key.endswith(".freq")
    )
    for path in frequencies:
        put(ours.frequency, take(path)[0], path)
    t, delta = take(f"{name}.pos_emb.t")[0], take(f"{name}.modulation.deltas")[0]
    put(ours.window, torch.exp(-t * delta.abs()), f"{name}.modulation.deltas")


def _blocks(layer, config: Mapping) -> Iterable[tuple]:
    """Our blocks, the published names of each, and how its channels are laid out there."""
    network = layer.conditioning
    halves = "interleaved" if config["type"] == "absfreq" and network.kind == "dft" else "same"
    if config["type"] == "corrTime":
        time, freq = ["nn_model_k", "nn_model_q"], ["nn_model_frq"]
    else:
        time = ["nn_model"]
        freq = ["nn_model2"] if network.time is not None else ["nn_model"]
    if network.time is not None:
        yield network.time, time, "same"
    if network.freq is not None:
        yield network.freq, freq, halves


def _weight(weight: torch.Tensor, pairs: str | None, layout: str) -> torch.Tensor:
    """(C', 1, K) -> (C', K); (C', 2, K) by input channel -> by (same channel, partner)."""
    if pairs is None:
        return _rows(weight.squeeze(1), layout)
    weight = weight.clone()
    weight[1::2] = weight[1::2].flip(1)
    return _rows(weight, layout)


def _rows(values: torch.Tensor, layout: str) -> torch.Tensor:
    """Channels [Re 0, Im 0, Re 1, ...] -> [all Re, all Im]."""
    return torch.cat([values[0::2], values[1::2]]) if layout == "interleaved" else values


def _conditioning(config: Mapping, kind: str) -> Conditioning:
    options = {
        "convolutions": CONVOLUTIONS[_nn(config)],
        "filter_size": config.get("conv_filter_size", 3),
        "padding": config.get("padding_mode", "zeros"),
        "norm": "none" if config.get("norm", "layernorm") in ("none", None) else "layernorm",
        "layers": config.get("n_layer", 1),
        "padded": bool(config.get("causal", True)) and kind == "dft",
    }
    name = {"absfreq": "power", "freq": "spectrum", "corrTime": "cross_correlation"}[config["type"]]
    if name == "power" and kind != "dft":
        name = "magnitude"
    if name == "cross_correlation":
        options["activation"] = _activation(config)
    return CONDITIONING.get(name)(**options)


def _nn(config: Mapping) -> str:
    nn = str(config["nn"]).replace("conv2", "conv")
    return "convt" if config["type"] == "corrTime" and nn == "convf" else nn


def _activation_name(config: Mapping) -> str:
    name = str(config.get("actq", "id")).removesuffix("_abs").split("+")[0]
    return "identity" if name in ("id", "none", "None") else name


def _activation(config: Mapping):
    text, name = str(config.get("actq", "id")), _activation_name(config)
    if name in ("identity", "softmax"):
        return ACTIVATIONS.get(name)()
    options = {"on": "magnitude" if text.endswith("_abs") else "parts"}
    if "+" in text:
        options["threshold"] = float(text.removesuffix("_abs").split("+")[1])
    return ACTIVATIONS.get(name)(**options)


def _as_stored(kernel: torch.Tensor, layer, data: Mapping, length: int) -> np.ndarray:
    """Ours (B, F, C) or (B, L, D) as the file has it: (B, D, F) complex or real, or (B, D, L)."""
    in_time = str(np.ravel(data["mid/h_adapt_domain"])[0]) == "time"
    network = layer.conditioning
    if in_time and not network.in_time:
        transform = Transform(network.kind, network.normalization, length, length)
        kernel = transform.signal(kernel)
    elif not in_time and network.kind == "dft":
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

    return mock.patch.object(global_convolution, "_matrices", matrices)
