"""H3 (Fu et al., ICLR 2023, arXiv 2212.14052, algorithm 1): two state space models in a row.

    q, k, v = W u;   k <- shift SSM(k);   y = q . diagonal SSM(k . v);   out = W_out y

The shift SSM remembers the last `state` inputs, so its kernel is short, s[t] = sum_j B_j C_{j+t};
the diagonal one (`diagonal_ssm.py`) has one kernel a head. Heads: k and v of a head, each
`head_dim` wide, meet in an outer product, as in linear attention.

Dimensions: B batch, L length, D width, e head_dim, H = D / e heads, N state, M = N / 2 modes.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from harness.layers import (
    Linear,
    Recipe,
    constant,
    contiguous_gradient,
    normal,
    parameter,
    uniform,
)
from harness.mixers import diagonal_ssm
from harness.mixers.base import Mixer, Regime, State, register
from harness.mixers.diagonal_ssm import Discretization
from harness.mixers.orchid.global_convolution import Transform
from harness.mixers.padded_convolution import causal, flops_per_token
from harness.mixers.s4d import initial_frequencies


@register("h3")
class H3(Mixer):
    """Shift and diagonal state space models between products of projections.

    state: N of both models; even. head_dim: e, must divide the width; the second convolution has
    D e channels. discretization: of the diagonal model, initialised as S4D-Lin.
    """

    summary: ClassVar[str] = "shift and diagonal state space models between gates"
    source: ClassVar[str] = "arXiv:2212.14052, algorithm 1"
    call_time: ClassVar[float] = 3.3
    pass_time: ClassVar[float] = 1.8

    state: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    head_dim: Annotated[int, Field(ge=1)] = 1
    discretization: Discretization = "bilinear"

    @property
    def regime(self) -> Regime:
        return "causal"

    def check(self, width: int, length: int) -> None:
        if width % self.head_dim:
            raise ValueError(
                f"h3 with head_dim {self.head_dim} needs a width that {self.head_dim} divides, "
                f"got {width}"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return _H3(self, width)

    def flops_per_token(self, width: int, length: int) -> float:
        products = 3.0 * width * self.head_dim
        convolutions = (width + width * self.head_dim) * flops_per_token(length)
        return 8.0 * width**2 + products + convolutions

    def state_size(self, width: int, length: int) -> int:
        """The last N keys, and N numbers for each product k_i v_j."""
        return width * self.state * (1 + self.head_dim)


class _H3(nn.Module):
    def __init__(self, config: H3, width: int):
        super().__init__()
        self.head_dim = config.head_dim
        self.qkv = Linear(width, 3 * width)
        self.shift = _Shift(width, config.state)
        self.shift_skip = parameter((width,), Recipe(normal(1.0)))
        self.diagonal = _Diagonal(width // config.head_dim, config)
        self.diagonal_skip = parameter((width // config.head_dim,), Recipe(normal(1.0)))
        self.out = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        length, size = x.shape[-2], self.head_dim
        q, k, v = contiguous_gradient(self.qkv(x)).chunk(3, dim=-1)
        k = causal(k, self.shift(length), self.shift_skip)
        q, k, v = (rows.unflatten(-1, (-1, size)) for rows in (q, k, v))  # (..., B, L, H, e)
        kv = (k.unsqueeze(-1) * v.unsqueeze(-2)).flatten(-3)
        taps, skip = self.diagonal(length), self.diagonal_skip
        y = causal(kv, _repeat(taps, size**2), _repeat(skip, size**2))
        y = y.unflatten(-1, (-1, size, size))
        # One product a row of k, summed up in order: a reduction would round by its layout.
        y = sum(q[..., i : i + 1] * y[..., i, :] for i in range(size))
        return self.out(y.flatten(-2)), state


class _Shift(nn.Module):
    """forward(length) -> s (..., min(L, N), D)."""

    def __init__(self, width: int, num: int):
        super().__init__()
        first = np.eye(1, num)
        self.input_map = diagonal_ssm.slow_parameter((width, num), constant(first))
        self.output_map = parameter((width, num), Recipe(uniform(1 / math.sqrt(num))))

    def forward(self, length: int) -> Tensor:
        """The correlation of B and C, as a product of spectra over 2N points."""
        num = self.input_map.shape[-1]
        transform = Transform("dft", "backward", num, 2 * num)
        b, c = (transform.spectrum(rows.mT) for rows in (self.input_map, self.output_map))
        return transform.signal(transform.correlate(b, c))[..., :length, :]


class _Diagonal(nn.Module):
    """forward(length) -> taps (..., L, H)."""

    def __init__(self, heads: int, config: H3):
        super().__init__()
        self.how = config.discretization
        shape = (heads, config.state // 2)
        frequency = initial_frequencies(config.state, "linear")
        self.log_dt = diagonal_ssm.log_step_parameter(heads)
        self.log_decay = diagonal_ssm.slow_parameter(shape, constant(math.log(0.5)))
        self.frequency = diagonal_ssm.slow_parameter(shape, constant(frequency))
        one = np.array([1.0, 0.0])
        self.input_map = diagonal_ssm.slow_parameter((*shape, 2), constant(one))
        self.output_map = parameter((*shape, 2), Recipe(diagonal_ssm.complex_normal))

    def forward(self, length: int) -> Tensor:
        modes = diagonal_ssm.discretise(self.log_dt, self.log_decay, self.frequency, self.how)
        coefficient = diagonal_ssm.multiply(self.input_map.unbind(-1), self.output_map.unbind(-1))
        coefficient = diagonal_ssm.multiply(coefficient, modes.gain)
        one_kernel = tuple(part.unsqueeze(-3) for part in coefficient)
        return diagonal_ssm.kernel(one_kernel, modes, length)


def _repeat(value: Tensor, times: int) -> Tensor:
    """(..., H) -> (..., H times), each entry `times` times in a row."""
    return value if times == 1 else value.unsqueeze(-1).expand(*value.shape, times).flatten(-2)
