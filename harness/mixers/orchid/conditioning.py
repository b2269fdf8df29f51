"""The conditioning networks: how Orchid makes a kernel from its input c (..., B, L, D).

    magnitude          H = Conv_freq( |F(Conv_time(c))| )                         Type I, eq. 2
    power              the same with |.|^2, which the published code has for the DFT
    spectrum           the same with the complex spectrum ("freq" in the published code)
    cross_correlation  H = Conv_freq( F*(k(c)) . sigma(F(q(c))) )                 Type II, eq. 3

k, q = two Conv_time. Each Conv is a short depthwise convolution with a norm over channels behind
it, centred on its position or frequency bin. Spectra that depend on c through |F(c)| or F*F do
not change when c is shifted in a circle, so the convolution with such a kernel is
shift-equivariant: exactly with `padding: circular`, away from the borders with zeros.

Dimensions: B batch, L length, D width, F bins, C = 2D (DFT, [Re | Im]) or D (cosine), K taps.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from harness.foundation.config import Component, FromRegistry
from harness.foundation.registry import Registry
from harness.layers import Recipe, normal, parameter
from harness.mixers.base import fft_flops
from harness.mixers.orchid.activation import ACTIVATIONS, Activation, Identity, magnitude
from harness.mixers.orchid.conv_block import ConvBlock, Norm, Padding
from harness.mixers.orchid.global_convolution import Kind, Normalization, Transform

Count = Annotated[int, Field(ge=1)]


class Conditioning(Component):
    """Base of the conditioning networks."""

    def check(self, width: int, length: int, kind: Kind) -> None:
        """Raises ValueError where the network cannot be built."""

    @abstractmethod
    def module(
        self, width: int, length: int, kind: Kind, normalization: Normalization
    ) -> Network | None:
        """None where the kernel does not depend on the input."""

    @abstractmethod
    def flops_per_token(self, width: int, length: int) -> float:
        """FLOPs of making the kernel, per token."""


CONDITIONING: Registry[Conditioning] = Registry("conditioning network")


@CONDITIONING.register("static")
class Static(Conditioning):
    """No network: the static kernel h0 alone."""

    def module(self, width: int, length: int, kind: Kind, normalization: Normalization) -> None:
        return None

    def flops_per_token(self, width: int, length: int) -> float:
        return 0.0


class Dynamic(Conditioning):
    """What the networks share.

    input: own: c is the example's projection v. Controls with the same network and kernel, whose
        kernel does not know the example: constant: one trained vector (D) in place of c at every
        position (D more parameters); table: a trained sequence (L, D), which can make any
        kernel the network can make (L D more parameters, the strongest control); shuffled: c of
        the next example in the batch (with B = 1, its own).
    kernel_length: K, taps at circular distance |t| <= K/2 are kept (the kernel of magnitude and
        power is even before Conv_freq), the first K where `padded`; null: all.
    convolutions: where the short convolutions act. filter_size: their taps, odd. layers: short
        convolutions in each place, GELU between.
    padding: of the time axis; the frequency axis has zeros or, where time is circular, its
        mirror image (a spectrum continues so).
    norm: over channels, after each convolution.
    padded: spectrum of c over 2L points, kernel cut to its first L taps (the published
        `causal: true`, which makes nothing causal and breaks equivariance).
    """

    input: Literal["own", "constant", "table", "shuffled"] = "own"
    kernel_length: Count | None = None
    convolutions: Literal["time+freq", "time", "freq"] = "time+freq"
    filter_size: Count = 3
    padding: Padding = "zeros"
    norm: Norm = "layernorm"
    layers: Count = 1
    padded: bool = False

    complex_input: ClassVar[bool] = False
    time_filters: ClassVar[int] = 1

    @model_validator(mode="after")
    def _odd(self):
        if self.filter_size % 2 == 0:
            raise ValueError(
                f"filter_size is {self.filter_size}, but a centred filter has an odd number of "
                f"taps: choose {self.filter_size - 1} or {self.filter_size + 1}"
            )
        return self

    def check(self, width: int, length: int, kind: Kind) -> None:
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
        reach = (self.filter_size - 1) // 2
        points = 2 * length if self.padded else length
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

    def module(self, width: int, length: int, kind: Kind, normalization: Normalization) -> Network:
        return Network(self, width, length, kind, normalization)

    @abstractmethod
    def combine(self, a: Tensor, transform: Transform) -> Tensor:
        """From what Conv_time gives, (..., L, time_filters D), to what Conv_freq reads."""

    def flops_per_token(self, width: int, length: int) -> float:
        points = 2 * length if self.padded else length
        transforms = self.time_filters * fft_flops(points)
        if self.padded or self.kernel_length is not None:
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
    """forward(c) -> h: a spectrum (..., B, F, C), or taps (..., B, L, D) if `in_time`.

    B is 1 where the kernel is the same for all examples (input: constant or table).
    """

    def __init__(
        self, config: Dynamic, width: int, length: int, kind: Kind, normalization: Normalization
    ):
        super().__init__()
        self.config, self.kind, self.normalization = config, kind, normalization
        self.in_time = config.padded or config.kernel_length is not None
        if config.input in ("constant", "table"):
            rows = length if config.input == "table" else 1
            self.table = parameter((rows, width), Recipe(normal(1.0), decay=False))
        self.time = self.freq = None
        block = {"taps": config.filter_size, "layers": config.layers, "norm": config.norm}
        if "time" in config.convolutions:
            self.time = ConvBlock(
                width,
                config.time_filters * width,
                padding=config.padding,
                groups=config.time_filters,
                **block,
            )
        if "freq" in config.convolutions:
            out = 2 * width if kind == "dft" else width
            neighbours = config.complex_input and kind == "dft"
            self.freq = ConvBlock(
                out if neighbours else width,
                out,
                padding="reflect" if config.padding == "circular" else config.padding,
                pairs=None if kind != "dft" else "neighbours" if neighbours else "halves",
                **block,
            )

    def forward(self, c: Tensor) -> Tensor:
        config, length = self.config, c.shape[-2]
        if config.input == "constant":
            c = self.table.expand(*self.table.shape[:-2], length, -1).unsqueeze(-3)
        elif config.input == "table":
            c = self.table[..., :length, :].unsqueeze(-3)
        elif config.input == "shuffled":
            c = c.roll(1, dims=-3)
        points = 2 * length if config.padded else length
        transform = Transform(self.kind, self.normalization, length, points)
        if self.time is not None:
            c = self.time(c)
        elif config.time_filters > 1:
            c = torch.cat([c] * config.time_filters, dim=-1)
        h = config.combine(c, transform)
        if self.freq is not None:
            h = self.freq(h)
        if config.name == "spectrum" and self.freq is not None and self.kind == "dft":
            h = h.unflatten(-1, (-1, 2)).mT.flatten(-2)
        width = c.shape[-1] // config.time_filters
        if h.shape[-1] < transform.channels(width):
            h = F.pad(h, (0, width))
        return self._window(transform.signal(h), points) if self.in_time else h

    def _window(self, taps: Tensor, points: int) -> Tensor:
        if self.config.kernel_length is None:
            return taps
        t = torch.arange(taps.shape[-2], device=taps.device)
        if self.config.padded:
            keep = t < self.config.kernel_length
        else:
            keep = torch.minimum(t, points - t) * 2 <= self.config.kernel_length
        return taps * keep.unsqueeze(-1)
