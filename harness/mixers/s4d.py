"""S4D (Gu et al., NeurIPS 2022, arXiv 2206.11893): a diagonal state space model a channel.

    x'_n = a_n x_n + B_n u,   y = 2 Re sum_n C_n x_n + D u

discretised with a trained step and run as a convolution with its kernel, `diagonal_ssm.py`; B is
merged into C. Then an activation and a map across channels.

Dimensions: B batch, L length, D width, M = state / 2 complex modes, m sets of modes.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from harness.layers import Recipe, constant, parameter
from harness.mixers import diagonal_ssm
from harness.mixers.base import Mixer, Regime, register
from harness.mixers.diagonal_ssm import Discretization
from harness.mixers.padded_convolution import (
    Activation,
    ConvolutionLayer,
    layer_flops_per_token,
)

Count = Annotated[int, Field(ge=1)]


@register("s4d")
class S4D(Mixer):
    """Convolution with the kernels of diagonal state space models.

    state: N, real numbers a channel; even. initialization: imaginary parts of the modes n = 0 to
    N/2 - 1: `linear` pi n (S4D-Lin), `inverse` (N / pi) (N / (2n + 1) - 1) (S4D-Inv); the real
    part is -1/2. mode_sets: sets of modes that exist, channel d has set d mod mode_sets; null:
    every channel its own. bidirectional: a second kernel reads the future. channels: kernels
    that read each input channel, the map across channels sees all.
    output: `glu` is a map to 2D, then first half * sigma(second half).
    """

    summary: ClassVar[str] = "diagonal state space model as a convolution"
    source: ClassVar[str] = "arXiv:2206.11893, section 4"
    call_time: ClassVar[float] = 2.3
    pass_time: ClassVar[float] = 1.3

    state: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    initialization: Literal["linear", "inverse"] = "inverse"
    discretization: Discretization = "zero_order_hold"
    mode_sets: Count | None = 1
    bidirectional: bool = False
    channels: Count = 1
    activation: Activation = "gelu"
    output: Literal["linear", "glu"] = "linear"

    @property
    def regime(self) -> Regime:
        return "bidirectional" if self.bidirectional else "causal"

    def check(self, width: int, length: int) -> None:
        if self.mode_sets is not None and width % self.mode_sets:
            raise ValueError(
                f"s4d with {self.mode_sets} mode_sets needs a width that {self.mode_sets} "
                f"divides, got {width}"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return ConvolutionLayer(
            width,
            _Kernel(self, width),
            channels=self.channels,
            bidirectional=self.bidirectional,
            activation=self.activation,
            output=self.output,
        )

    def flops_per_token(self, width: int, length: int) -> float:
        return layer_flops_per_token(width, length, channels=self.channels, output=self.output)

    def state_size(self, width: int, length: int) -> int:
        """The modes' states, which all kernels of a channel share; all inputs if bidirectional."""
        return width * (length if self.bidirectional else self.state)


class _Kernel(nn.Module):
    """forward(length) -> taps (..., L, c D); twice as many, those of the past first, where
    bidirectional."""

    def __init__(self, config: S4D, width: int):
        super().__init__()
        self.how = config.discretization
        num, sets = config.state // 2, config.mode_sets or width
        frequency = initial_frequencies(config.state, config.initialization)
        self.log_dt = diagonal_ssm.log_step_parameter(width)
        # The published code adds 1e-4 inside the logarithm.
        decay = constant(math.log(0.5 + 1e-4))
        self.log_decay = diagonal_ssm.slow_parameter((sets, num), decay)
        self.frequency = diagonal_ssm.slow_parameter((sets, num), constant(frequency))
        kernels = config.channels * (1 + config.bidirectional)
        self.coefficient = parameter((kernels, width, num, 2), Recipe(_output_map(frequency, sets)))

    def forward(self, length: int) -> Tensor:
        copies = self.log_dt.shape[-1] // self.frequency.shape[-2]
        log_decay, frequency = (
            torch.cat(copies * [value], dim=-2) for value in (self.log_decay, self.frequency)
        )
        modes = diagonal_ssm.discretise(self.log_dt, log_decay, frequency, self.how)
        gain = tuple(part.unsqueeze(-3) for part in modes.gain)
        return diagonal_ssm.kernel(
            diagonal_ssm.multiply(self.coefficient.unbind(-1), gain), modes, length
        )


def initial_frequencies(state: int, initialization: Literal["linear", "inverse"]) -> np.ndarray:
    """(M): imaginary parts of the modes."""
    n = np.arange(state // 2)
    return np.pi * n if initialization == "linear" else state / np.pi * (state / (2 * n + 1) - 1)


def _output_map(frequency: np.ndarray, sets: int):
    """C B with both complex normal, B (m, M) scaled such that a constant input gives variance 1."""

    def init(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        c = diagonal_ssm.complex_normal(rng, shape).view(np.complex128)[..., 0]
        b = diagonal_ssm.complex_normal(rng, (sets, shape[-2], 2)).view(np.complex128)[..., 0]
        response = np.abs(b / (-0.5 + 1j * frequency)) ** 2
        b = b / np.sqrt(2 * response.sum(-1, keepdims=True))
        product = c * np.tile(b, (shape[1] // sets, 1))
        return np.stack([product.real, product.imag], axis=-1)

    return init
