"""The short convolutions of a conditioning network, over positions or over frequency bins.

Where the paper says one filter a channel, the published code couples channels in pairs: where a
frequency-domain convolution has a complex input, two neighbours among [all Re | all Im] share a
group. That is kept.

Dimensions: B batch, N positions or bins, C and C' channels, K taps.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.layers import (
    BatchNorm,
    Recipe,
    constant,
    depthwise_conv,
    full_precision,
    gelu,
    parameter,
    per_channel,
    silu,
    uniform,
)

Padding = Literal["zeros", "reflect", "circular"]
Norm = Literal["layernorm", "batchnorm", "none"]
HiddenActivation = Literal["gelu", "relu", "silu", "tanh", "identity"]
Pairs = Literal["neighbours", "halves"]


_HIDDEN = {
    "gelu": gelu,
    "relu": torch.relu,
    "silu": silu,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}


class ConvBlock(nn.Module):
    """`layers` times convolution, activation (between layers), norm: (..., N, C) -> (..., N, C').

    pairs: partner of a channel in grouped layers, among C' = 2D: its neighbour c ^ 1, or the
    other half, c + D mod 2D; without pairs the layers are depthwise. groups: channel groups
    that are normalised apart.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        taps: int,
        layers: int,
        padding: Padding,
        norm: Norm,
        activation: HiddenActivation = "gelu",
        pairs: Pairs | None = None,
        groups: int = 1,
    ):
        super().__init__()
        self.activation = _HIDDEN[activation]
        self.convs = nn.ModuleList(
            AxisConv(
                outputs,
                taps,
                padding,
                pairs if inputs == outputs or layer > 0 else None,
            )
            for layer in range(layers)
        )
        self.norms = nn.ModuleList(
            {
                "layernorm": lambda: GroupNorm(outputs, groups),
                "batchnorm": lambda: BatchNorm(outputs),
                "none": nn.Identity,
            }[norm]()
            for _ in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            x = norm(self.activation(x) if layer + 1 < len(self.convs) else x)
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
        pairs: Pairs | None,
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

    @full_precision
    def forward(self, x: Tensor) -> Tensor:
        parts = x.unflatten(-1, (self.groups, -1))
        normed = F.layer_norm(parts, parts.shape[-1:], eps=self.eps).flatten(-2)
        return torch.addcmul(per_channel(self.bias), normed, per_channel(self.weight))
