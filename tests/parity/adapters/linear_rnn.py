"""Naive recurrences of fla-org/flash-linear-attention@bc3b101, which have no parameters.

Which one a file holds is in its name, or follows from its inputs. Their axes come in the order
that `layout` gives (B batch, T time, H head, K channels, D channels without heads).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from harness.mixers import based, linear_attention
from harness.mixers.recurrence import delta_rule, diagonal_scan, linear_recurrence
from harness.mixers.retention import retain

KEYS = {
    *("B", "H", "K", "T", "V", "layout", "normalize", "upstream", "variant"),
    *("float32_casts_lifted", "float32_max_rel_dev"),
}
LAYOUTS = ("BTHK", "BHTK", "BTD", "BDT")
BASED_EPS = 1e-6  # added to the sum of weights, as the original has it

Inputs = dict[str, Tensor]
Results = tuple[Tensor, Tensor | None]  # outputs, final state


def _gla(x: Inputs, normalize: bool) -> Results:
    return linear_recurrence(x["q"], x["k"], x["v"], x["gk"], x.get("initial_state"))


def _delta(x: Inputs, normalize: bool) -> Results:
    state = x.get("initial_state")
    return delta_rule(x["q"], x["k"], x["v"], x["beta"], x.get("g"), state)


def _linear(x: Inputs, normalize: bool) -> Results:
    if not normalize:
        return linear_recurrence(x["q"], x["k"], x["v"], None, x.get("initial_state"))
    y = linear_attention.attend(x["q"], x["k"], x["v"], causal=True, normalize=True)
    return y, None


def _retention(x: Inputs, normalize: bool) -> Results:
    return retain(x["q"], x["k"], x["v"]), None


def _based(x: Inputs, normalize: bool) -> Results:
    """Ours brings the factor of 1 / sqrt(K) itself."""
    q = x["q"] * x["q"].shape[-1] ** 0.5
    return based.causal_taylor(q, x["k"], x["v"], eps=BASED_EPS), None


def _hgrn(x: Inputs, normalize: bool) -> Results:
    h = diagonal_scan(x["x"], x["g"], x.get("initial_state"))
    return h, h[..., -1, :]


# The longer name first where one is part of another.
KINDS: dict[str, tuple[Callable[[Inputs, bool], Results], set[str]]] = {
    "gated_delta_rule": (_delta, {"q", "k", "v", "beta", "g"}),
    "delta_rule": (_delta, {"q", "k", "v", "beta"}),
    "gla": (_gla, {"q", "k", "v", "gk"}),
    "hgrn": (_hgrn, {"x", "g"}),
    "linear_attn_norm": (_linear, {"q", "k", "v"}),
    "linear_attn": (_linear, {"q", "k", "v"}),
    "retention": (_retention, {"q", "k", "v"}),
    "based_parallel": (_based, {"q", "k", "v"}),
}
STATEFUL = ("gated_delta_rule", "delta_rule", "gla", "hgrn", "linear_attn")


def recognises(config: Mapping) -> bool:
    return "flash-linear-attention" in str(config.get("upstream", "")).lower()


def unsupported(config: Mapping) -> str:
    if config.get("layout") not in LAYOUTS:
        return f"layout {config.get('layout')}"
    return ""


def evaluate(
    config: Mapping, data: Mapping, dtype: torch.dtype
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs (ours, theirs) of the output, the final state and every input's gradient."""
    names = [key.removeprefix("input_") for key in data if key.startswith("input_")]
    kind = _kind(config, set(names))
    function, expected = KINDS[kind]
    optional = {"initial_state"} if kind in STATEFUL else set()
    if not expected <= set(names) <= expected | optional:
        raise ValueError(f"{kind} with the inputs {', '.join(sorted(names))}")
    _check_sizes(config, data, kind)
    leaves = {
        name: torch.from_numpy(data[f"input_{name}"]).to(dtype).requires_grad_() for name in names
    }
    layout = config["layout"]
    inputs = {name: _time_last_but_one(value, name, layout) for name, value in leaves.items()}
    if "q" in inputs:
        inputs["q"] = inputs["q"] * inputs["q"].shape[-1] ** -0.5
    normalize = bool(config.get("normalize")) or kind == "linear_attn_norm"
    outputs, state = function(inputs, normalize)
    gradients = torch.autograd.grad(outputs.square().sum(), list(leaves.values()))
    outputs = _as_stored(outputs, layout)
    pairs = {"output": (outputs.detach().numpy(), data["output"])}
    if "mid/final_state" in data:
        if state is None:
            raise ValueError(f"a final state of {kind}, which we do not return")
        pairs["final_state"] = (state.detach().numpy(), data["mid/final_state"])
    for name, gradient in zip(leaves, gradients, strict=True):
        if f"grad_input_{name}" in data:
            pairs[f"grad_{name}"] = (gradient.numpy(), data[f"grad_input_{name}"])
    return pairs


def _kind(config: Mapping, names: set[str]) -> str:
    """By what the file or its variant is called, otherwise by inputs that only one kind has."""
    for text in (config.get("variant"), config.get("case")):
        for kind in KINDS:
            if kind in str(text):
                return kind
    fitting = [kind for kind in KINDS if KINDS[kind][1] == names - {"initial_state"}]
    if len(fitting) > 1 and config["layout"] == "BTHK":
        return "linear_attn_norm" if config.get("normalize") else "linear_attn"
    if len(fitting) != 1:
        found = f"fits {', '.join(fitting)}" if fitting else "is of no known recurrence"
        raise ValueError(f"neither its name nor its inputs tell the recurrence: it {found}")
    return fitting[0]


def _check_sizes(config: Mapping, data: Mapping, kind: str) -> None:
    sizes = {"B": config["B"], "T": config["T"], "H": config["H"]}
    channels = {"x": config["K"]} if kind == "hgrn" else {"k": config["K"], "v": config["V"]}
    for name, size in channels.items():
        expected = tuple(size if axis in "KD" else sizes[axis] for axis in config["layout"])
        if data[f"input_{name}"].shape != expected:
            shape = data[f"input_{name}"].shape
            raise ValueError(f"input_{name} is {shape}, its configuration says {expected}")


def _time_last_but_one(value: Tensor, name: str, layout: str) -> Tensor:
    """(..., H, T, K), and (..., H, T) of what each head has one number of."""
    if name == "initial_state" or layout in ("BHTK", "BTD"):
        return value
    return value.mT if layout == "BDT" else value.transpose(1, 2)


def _as_stored(value: Tensor, layout: str) -> Tensor:
    return _time_last_but_one(value, "output", layout)
