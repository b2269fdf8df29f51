"""The conditioning networks: how Orchid makes a kernel from its input c (..., B, L, D).

    magnitude          H = Conv_freq( |F(Conv_time(c))| )                         Type I, eq. 2
    power              the same with |.|^2, which the published code has for the DFT
    spectrum           the same with the complex spectrum ("freq" in the published code)
    cross_correlation  H = Conv_freq( F*(k(c)) . sigma(F(q(c))) )                 Type II, eq. 3

k, q = two Conv_time. Each Conv is a short depthwise convolution with a norm over channels behind
it, centred on its position or frequency bin. Spectra that depend on c through |F(c)| or F*F do
not change when c is shifted in a circle, so the convolution with such a kernel is
shift-equivariant: exactly with `padding: circular`, away from the borders with zeros.

With `heads` G < D the channels of a head share one kernel: their |F|, or F* F, are averaged
before Conv_freq, as the heads of attention sum over channels. A norm over very few kernels would
leave nothing of the input (of two numbers their order alone), so layernorm needs four or more.

Dimensions: B batch, M kernels an example (causal form), L length, D width, F bins, C = 2G (DFT,
[Re | Im]) or G (cosine), G heads (D without), K taps.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from harness.foundation.config import Component, FromRegistry
from harness.foundation.registry import Registry
from harness.layers import Recipe, normal, parameter
from harness.mixers.base import fft_flops
from harness.mixers.orchid.activation import ACTIVATIONS, Activation, Identity, magnitude
from harness.mixers.orchid.conv_block import ConvBlock, HiddenActivation, Norm, Padding
from harness.mixers.orchid.form import Form
from harness.mixers.orchid.global_convolution import Kind, Normalization, Transform

LEAST_NORMED = 4  # numbers in a layer norm over the kernels of heads

Count = Annotated[int, Field(ge=1)]


class Reading(NamedTuple):
    """In which terms a network reads its input and gives its kernel.

    kind: of the transform. reads, makes: its normalisation for the input and for the kernel.
    heads: kernels; None: one a channel. causal_taps: the kernel is given in time and reaches
    back only.
    """

    kind: Kind
    reads: Normalization
    makes: Normalization
    heads: int | None = None
    causal_taps: bool = False


class Conditioning(Component):
    """Base of the conditioning networks."""

    def check(self, width: int, length: int, kind: Kind, form: Form, heads: int | None) -> None:
        """Raises ValueError where the network cannot be built."""

    @abstractmethod
    def module(self, width: int, length: int, reading: Reading) -> Network | None:
        """None where the kernel does not depend on the input."""

    @abstractmethod
    def flops_per_token(self, width: int, length: int, form: Form) -> float:
        """FLOPs of making one kernel an example, per token."""


CONDITIONING: Registry[Conditioning] = Registry("conditioning network")


@CONDITIONING.register("static")
class Static(Conditioning):
    """No network: the static kernel h0 alone."""

    def module(self, width: int, length: int, reading: Reading) -> None:
        return None

    def flops_per_token(self, width: int, length: int, form: Form) -> float:
        return 0.0


class Dynamic(Conditioning):
    """What the networks share.

    input: own: c is the example's projection v. Controls with the same network and kernel, whose
        kernel does not know the example: constant: one trained vector (D) in place of c at every
        position (D more parameters); table: a trained sequence (L, D), which can make any
        kernel the network can make (L D more parameters, the strongest control); shuffled: c of
        the example before it in the batch (with B = 1, its own).
    kernel_length: K, taps at circular distance |t| <= K/2 are kept (the kernel of magnitude and
        power is even before Conv_freq), the first K where `padded` and in the causal form;
        null: all.
    convolutions: where the short convolutions act. filter_size: their taps, odd. layers: short
        convolutions in each place. hidden_activation: between those.
    padding: of the time axis; the frequency axis has zeros or, where time is circular, its
        mirror image (a spectrum continues so).
    norm: after each convolution: `layernorm` over channels, `batchnorm` over examples and
        positions or bins, which lets examples of a training batch see each other's statistics.
    padded: spectrum of c over 2L points, kernel cut to its first L taps (the published
        `causal: true`, which makes nothing causal and breaks equivariance); of the circular form.
    """

    input: Literal["own", "constant", "table", "shuffled"] = "own"
    kernel_length: Count | None = None
    convolutions: Literal["time+freq", "time", "freq"] = "time+freq"
    filter_size: Count = 3
    padding: Padding = "zeros"
    norm: Norm = "layernorm"
    layers: Count = 1
    hidden_activation: HiddenActivation = "gelu"
    padded: bool = False

    complex_input: ClassVar[bool] = False
    time_filters: ClassVar[int] = 1

    @model_validator(mode="after")
    def _consistent(self):
        if self.layers == 1 and self.hidden_activation != "gelu":
            raise ValueError(
                "hidden_activation acts between layers: it needs layers: 2 or more, or leave it out"
            )
        if self.filter_size == 1 and self.padding != "zeros":
            raise ValueError(
                f"padding {self.padding} has no effect on filters of one tap: leave it out, or "
                "choose filter_size: 3"
            )
        if self.filter_size % 2 == 0:
            raise ValueError(
                f"filter_size is {self.filter_size}, but a centred filter has an odd number of "
                f"taps: choose {self.filter_size - 1} or {self.filter_size + 1}"
            )
        return self

    def check(self, width: int, length: int, kind: Kind, form: Form, heads: int | None) -> None:
        normed = (heads or width) * (2 if kind == "dft" else 1)
        if heads is not None and heads < width and "freq" in self.convolutions:
            if self.norm == "layernorm" and normed < LEAST_NORMED:
                raise ValueError(
                    f"conditioning.norm layernorm over {normed} numbers, which {heads} heads make "
                    "of a bin, leaves nothing of the input: choose norm: batchnorm or none, or "
                    f"{LEAST_NORMED * heads // normed} heads or more"
                )
        if self.kernel_length is not None and self.kernel_length > length:
            raise ValueError(
                f"conditioning.kernel_length is {self.kernel_length}, but the length is {length}: "
                f"choose 1 to {length}, or null for all taps"
            )
        if kind != "dft" and (self.kernel_length is not None or self.padded):
            raise ValueError(
                "conditioning.kernel_length and .padded need transform: dft (a product of cosine "
                "spectra is no circular convolution)"
            )
        if self.padded and form.padded:
            raise ValueError(
                f"conditioning.padded is an option of form: circular; {form.name} pads by itself"
            )
        if form.causal and self.norm == "batchnorm":
            raise ValueError(
                "conditioning.norm batchnorm takes its statistics from all positions: form: causal "
                "needs norm: layernorm or none"
            )
        if form.causal and self.padding != "zeros":
            raise ValueError(
                f"conditioning.padding {self.padding} would carry the end of what a kernel is made "
                "from to its beginning: form: causal needs padding: zeros"
            )
        reach = (self.filter_size - 1) // 2
        points = 2 * length if self.padded or form.padded else length
        shortest = points // 2 + 1 if kind == "dft" else length
        if "freq" not in self.convolutions:
            shortest = length
        most = {"zeros": reach, "reflect": shortest - 1, "circular": min(length, shortest - 1)}
        if self.filter_size > 1 and reach > most[self.padding]:
            raise ValueError(
                f"conditioning.filter_size {self.filter_size} with padding {self.padding} reaches "
                f"{reach} beyond the ends, but at length {length} at most {most[self.padding]} "
                "is possible: choose a smaller filter or padding: zeros"
            )

    def module(self, width: int, length: int, reading: Reading) -> Network:
        return Network(self, width, length, reading)

    @abstractmethod
    def combine(self, a: Tensor, transform: Transform) -> Tensor:
        """From what Conv_time gives, (..., L, time_filters D), to what Conv_freq reads."""

    def flops_per_token(self, width: int, length: int, form: Form) -> float:
        points = 2 * length if self.padded or form.padded else length
        transforms = self.time_filters * fft_flops(points)
        if self.padded or form.causal or self.kernel_length is not None:
            transforms += fft_flops(points)
        taps = 2.0 * self.filter_size * self.layers
        time = taps * length * self.time_filters if "time" in self.convolutions else 0.0
        pairs = 2 if self.complex_input else 1
        freq = taps * 2 * pairs * (points // 2 + 1) if "freq" in self.convolutions else 0.0
        return width / length * (transforms + time + freq + 6.0 * (points // 2 + 1))


@CONDITIONING.register("magnitude")
class Magnitude(Dynamic):
    """Type I, paper eq. 2. H is real with `convolutions: time`, complex otherwise."""

    def combine(self, a: Tensor, transform: Transform) -> Tensor:
        if transform.kind != "dft":
            return transform.spectrum(a).abs()
        return magnitude(_power(transform.spectrum(a)), floor=1e-12)


@CONDITIONING.register("power")
class Power(Dynamic):
    """Type I with the squared magnitude: at `convolutions: time`, h is c's autocorrelation."""

    def combine(self, a: Tensor, transform: Transform) -> Tensor:
        spectrum = transform.spectrum(a)
        return _power(spectrum) if transform.kind == "dft" else spectrum.square()


@CONDITIONING.register("spectrum")
class Spectrum(Dynamic):
    """The spectrum itself: keeps the phase, so the kernel moves with the input.

    The output channels 2d, 2d + 1 of its last Conv_freq are Re and Im of channel d, while its
    input is [all Re | all Im], as published.
    """

    complex_input: ClassVar[bool] = True

    def combine(self, a: Tensor, transform: Transform) -> Tensor:
        return transform.spectrum(a)


@CONDITIONING.register("cross_correlation")
class CrossCorrelation(Dynamic):
    """Type II, paper eq. 3. activation: sigma, with its own options."""

    activation: Annotated[Activation, FromRegistry(ACTIVATIONS)] = Identity()

    complex_input: ClassVar[bool] = True
    time_filters: ClassVar[int] = 2

    def combine(self, a: Tensor, transform: Transform) -> Tensor:
        if self.activation.name == "softmax":
            k, q = a.chunk(2, -1)
            k, q = transform.spectrum(k), transform.spectrum(self.activation.before(q))
        else:
            k, q = _split_pair(transform.spectrum(a), transform)
        q = self.activation.after(q, complex_halves=transform.kind == "dft")
        return transform.correlate(k, q)


def _power(spectrum: Tensor) -> Tensor:
    re, im = spectrum.chunk(2, -1)
    return torch.addcmul(re.square(), im, im)


def _split_pair(spectrum: Tensor, transform: Transform) -> tuple[Tensor, Tensor]:
    """Spectra of [k | q], (..., F, [Re k, Re q, Im k, Im q]) for the DFT, as one of each."""
    if transform.kind != "dft":
        return spectrum.chunk(2, -1)
    parts = spectrum.unflatten(-1, (2, 2, -1))
    return parts[..., 0, :].flatten(-2), parts[..., 1, :].flatten(-2)


class Network(nn.Module):
    """forward(c, points) -> h: a spectrum (..., B, F, C), or taps (..., B, T, G) if `in_time`.

    B is 1 where the kernel is the same for all examples (input: constant or table). points: of
    the transform, L or more. T: L for causal taps, otherwise all points.
    past (M, L): M kernels an example, (..., B M, ...), kernel j from the positions where past[j].
    """

    def __init__(self, config: Dynamic, width: int, length: int, reading: Reading):
        super().__init__()
        self.config, self.reading, self.width = config, reading, width
        self.causal_taps = reading.causal_taps or config.padded
        self.in_time = self.causal_taps or config.kernel_length is not None
        if config.input in ("constant", "table"):
            rows = length if config.input == "table" else 1
            self.table = parameter((rows, width), Recipe(normal(1.0), decay=False))
        self.time = self.freq = None
        block = {
            "taps": config.filter_size,
            "layers": config.layers,
            "norm": config.norm,
            "activation": config.hidden_activation,
        }
        if "time" in config.convolutions:
            self.time = ConvBlock(
                width,
                config.time_filters * width,
                padding=config.padding,
                groups=config.time_filters,
                **block,
            )
        if "freq" in config.convolutions:
            kernels, dft = reading.heads or width, reading.kind == "dft"
            out = 2 * kernels if dft else kernels
            neighbours = config.complex_input and dft
            self.freq = ConvBlock(
                out if neighbours else kernels,
                out,
                padding="reflect" if config.padding == "circular" else config.padding,
                pairs=None if not dft else "neighbours" if neighbours else "halves",
                **block,
            )

    def forward(self, c: Tensor, points: int, past: Tensor | None = None) -> Tensor:
        config, length = self.config, c.shape[-2]
        points = 2 * length if config.padded else points
        a = self._time(self._source(c), past)
        h = config.combine(a, Transform(self.reading.kind, self.reading.reads, length, points))
        kernels, dft = self.reading.heads or self.width, self.reading.kind == "dft"
        if kernels < self.width:
            h = h.unflatten(-1, (-1, self.width // kernels)).mean(-1)
        if self.freq is not None:
            h = self.freq(h)
            if config.name == "spectrum" and dft:
                h = h.unflatten(-1, (-1, 2)).mT.flatten(-2)
        if dft and h.shape[-1] == kernels:  # a real spectrum
            h = F.pad(h, (0, kernels))
        return self._taps(h, length, points) if self.in_time else h

    def _source(self, c: Tensor) -> Tensor:
        """What the kernel is made from: (..., B or 1, L, D)."""
        length = c.shape[-2]
        if self.config.input == "constant":
            return self.table.expand(*self.table.shape[:-2], length, -1).unsqueeze(-3)
        if self.config.input == "table":
            if length > self.table.shape[-2]:
                raise ValueError(
                    f"conditioning.input table has {self.table.shape[-2]} rows, one for each "
                    f"position that it was built for, and the sequence has {length}"
                )
            return self.table[..., :length, :].unsqueeze(-3)
        return c.roll(1, dims=-3) if self.config.input == "shuffled" else c

    def _time(self, c: Tensor, past: Tensor | None) -> Tensor:
        """Conv_time, (..., B M, L, time_filters D); zero where not past, before it and after."""
        if past is not None:
            past = past.unsqueeze(-1).to(c.dtype)
            c = (c.unsqueeze(-3) * past).flatten(-4, -3)
        if self.time is None:
            return c if self.config.time_filters == 1 else torch.cat([c, c], dim=-1)
        c = self.time(c)
        if past is not None:
            c = (c.unflatten(-3, (-1, len(past))) * past).flatten(-4, -3)
        return c

    def _taps(self, h: Tensor, length: int, points: int) -> Tensor:
        """The kernel in time, cut to its window."""
        kept = length if self.causal_taps else points
        kind = self.reading.kind
        if kind != "dft":
            kept = length
        taps = Transform(kind, self.reading.makes, kept, points).signal(h)
        if self.config.kernel_length is None:
            return taps
        t = torch.arange(kept, device=taps.device)
        if self.causal_taps:
            keep = t < self.config.kernel_length
        else:
            keep = torch.minimum(t, points - t) * 2 <= self.config.kernel_length
        return taps * keep.unsqueeze(-1)
