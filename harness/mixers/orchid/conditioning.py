"""The conditioning networks: how Orchid makes a kernel from its input c (..., B, L, D).

    magnitude          H = Conv_freq( |F(Conv_time(c))| )                         Type I, eq. 2
    power              the same with |.|^2, which the published code has for the DFT
    spectrum           the same with the complex spectrum ("freq" in the published code)
    cross_correlation  H = Conv_freq( F*(k(c)) . sigma(F(q(c))) )                 Type II, eq. 3

k, q = two Conv_time. Each Conv is a short depthwise convolution with a norm over channels behind
it, centred on its position or frequency bin. Spectra that depend on c through |F(c)| or F*F do
not change when c is shifted in a circle, so the convolution with such a kernel is
shift-equivariant: exactly with `padding: circular`, away from the borders with zeros.

Where the paper says one filter a channel, the code couples channels in pairs: where a
frequency-domain Conv has a complex input, two neighbours among [all Re | all Im] share a group.
That is kept.

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
from harness.layers import (
    Recipe,
    constant,
    depthwise_conv,
    gelu,
    normal,
    parameter,
    per_channel,
    uniform,
)
from harness.mixers.base import fft_flops
from harness.mixers.orchid.activation import ACTIVATIONS, Activation, Identity, magnitude
from harness.mixers.orchid.global_convolution import Kind, Normalization, Transform

Padding = Literal["zeros", "reflect", "circular"]
Norm = Literal["layernorm", "none"]
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
        if "time" in config.convolutions:
            self.time = ConvBlock(
                width, config.time_filters * width, config, groups=config.time_filters
            )
        if "freq" in config.convolutions:
            out = 2 * width if kind == "dft" else width
            neighbours = config.complex_input and kind == "dft"
            self.freq = ConvBlock(
                out if neighbours else width,
                out,
                config,
                pairs=None if kind != "dft" else "neighbours" if neighbours else "halves",
                frequency=True,
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


class ConvBlock(nn.Module):
    """`layers` times: convolution, GELU (between layers), norm; x (..., N, C) -> (..., N, C').

    pairs: partner of a channel in grouped layers, among C' = 2D: its neighbour c ^ 1, or the
    other half, c + D mod 2D; without pairs the layers are depthwise. groups: channel groups
    that are normalised apart.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        config: Dynamic,
        *,
        pairs: Literal["neighbours", "halves"] | None = None,
        groups: int = 1,
        frequency: bool = False,
    ):
        super().__init__()
        padding = config.padding
        if frequency and padding == "circular":
            padding = "reflect"
        self.convs = nn.ModuleList(
            AxisConv(
                outputs,
                config.filter_size,
                padding,
                pairs if inputs == outputs or layer > 0 else None,
            )
            for layer in range(config.layers)
        )
        self.norms = nn.ModuleList(
            GroupNorm(outputs, groups) if config.norm == "layernorm" else nn.Identity()
            for _ in range(config.layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            x = norm(gelu(x) if layer + 1 < len(self.convs) else x)
        return x


class AxisConv(nn.Module):
    """Centred convolution along dimension -2, initialised as torch.nn.Conv1d.

    Depthwise, or in pairs: y[c] = w[c, 0] * x[c] + w[c, 1] * x[partner(c)].
    weight (C', K), or (C', 2, K) in pairs.
    """

    def __init__(
        self,
        outputs: int,
        size: int,
        padding: Padding,
        pairs: Literal["neighbours", "halves"] | None,
    ):
        super().__init__()
        self.reach, self.padding, self.pairs = (size - 1) // 2, padding, pairs
        shape = (outputs, size) if pairs is None else (outputs, 2, size)
        bound = (size * (1 if pairs is None else 2)) ** -0.5
        self.weight = parameter(shape, Recipe(uniform(bound)))
        self.bias = parameter((outputs,), Recipe(uniform(bound), decay=False))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2]
        past = self.reach
        if self.padding != "zeros" and self.reach:
            x, past = _extend(x, self.reach, self.padding), 0
        if self.pairs is None:
            y = depthwise_conv(x, self.weight, past, self.bias)
        else:
            y = depthwise_conv(x, self.weight[..., 0, :], past, self.bias)
            y = y + depthwise_conv(self._partner(x), self.weight[..., 1, :], past)
        return y[..., :size, :]

    def _partner(self, x: Tensor) -> Tensor:
        if self.pairs == "halves":
            return x.roll(x.shape[-1] // 2, dims=-1)
        return x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)


def _extend(x: Tensor, reach: int, padding: Padding) -> Tensor:
    """`reach` more entries at both ends of dimension -2."""
    if padding == "circular":
        return torch.cat([x[..., -reach:, :], x, x[..., :reach, :]], dim=-2)
    left, right = x[..., 1 : reach + 1, :], x[..., -reach - 1 : -1, :]
    return torch.cat([left.flip(-2), x, right.flip(-2)], dim=-2)


class GroupNorm(nn.Module):
    """Layer normalisation of each of `groups` equal parts of the last dimension."""

    def __init__(self, width: int, groups: int, *, eps: float = 1e-5):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = parameter((width,), Recipe(constant(1.0), decay=False))
        self.bias = parameter((width,), Recipe(constant(0.0), decay=False))

    def forward(self, x: Tensor) -> Tensor:
        parts = x.unflatten(-1, (self.groups, -1))
        normed = F.layer_norm(parts, parts.shape[-1:], eps=self.eps).flatten(-2)
        return torch.addcmul(per_channel(self.bias), normed, per_channel(self.weight))
