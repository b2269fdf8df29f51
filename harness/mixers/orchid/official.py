"""The published layer (Karami-m/orchid): its options and weights, by their names, as ours.

    layer = official.mixer(options).build(width, length)
    official.load(layer, options, state_dict)

`options` are the keyword arguments of the published operator and of its implicit filter and
conditioning network, under their names. Its `causal: true` is not causal: it makes the kernel in
time, over 2L points (`padded` here). With it the published output has a batch dimension too many,
every kernel meeting every example; ours is the diagonal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from harness.foundation.errors import HarnessError
from harness.mixers.orchid.activation import ACTIVATIONS, Activation
from harness.mixers.orchid.conditioning import CONDITIONING, Conditioning
from harness.mixers.orchid.operator import Orchid
from harness.mixers.orchid.static_kernel import ImplicitKernel, NoDecay

# Their name: our transform and its normalisation. dctx4-o ignores what its name says.
TRANSFORMS = {
    "fft": ("dft", "forward"),
    "fft-o": ("dft", "ortho"),
    **dict.fromkeys(("dctxd-o", "dctx2-o"), ("dct", "ortho")),
    **dict.fromkeys(("dct", "dct2", "dctxd", "dctx2", "dctx4", "dctx4-o"), ("dct", "backward")),
    "dct1": ("dct1", "backward"),
}
CONVOLUTIONS = {"convt": "time", "convf": "freq", "convtf": "time+freq"}
TYPES = {"absfreq": "power", "freq": "spectrum", "corrTime": "cross_correlation"}
NONE = (None, "none", "None", "")
HIDDEN_ACTIVATIONS = ("gelu", "relu", "silu", "tanh", "identity")
SYNONYMS = {"id": "identity", "linear": "identity", "swish": "silu", "smax": "softmax"}


def unsupported(options: Mapping) -> str:
    """The first option that has no counterpart here, or nothing."""
    dft = TRANSFORMS.get(options.get("dxt"), ("",))[0] == "dft"
    hidden = _hidden_activation(options)
    checks = {
        f"transform {options.get('dxt')}": options.get("dxt") in TRANSFORMS,
        f"conditioning type {_type(options)}": _type(options) in TYPES,
        f"conditioning layout {options.get('nn')}": _layout(options) in CONVOLUTIONS,
        f"norm {options.get('norm')}": _norm(options) in ("layernorm", "batchnorm", "none"),
        f"padding {_padding(options)}": _padding(options) in ("zeros", "reflect", "circular"),
        f"order {options.get('order', 2)}": options.get("order", 2) == 2,
        f"{options.get('num_heads', 1)} heads": options.get("num_heads", 1) == 1,
        f"residual {options.get('residual_long_conv')}": _residual(options) in ("sconv", *NONE),
        "a conditioning filter with an even number of taps": _taps(options) % 2 == 1,
        "a bidirectional filter with a residual": not (  # without one it has no effect
            options.get("bidirectional") and _residual(options) == "sconv"
        ),
        "a linear static kernel": not options.get("linear_mixer"),
        f"actq {options.get('actq')}": _actq(options) is not None,
        f"activation {options.get('activation')} between layers": hidden in HIDDEN_ACTIVATIONS,
        # The published code stops in these two, with sizes that do not meet.
        "type corrTime with a Fourier transform and causal": not (
            _type(options) == "corrTime" and dft and options.get("causal", True)
        ),
        "type freq with a Fourier transform and nn convt": not (
            (_type(options), _layout(options)) == ("freq", "convt") and dft
        ),
    }
    return next((what for what, fine in checks.items() if not fine), "")


def mixer(options: Mapping) -> Orchid:
    """Our configuration of published options. Raises HarnessError for one without counterpart."""
    lack = unsupported(options)
    if lack:
        raise HarnessError(
            f"the published options hold what Orchid here lacks: {lack}",
            fix="leave it out, or configure an Orchid of our own options",
        )
    kind, normalization = TRANSFORMS[options["dxt"]]
    return Orchid(
        short_filter=options.get("short_filter_order", 3),
        static_kernel=ImplicitKernel(
            width=options.get("filter_order", 64),
            bands=(options.get("emb_dim", 3) - 1) // 2,
            inner_layers=options.get("num_inner_mlps", 2),
            frequency=float(options.get("w", 1)),
            normalized=bool(options.get("normalized", False)),
            decay=NoDecay(),
        ),
        conditioning=_conditioning(options, kind),
        transform=kind,
        normalization=normalization,
        residual_conv=_residual(options) == "sconv",
    )


def load(layer: nn.Module, options: Mapping, weights: Mapping[str, Tensor]) -> None:
    """Copies published weights into a layer that `mixer(options)` has built.

    Raises ValueError for a weight that is missing, left over, or of another shape.
    """
    _Loader(weights).load(layer, options)


class _Loader:
    def __init__(self, weights: Mapping[str, Tensor]):
        self.weights = weights
        # the cosine matrices are formed anew, and the counter of batches is of no use
        self.left = {
            name
            for name in weights
            if not name.endswith(("dct_forward_matrix", "dct_inverse_matrix", "_batches_tracked"))
            and ".implicit_filter_rev." not in name  # made by `bidirectional`, of no effect
        }

    def load(self, layer: nn.Module, options: Mapping) -> None:
        convolution = layer.convolutions[0]
        for part in ("in_linear", "out_linear"):
            for name, target in getattr(layer, part).named_parameters():
                self._copy(target, f"{part}.{name}")
        name = "conv1d_short.weight"
        self._put(layer.short_conv.weight, self._take(name).squeeze(1), name)
        self._copy(layer.short_conv.bias, "conv1d_short.bias")
        self._filter(convolution, "fixed_conv", options)
        if layer.residual is not None:
            self._filter(layer.residual, "fixed_conv_res", options)
        for block, names, interleaved in _blocks(convolution.conditioning, options):
            self._block(block, [f"conv_kernel_nn.{name}" for name in names], interleaved)
        if self.left:
            raise ValueError(f"weights that were not used: {', '.join(sorted(self.left))}")

    def _take(self, name: str) -> Tensor:
        if name not in self.weights:
            raise ValueError(f"the weight {name} is missing")
        self.left.discard(name)
        return torch.as_tensor(self.weights[name])

    def _put(self, target: Tensor, value: Tensor, name: str) -> None:
        if target.shape != value.shape:
            raise ValueError(f"{name} is {tuple(value.shape)}, expected {tuple(target.shape)}")
        with torch.no_grad():
            target.copy_(value)

    def _copy(self, target: Tensor, name: str) -> None:
        self._put(target, self._take(name), name)

    def _filter(self, convolution: nn.Module, name: str, options: Mapping) -> None:
        """A static kernel and its skip. All sines share one vector of frequencies, which has
        their factor w_mod in it here, and under each of their names in a state dict."""
        ours = convolution.static_kernel
        self._copy(convolution.skip, f"{name}.bias")
        self._put(ours.positions, self._take(f"{name}.pos_emb.z")[0], f"{name}.pos_emb.z")
        for index, linear in enumerate([*ours.layers, ours.out]):
            for part, target in linear.named_parameters():
                self._copy(target, f"{name}.implicit_filter.{2 * index}.{part}")
        for index in range(len(ours.layers)):
            path = f"{name}.implicit_filter.{2 * index + 1}.freq"
            frequency = self._take(path)
            if not torch.equal(frequency, self._take(f"{name}.implicit_filter.1.freq")):
                raise ValueError(f"{path} is another vector than that of the first layer")
            self._put(ours.frequency, options.get("w_mod", 1) * frequency[0], path)
        t = self._take(f"{name}.pos_emb.t")[0].to(ours.window.dtype)
        delta = self._take(f"{name}.modulation.deltas")[0].to(ours.window.dtype)
        window = torch.exp(-t * delta.abs()) + options.get("shift", 0.0)
        if not options.get("modulate", True):
            window = torch.ones_like(window)
        self._put(ours.window, window, f"{name}.modulation.deltas")

    def _block(self, block: nn.Module, paths: list[str], interleaved: bool) -> None:
        """paths: of the blocks that are one here, as k and q are."""
        for index, (conv, norm) in enumerate(zip(block.convs, block.norms, strict=True)):
            names = [f"{path}.conv1d_ls.{index}" for path in paths]
            weight = torch.cat([self._take(f"{name}.weight") for name in names])
            self._put(conv.weight, _weight(weight, conv.pairs, interleaved), names[0])
            if f"{names[0]}.bias" in self.weights:
                bias = torch.cat([self._take(f"{name}.bias") for name in names])
            else:
                bias = torch.zeros_like(conv.bias)
            self._put(conv.bias, _rows(bias, interleaved), names[0])
            names = [f"{path}.norm_ls.{index}.norm_conv_kernel" for path in paths]
            for part, target in [*norm.named_parameters(), *norm.named_buffers()]:
                values = torch.cat([self._take(f"{name}.{part}") for name in names])
                self._put(target, _rows(values, interleaved), names[0])


def _blocks(network: nn.Module, options: Mapping) -> Iterable[tuple[nn.Module, list[str], bool]]:
    """Our blocks, the published names of each, and whether its channels are interleaved there."""
    if _type(options) == "corrTime":
        time, freq = ["nn_model_k", "nn_model_q"], ["nn_model_frq"]
    else:
        time = ["nn_model"]
        freq = ["nn_model2"] if network.time is not None else ["nn_model"]
    if network.time is not None:
        yield network.time, time, False
    if network.freq is not None:
        interleaved = _type(options) == "absfreq" and network.reading.kind == "dft"
        yield network.freq, freq, interleaved


def _weight(weight: Tensor, pairs: str | None, interleaved: bool) -> Tensor:
    """(C', 1, K) -> (C', K); (C', 2, K) by input channel -> by (same channel, partner)."""
    if pairs is None:
        return _rows(weight.squeeze(1), interleaved)
    weight = weight.clone()
    weight[1::2] = weight[1::2].flip(1)
    return _rows(weight, interleaved)


def _rows(values: Tensor, interleaved: bool) -> Tensor:
    """Channels [Re 0, Im 0, Re 1, ...] -> [all Re, all Im]."""
    return torch.cat([values[0::2], values[1::2]]) if interleaved else values


def _conditioning(options: Mapping, kind: str) -> Conditioning:
    name = TYPES[_type(options)]
    if name == "power" and kind != "dft":
        name = "magnitude"
    ours = {
        "convolutions": CONVOLUTIONS[_layout(options)],
        "filter_size": _taps(options),
        "padding": _padding(options),
        "norm": _norm(options),
        "layers": options.get("n_layer", 1),
        "padded": bool(options.get("causal", True)) and kind == "dft",
    }
    if ours["layers"] > 1:
        ours["hidden_activation"] = _hidden_activation(options)
    if name == "cross_correlation":
        ours["activation"] = _actq(options)
    return CONDITIONING.get(name)(**ours)


def _type(options: Mapping) -> str:
    return str(options.get("type", "absfreq"))


def _layout(options: Mapping) -> str:
    layout = str(options.get("nn", "convtf")).replace("conv2", "conv")
    return "convt" if _type(options) == "corrTime" and layout == "convf" else layout


def _taps(options: Mapping) -> int:
    return options.get("conv_filter_size", 3)


def _padding(options: Mapping) -> str:
    return options.get("padding_mode", "zeros") if _taps(options) > 1 else "zeros"


def _residual(options: Mapping) -> str | None:
    return options.get("residual_long_conv", "sconv")


def _norm(options: Mapping) -> str:
    norm = options.get("norm", "layernorm")
    return "none" if norm in NONE else norm


def _hidden_activation(options: Mapping) -> str:
    """Of no effect, and then the default, where there is one layer."""
    name = options.get("activation", "gelu") if options.get("n_layer", 1) > 1 else "gelu"
    name = "identity" if name in NONE else name
    return SYNONYMS.get(name, name)


def _actq(options: Mapping) -> Activation | None:
    """`name`, `name_abs`, `name+number` or `name+number_abs`; None without counterpart."""
    if _type(options) != "corrTime":
        return ACTIVATIONS.get("identity")()
    text = "id" if options.get("actq") in NONE else str(options["actq"])
    name, plus, number = text.removesuffix("_abs").partition("+")
    name = SYNONYMS.get(name, name)
    # The published softshrink asks for its number, no other here has one.
    if name not in ACTIVATIONS or bool(plus) != (name == "softshrink"):
        return None
    if (name, text.endswith("_abs")) == ("relu", True):  # a magnitude is never negative
        name = "identity"
    if name == "identity" or text in ("softmax", "smax"):
        return ACTIVATIONS.get(name)()
    if name == "softmax":
        return None
    ours = {"on": "magnitude" if text.endswith("_abs") else "parts"}
    return ACTIVATIONS.get(name)(**ours, **({"threshold": float(number)} if plus else {}))
