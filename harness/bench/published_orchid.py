"""Orchid's layer as it is published, to time ours against: the same operations of torch in the
same order and layout as Karami-m/orchid@061f6df (arXiv 2402.18508, section 3, eqs. 1 to 3).

Circular form, Fourier transform, chain gate-conv-gate, one layer of time+freq. The chain runs on
(B, D, L), the conditioning network on (B, L, D) and (B, F, D). `harness.mixers.orchid` computes
the same in its own order; a test holds the two together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.mixers.orchid.global_convolution import Normalization


class PublishedOrchid(nn.Module):
    """forward(x) -> y, both (B, L, D), with copies of the parameters of one of our layers.

    layer: of an Orchid with power or cross_correlation and all else at its default, but for
    normalization and residual_conv.
    """

    def __init__(self, layer: nn.Module):
        super().__init__()
        convolution, width = layer.convolutions[0], len(layer.out_linear.bias)
        network, self.width = convolution.conditioning, width
        self.normalization: Normalization = convolution.normalization
        taps = layer.short_conv.weight.shape[-1]
        self.in_linear = _with(nn.Linear(width, 3 * width), layer.in_linear)
        self.short_conv = _conv(layer.short_conv, padding=taps - 1)
        kind = _TypeI if network.config.name == "power" else _TypeII
        self.conditioning = kind(network, self.normalization)
        self.static = _StaticConv(convolution)
        self.residual = None if layer.residual is None else _StaticConv(layer.residual)
        self.out_linear = _with(nn.Linear(width, width), layer.out_linear)

    def forward(self, x: Tensor) -> Tensor:
        projected = self.in_linear(x)
        h = self.conditioning(projected[..., -self.width :])
        first, second, v = self.short_conv(projected.mT)[..., : x.shape[1]].chunk(3, dim=1)
        y = self.static(v * second, self.normalization, h) * first
        if self.residual is not None:
            y = y + self.residual(x.mT, self.normalization)
        return self.out_linear(y.mT)


class _StaticConv(nn.Module):
    """z (B, D, L) -> T^-1(T(z) (T(h0) + H)) + beta z, with h0 of a network of the tap index."""

    def __init__(self, ours: nn.Module):
        super().__init__()
        kernel = ours.static_kernel
        self.skip, self.positions, self.frequency = (
            nn.Parameter(value.detach().clone())
            for value in (ours.skip, kernel.positions, kernel.frequency)
        )
        self.layers = nn.ModuleList(
            _with(nn.Linear(*layer.weight.shape[::-1], bias=layer.bias is not None), layer)
            for layer in [*kernel.layers, kernel.out]
        )
        self.register_buffer("window", kernel.window.clone())

    def forward(self, z: Tensor, norm: Normalization, h: Tensor | float = 0.0) -> Tensor:
        taps = self.positions
        for layer in self.layers[:-1]:
            taps = torch.sin(self.frequency * layer(taps))
        taps = (self.layers[-1](taps) * self.window).mT
        kernel = _spectrum(taps, norm) + h
        y = torch.fft.irfft(_spectrum(z, norm) * kernel, n=z.shape[-1], norm=norm)
        return y + self.skip.unsqueeze(-1) * z


def _spectrum(x: Tensor, norm: Normalization, dim: int = -1) -> Tensor:
    if norm == "forward":  # the published default, `fft`, divides afterwards
        return torch.fft.rfft(x, dim=dim) / x.shape[dim]
    return torch.fft.rfft(x, dim=dim, norm=norm)


class _TypeI(nn.Module):
    """c (B, L, D) -> H (B, D, F) = Conv_freq(|F(Conv_time(c))|^2)."""

    def __init__(self, ours: nn.Module, norm: Normalization):
        super().__init__()
        self.norm, width = norm, ours.width
        self.time = _Block(ours.time, slice(None))
        # one channel becomes two neighbours, Re and Im; ours has all Re, then all Im
        self.freq = _Block(ours.freq, torch.arange(2 * width).view(2, -1).T.flatten(), width)

    def forward(self, c: Tensor) -> Tensor:
        spectrum = _spectrum(self.time(c), self.norm, dim=-2)
        h = self.freq(spectrum.real**2 + spectrum.imag**2)
        return torch.complex(h[..., 0::2], h[..., 1::2]).mT


class _TypeII(nn.Module):
    """c (B, L, D) -> H (B, D, F) = Conv_freq(F*(k(c)) sigma(F(q(c)))), sigma the identity, which
    is applied to the real and to the imaginary part."""

    def __init__(self, ours: nn.Module, norm: Normalization):
        super().__init__()
        self.norm, width = norm, ours.width
        self.k = _Block(ours.time, slice(width))
        self.q = _Block(ours.time, slice(width, None))
        self.freq = _Block(ours.freq, slice(None), width)

    def forward(self, c: Tensor) -> Tensor:
        k, q = (_spectrum(block(c).mT, self.norm) for block in (self.k, self.q))
        product = (k.conj() * (q.real + 1j * q.imag)).mT
        h = self.freq(torch.cat([product.real, product.imag], dim=-1))
        return torch.complex(*h.chunk(2, dim=-1)).mT


class _Block(nn.Module):
    """Short convolution and layer norm over channels, (B, N, C) -> (B, N, C').

    rows: of our block, which are the outputs of this one in their order.
    """

    def __init__(self, ours: nn.Module, rows, groups: int | None = None):
        super().__init__()
        conv, norm = ours.convs[0], ours.norms[0]
        self.conv = _conv(conv, padding=conv.reach, rows=rows, groups=groups)
        self.norm = _with(nn.LayerNorm(len(norm.weight[rows])), norm, rows)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x.mT).mT)


def _conv(ours: nn.Module, *, padding: int, rows=slice(None), groups: int | None = None):
    """nn.Conv1d; groups: as many as outputs by default."""
    weight = ours.weight.detach()[rows]
    if weight.ndim == 2:
        weight = weight.unsqueeze(1)
    else:  # ours: own channel, then its partner; torch: the lower channel of the two first
        weight = weight.clone()
        weight[1::2] = weight[1::2].flip(1)
    outputs, each, taps = weight.shape
    groups = groups or outputs
    conv = nn.Conv1d(
        each * groups, outputs, taps, padding=padding, groups=groups, dtype=weight.dtype
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        conv.bias.copy_(ours.bias[rows])
    return conv


def _with(module: nn.Module, ours: nn.Module, rows=slice(None)) -> nn.Module:
    """The module with our weight and bias."""
    module = module.to(ours.weight.dtype)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(getattr(ours, name)[rows])
    return module
