"""Orchid (Karami & Ghodsi, NeurIPS 2024, arXiv 2402.18508): projections, gates, convolutions.

    [s_n, ..., s_1, v] = ShortConv(W_in x)
    z = v, and then along the chain, for instance gate-conv-gate:
        gate    z = z . s_1                                       s_2 at the second gate, ...
        conv    z = T^-1( T(z) . (T(h0) + H(c)) ) + beta z        eqs. 1 to 3, `convolution.py`
    z = z + T^-1( T(x) . T(h0') ) + beta' x        residual_conv, as published code has it
    out = W_out z

c is v before the short convolution. H: `conditioning.py`; h0: `static_kernel.py`. Every
convolution of a chain has its own kernels, made from the same c.

Not causal, unless `form: causal` (this project's own): the published convolution is circular and
its kernel made from the whole sequence.

Gain. In published code plain transforms are not normalised as convolutions are: `forward`
divides each static convolution by L, `ortho` by sqrt(L), and what the conditioning network reads
likewise; `backward`, the default here, is the paper's. `gain: matched` takes this difference out
of a comparison of transforms: the network reads orthonormal spectra, and a static kernel's
spectrum has the kernel's l2 norm as root mean square over bins, which the plain DFT has too.

Shift equivariance (x rolled in a circle rolls y) is exact for transform dft, form circular with
short_filter: 1, conditioning.padding: circular, input own, not padded, and any kind but
`spectrum`. A longer short_filter is causal and zero-padded: it breaks it in the first
short_filter - 1 positions of z; zero padding of the conditioning convolutions breaks it in h.
Cosine transforms have none.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.foundation.config import FromRegistry
from harness.layers import (
    Linear,
    ShortConv,
    depthwise_backward,
    depthwise_forward,
    full_precision,
)
from harness.mixers.base import Mixer, Regime, State, fft_flops, register
from harness.mixers.orchid import fused
from harness.mixers.orchid.conditioning import CONDITIONING, Conditioning, CrossCorrelation, Static
from harness.mixers.orchid.convolution import GlobalConvolution
from harness.mixers.orchid.form import FORMS, Circular, Form
from harness.mixers.orchid.global_convolution import Kind, Normalization
from harness.mixers.orchid.static_kernel import STATIC_KERNELS, ImplicitKernel, StaticKernel


@register("orchid")
class Orchid(Mixer):
    """Data-dependent global convolution between gates.

    chain: gates and convolutions in order, joined by "-": gate-conv-gate as published, conv,
        gate-conv-gate-conv-gate, ... short_filter: taps of the causal depthwise convolution
        behind the input projections.
    form: what wraps around and what is seen, see `form.py`.
    transform, normalization: T, see `Transform`. gain: as published, or matched, see above.
    heads: kernels, each shared by width / heads channels; null: one a channel, as published.
    residual_conv: a second static convolution, of the operator's input, added to the output.
    """

    summary: ClassVar[str] = "convolution with a kernel made from the input"
    source: ClassVar[str] = "arXiv:2402.18508, eqs. 1 to 3"
    call_time: ClassVar[float] = 2.7
    pass_time: ClassVar[float] = 2.4
    version: ClassVar[int] = 2

    chain: str = "gate-conv-gate"
    short_filter: Annotated[int, Field(ge=1)] = 3
    form: Annotated[Form, FromRegistry(FORMS)] = Circular()
    static_kernel: Annotated[StaticKernel, FromRegistry(STATIC_KERNELS)] = ImplicitKernel()
    conditioning: Annotated[Conditioning, FromRegistry(CONDITIONING)] = CrossCorrelation()
    transform: Kind = "dft"
    normalization: Normalization = "backward"
    gain: Literal["published", "matched"] = "published"
    heads: Annotated[int, Field(ge=1)] | None = None
    residual_conv: bool = False

    @field_validator("chain")
    @classmethod
    def _is_a_chain(cls, chain: str) -> str:
        stages = chain.split("-")
        if not set(stages) <= {"gate", "conv"} or "conv" not in stages:
            raise ValueError(
                f"a chain is made of 'gate' and 'conv', joined by '-', with a conv at least, such "
                f"as gate-conv-gate; got {chain!r}"
            )
        return chain

    @model_validator(mode="after")
    def _consistent(self):
        if self.static_kernel.name == "none" and self.conditioning.name == "static":
            raise ValueError(
                "static_kernel: none with conditioning: static leaves no kernel: "
                "choose static_kernel: implicit or another conditioning network"
            )
        if self.static_kernel.name == "none" and self.residual_conv:
            raise ValueError(
                "residual_conv is a static convolution: it needs static_kernel: implicit"
            )
        if self.gain == "matched" and self.normalization != "backward":
            raise ValueError(
                f"gain: matched sets its own normalization; remove normalization: "
                f"{self.normalization}, or choose gain: published"
            )
        if self.transform != "dft" and self.form.padded:
            raise ValueError(
                f"form: {self.form.name} needs transform: dft (a product of cosine spectra is no "
                "convolution that zero padding could unwrap)"
            )
        return self

    @property
    def stages(self) -> list[str]:
        return self.chain.split("-")

    @property
    def convolution_normalization(self) -> Normalization:
        """Of the transforms in the convolution itself."""
        if self.gain == "published":
            return self.normalization
        return "backward" if self.transform == "dft" else "ortho"

    @property
    def regime(self) -> Regime:
        return "causal" if self.form.causal else "bidirectional"

    def check(self, width: int, length: int) -> None:
        if self.transform == "dct1" and length < 2:
            raise ValueError(f"transform dct1 needs a length of 2 or more, got {length}")
        if self.heads is not None and width % self.heads:
            raise ValueError(
                f"orchid with {self.heads} heads needs a width that {self.heads} divides, "
                f"got {width}"
            )
        self.static_kernel.check(width, length)
        self.conditioning.check(width, length, self.transform, self.form, self.heads)

    def check_length(self, width: int, built: int, length: int) -> None:
        if length < built:
            self.check(width, length)
        elif getattr(self.conditioning, "input", None) == "table" and length > built:
            raise ValueError(
                f"conditioning.input table has {built} rows, one for each position that it was "
                f"built for, and the sequence has {length}"
            )

    def module(self, width: int, length: int) -> nn.Module:
        return _Orchid(self, width, length)

    def flops_per_token(self, width: int, length: int) -> float:
        streams, convs = 1 + self.stages.count("gate"), self.stages.count("conv")
        points = 2 * length if self.form.padded else length
        transforms = (2.0 * fft_flops(points) + 6.0 * (points // 2 + 1)) / length
        made = self.conditioning.flops_per_token(width, length, self.form)
        kernels = min(length, getattr(self.form, "chunks", 1)) if made else 1
        per_channel_flops = (
            2.0 * streams * self.short_filter
            + (streams - 1)
            + (convs * kernels + self.residual_conv) * transforms
        )
        return 2.0 * (streams + 1) * width**2 + width * per_channel_flops + convs * kernels * made

    def state_size(self, width: int, length: int) -> int:
        """All inputs: kernel and output need the whole sequence."""
        return length * width


class _Orchid(nn.Module):
    """Streams of in_linear in order: one a gate, the last gate first, and v."""

    def __init__(self, config: Orchid, width: int, length: int):
        super().__init__()
        stages = config.stages
        self.gate_first = stages[0] == "gate"
        self.stages = stages[self.gate_first :]
        self.gates_after = self.stages.count("gate")
        streams = 1 + stages.count("gate")
        self.in_linear = Linear(width, streams * width)
        self.short_conv = ShortConv(streams * width, config.short_filter)
        self.convolutions = nn.ModuleList(
            GlobalConvolution(config, width, length, config.conditioning)
            for _ in range(stages.count("conv"))
        )
        self.dynamic = config.conditioning.name != "static"
        self.residual = None
        if config.residual_conv:
            self.residual = GlobalConvolution(config, width, length, Static())
        self.out_linear = Linear(width, width, kind="residual")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if fused.serves(self, x):
            return fused.run(self, x), state
        conv = self.short_conv
        c, z, *gates = full_precision(_Streams.apply)(
            self.in_linear(x),
            conv.weight,
            conv.bias,
            x.shape[-1],
            self.dynamic,
            self.gate_first,
            self.gates_after,
        )
        convolutions = iter(self.convolutions)
        for stage in self.stages:
            z = next(convolutions)(z, c) if stage == "conv" else z * gates.pop(0)
        if self.residual is not None:
            z = z + self.residual(x, None)
        return self.out_linear(z), state

    def conditioning_kernel(self, x: Tensor, index: int = 0) -> Tensor:
        """h of an input x, in the convolution of that index: its spectrum (..., B, F, C), or its
        taps (..., B, T, G) where it is made in time; B = 1 where it does not depend on x."""
        convolution = self.convolutions[index]
        c = self.in_linear(x)[..., -x.shape[-1] :]
        return convolution.conditioning(c, convolution.transform(x.shape[-2]).points)


class _Streams(torch.autograd.Function):
    """Streams [s_n .. s_1, v] (..., B, L, mD) -> c, z, and the gates behind the first stage.

    c: v as it comes, None where no kernel is made of it. z: v s_1 or v behind the short
    convolution. One function, because autograd would spend as long on putting gradients of
    slices together as the rest of the layer takes.
    """

    @staticmethod
    def forward(ctx, streams, weight, bias, width: int, dynamic: bool, gate: bool, after: int):
        u = depthwise_forward(streams, weight, weight.shape[-1] - 1, bias)
        ctx.save_for_backward(streams, weight, u)
        ctx.width, ctx.gate = width, gate
        c, *parts = streams[..., -width:], *u.split(width, dim=-1)[::-1]
        z = parts[0] * parts[1] if gate else parts[0]
        return c if dynamic else None, z, *parts[1 + gate :]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_c, grad_z, *grad_gates):
        streams, weight, u = ctx.saved_tensors
        width = ctx.width
        grad = torch.empty_like(u)
        v, *gates = grad.split(width, dim=-1)[::-1]
        if ctx.gate:
            torch.mul(grad_z, u[..., -2 * width : -width], out=v)
            torch.mul(grad_z, u[..., -width:], out=gates.pop(0))
        else:
            v.copy_(grad_z)
        for target, value in zip(gates, grad_gates, strict=True):
            target.copy_(value)
        grad_streams, grad_weight = depthwise_backward(grad, streams, weight, weight.shape[-1] - 1)
        if grad_c is not None:
            grad_streams[..., -width:] += grad_c
        return grad_streams, grad_weight, grad.sum((-3, -2)), None, None, None, None
