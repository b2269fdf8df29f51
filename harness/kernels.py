"""The convolution kernels of a model, as plain arrays to look at: static h0, and h(x) of the input.

    for kernel in kernels(model, tokens):
        kernel.h0, kernel.h, kernel.h0_spectrum, kernel.h_spectrum

See docs/kernels.md for a complete example. Taps stand in the order of numpy.fft: 0, 1, ... and,
where a kernel reaches to both sides, ..., -2, -1; numpy.fft.fftshift puts tap 0 in the middle.

Dimensions: B batch, L length, n points of the transform (L; 2L where the convolution is padded),
F bins, D kernels (channels, or heads).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harness.mixers.orchid.convolution import GlobalConvolution
from harness.mixers.orchid.global_convolution import Transform
from harness.mixers.orchid.intervention import Use, applies, kernel_layers, uses
from harness.mixers.orchid.static_kernel import ImplicitFilter
from harness.model import Model
from harness.spec import RunSpec

ENERGY = 0.95  # of a kernel, within its effective length


class Kernel(NamedTuple):
    """The kernels of one convolution; None is what it does not have.

    place: `layer 1`, or `layer 1, convolution 2` where a layer has several convolutions.
    h0: (L, D); (2L, D) where it has negative taps. h0_spectrum: (F, D).
    h: (B, n, D), B = 1 where no input changes it; in the causal form (B, M, n, D), one kernel a
    chunk. h_spectrum: (B, F, D). Complex for the Fourier transform, real for the cosine ones.
    h0_is_causal, h_is_causal: taps reach back only, so that the second half of h is zero.
    has_taps: whether h is a kernel of taps; under a cosine transform it is none.

    Of a stacked model every array has the members in front.
    """

    place: str
    h0: np.ndarray | None
    h0_spectrum: np.ndarray | None
    h: np.ndarray | None
    h_spectrum: np.ndarray | None
    h0_is_causal: bool
    h_is_causal: bool
    has_taps: bool


@torch.no_grad()
def kernels(model: Model, inputs: np.ndarray | Tensor) -> list[Kernel]:
    """The kernels of every convolution, in the order of use, on inputs (B, L) or (B, L, F)."""
    inputs = torch.as_tensor(inputs, device=next(model.parameters()).device)
    found = uses(model, lambda: model(inputs, None))
    length = inputs.shape[-2 if model.num_features else -1] // model.num_documents
    out = []
    for place, layer in convolutions(model):
        if isinstance(layer, ImplicitFilter):
            out.append(_static(place, layer, length))
        else:
            index = next((i for i, use in enumerate(found) if use.layer is layer), None)
            out.append(_kernel(place, layer, length, None if index is None else found.pop(index)))
    return out


def convolutions(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(place, module) of whatever has a kernel; a layer that is used twice stands there twice."""
    out = []
    for number, block in enumerate(model.blocks, start=1):
        inside = list(_inside(block.mixer, ""))
        for name, module in inside:
            place = f"layer {number}"
            out.append((f"{place}, {name}" if len(inside) > 1 else place, module))
    return out


def without_effect(specs: Sequence[RunSpec]) -> Iterator[tuple[str, str, str]]:
    """What these runs are to measure of their kernels and none of them can: (field of train,
    message, fix). A run that has no such kernel among others that do is measured as it is."""
    for intervention in dict.fromkeys(i for spec in specs for i in spec.train.interventions):
        asking = [spec for spec in specs if intervention in spec.train.interventions]
        models = [(_without_memory(spec), spec.sequence_length) for spec in asking]
        models = [(model, length) for model, length in models if applies(intervention, model)]
        if models and not any(
            intervention.changes(layer, length)
            for model, length in models
            for layer in kernel_layers(model)
        ):
            yield (
                "interventions",
                f"the intervention {intervention.name!r} changes no kernel of any arm: "
                f"h {intervention.label} is h",
                intervention.remedy,
            )
        if not models:
            yield (
                "interventions",
                f"nothing for the intervention {intervention.name!r} to act on: no model has a "
                f"kernel of the input{'' if intervention.suits('dct') else ' in taps'}",
                "remove it, or have an arm with mixer orchid, conditioning other than static"
                f"{'' if intervention.suits('dct') else ' and transform dft'}",
            )
    asking = [spec for spec in specs if spec.train.effective_kernel_length]
    if asking and not any(convolutions(_without_memory(spec)) for spec in asking):
        yield (
            "effective_kernel_length",
            "no model has a convolution kernel whose length could be measured",
            "remove it, or have an arm with mixer orchid or long_conv",
        )


def effective_length(taps: np.ndarray, *, causal: bool, energy: float = ENERGY) -> np.ndarray:
    """Smallest K that holds this share of the energy (sum of squares): (..., n, D) -> (..., D).

    causal: of the taps [0, K); otherwise of those at circular distance |t| <= K/2, at least 1.
    It is the smallest `kernel_length` that would keep as much. A kernel of zeros has length 1.
    """
    power = np.square(taps, dtype=np.float64)
    num = power.shape[-2]
    t = np.arange(num)
    distance = t if causal else np.minimum(t, num - t)
    sorted_power = np.take(power, np.argsort(distance, kind="stable"), axis=-2)
    held = np.cumsum(sorted_power, axis=-2)
    distance = np.sort(distance)
    last = np.searchsorted(distance, np.arange(distance[-1] + 1), side="right") - 1
    enough = np.take(held, last, axis=-2) >= energy * held[..., -1:, :]
    reach = enough.argmax(axis=-2)
    return reach + 1 if causal else np.maximum(2 * reach, 1)


def _inside(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Convolutions below a module, by a readable path; those within one are its own."""
    if isinstance(module, (GlobalConvolution, ImplicitFilter)):
        yield path, module
        return
    for name, child in module.named_children():
        if name.isdecimal():  # an entry of a list: `convolutions.0` is convolution 1
            inner = f"{path.removesuffix('s')} {int(name) + 1}"
        else:
            inner = f"{path} {name}".strip()
        yield from _inside(child, inner)


def _without_memory(spec: RunSpec) -> Model:
    with torch.device("meta"):
        return Model(spec)


def _kernel(place: str, layer: GlobalConvolution, length: int, use: Use | None) -> Kernel:
    transform = layer.transform(length)
    taps, h0, h0_spectrum, h, h_spectrum = layer.static_taps(length), None, None, None, None
    if taps is not None:
        wide = replace(transform, length=taps.shape[-2])
        gain = math.sqrt(length) if layer.cosine_gain else 1.0
        h0, h0_spectrum = _array(taps), _spectrum(wide.spectrum(gain * taps), transform)
    if use is not None:
        whole = replace(transform, length=transform.points)
        signal = whole.signal(use.h)
        # Through the taps: a network also makes imaginary parts at frequency 0 and the highest,
        # which do not reach a real output.
        h, h_spectrum = _array(signal), _spectrum(whole.spectrum(signal), transform)
        if layer.form.causal:
            batch = h.shape[-3] // use.num
            h, h_spectrum = (
                a.reshape(*a.shape[:-3], batch, use.num, *a.shape[-2:]) for a in (h, h_spectrum)
            )
    return Kernel(
        place=place,
        h0=h0,
        h0_spectrum=h0_spectrum,
        h=h,
        h_spectrum=h_spectrum,
        h0_is_causal=not layer.two_sided,
        h_is_causal=layer.form.causal,
        has_taps=transform.kind == "dft",
    )


def _static(place: str, layer: ImplicitFilter, length: int) -> Kernel:
    """Of a mixer that has static kernels alone; its spectrum is that over 2L points."""
    taps = layer(length)
    if layer.sides == 2:
        ahead, back = taps.chunk(2, dim=-1)
        taps = torch.cat([ahead, back.flip(-2)], dim=-2)
    h0 = _array(taps)
    spectrum = np.fft.rfft(h0, 2 * length, axis=-2)
    return Kernel(place, h0, spectrum, None, None, layer.sides == 1, False, True)


def _spectrum(spectrum: Tensor, transform: Transform) -> np.ndarray:
    values = _array(spectrum)
    if transform.kind != "dft":
        return values
    re, im = np.split(values, 2, axis=-1)
    return re + 1j * im


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
