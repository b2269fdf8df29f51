"""The layers that models and mixers are made of; each also works on a stack of members.

Members are runs that are trained together. A stacked parameter has one leading dimension more
than its module declares, the activations likewise, and nothing else changes as long as code
indexes from the right:

    alone:    weight (E, D)      x (B, L, D)
    stacked:  weight (S, E, D)   x (S, B, L, D)

So the rule for writing a module: declare parameters with `parameter`, use negative dimensions,
and lift a per-channel parameter with `per_channel` before it meets activations. Each parameter
carries a `Recipe`: how it is initialised and how the optimiser treats it.

Dimensions: S members, B batch, L length, D width, E output width, K taps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Init = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Constants = TypeVar("Constants", Tensor, tuple[Tensor, ...])
Function = Callable[..., Any]
Kind = Literal["own", "projection", "residual", "bias", "embedding"]


@dataclass(frozen=True)
class Recipe:
    """How a parameter starts and learns.

    init: draws the values. kind: what `model.init` may do with it; "own" is never touched.
    lr_scale: multiplies the learning rate. lr_max: caps the product. decay: weight decay or not.
    """

    init: Init
    kind: Kind = "own"
    lr_scale: float = 1.0
    lr_max: float = math.inf
    decay: bool = True


def parameter(shape: tuple[int, ...], recipe: Recipe) -> nn.Parameter:
    """A parameter that knows its recipe; its values are set by `initialise`."""
    value = nn.Parameter(torch.empty(shape))
    value.recipe = recipe
    return value


def uniform(bound: float) -> Init:
    """Values between -bound and bound."""
    return lambda rng, shape: rng.uniform(-bound, bound, shape)


def normal(std: float) -> Init:
    """Normal values around zero."""
    return lambda rng, shape: std * rng.standard_normal(shape)


def constant(value: float | np.ndarray) -> Init:
    """The same value, or the same array, for every seed."""
    return lambda rng, shape: np.broadcast_to(np.asarray(value, dtype=np.float64), shape)


def full_precision(function: Function) -> Function:
    """The function in float32 where `train.precision: bfloat16` lowers the numbers around it.

    For what sums long or knows no bfloat16: norms, convolutions, Fourier transforms, recurrences,
    and whatever has an own backward pass. Under torch.autocast its tensors come as
    float32 and nothing inside is lowered; elsewhere the function is as it is.
    """

    @wraps(function)
    def run(*args, **kwargs):
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                with torch.autocast(device, enabled=False):
                    options = {name: _widened(value) for name, value in kwargs.items()}
                    return function(*map(_widened, args), **options)
        return function(*args, **kwargs)

    return run


def _widened(value: Any) -> Any:
    lowered = isinstance(value, Tensor) and value.dtype == torch.bfloat16
    return value.float() if lowered else value


def per_channel(value: Tensor) -> Tensor:
    """(..., D) -> (..., 1, 1, D), which broadcasts against activations (..., B, L, D)."""
    return value.unsqueeze(-2).unsqueeze(-2)


def remembered(
    maxsize: int,
) -> Callable[[Callable[..., Constants]], Callable[..., Constants]]:
    """lru_cache for a function that forms tensors from sizes alone.

    While shapes are followed without memory (`harness.training.memory`) nothing is kept: those
    tensors hold no numbers, and a training in the same process would find them later.
    """

    def decorate(function: Callable[..., Constants]) -> Callable[..., Constants]:
        known = lru_cache(maxsize)(function)

        @wraps(function)
        def call(*sizes) -> Constants:
            holds_numbers = type(torch.empty(0)) is Tensor
            return known(*sizes) if holds_numbers else function(*sizes)

        return call

    return decorate


class Linear(nn.Module):
    """y = x W^T + b over the last dimension, initialised as torch.nn.Linear is.

    kind: "projection", "residual" for the last map before a residual sum, "own" for one whose
    initialisation belongs to its mixer. init: values of the weight where not torch's.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        kind: Kind = "projection",
        init: Init | None = None,
        decay: bool = True,
    ):
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        recipe = Recipe(init or uniform(bound), kind, decay=decay)
        self.weight = parameter((outputs, inputs), recipe)
        own_bias: Kind = "own" if kind == "own" else "bias"
        self.bias = (
            parameter((outputs,), Recipe(uniform(bound), own_bias, decay=False)) if bias else None
        )

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (..., D), weight (E, D): (..., E). Stacked: x (S, ..., D), weight (S, E, D).

    D and E are filled up to multiples of four: a CPU's matrix product rounds by the alignment of
    its operands, so that otherwise a member's bits would depend on its place.
    """
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    inputs, outputs = weight.shape[-1], weight.shape[-2]
    rows = x.reshape(len(x), -1, inputs)
    if inputs % 4:
        rows = F.pad(rows, (0, -inputs % 4))
    if inputs % 4 or outputs % 4:
        weight = F.pad(weight, (0, -inputs % 4, 0, -outputs % 4))
        bias = None if bias is None else F.pad(bias, (0, -outputs % 4))
    if bias is None:
        out = torch.bmm(rows, weight.mT)
    else:
        out = torch.baddbmm(bias.unsqueeze(-2), rows, weight.mT)
    return out[..., :outputs].reshape(*x.shape[:-1], outputs)


def contiguous_gradient(x: Tensor) -> Tensor:
    """x, whose gradient is laid out in order: a sum over a gradient rounds by its layout, and with
    dimensions of size one that depends on the number of members."""
    return _ContiguousGradient.apply(x)


class _ContiguousGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad.contiguous()


def gelu(x: Tensor) -> Tensor:
    """x Phi(x), exact. x (..., B, L, D).

    torch's fused kernels of gelu, sigmoid and silu round the last few entries of an array, those
    that do not fill a vector register, otherwise than the rest: a member's bits would depend on
    its place in the stack. Where a member's size leaves no such rest the fused kernel serves;
    elsewhere the function is composed of kernels that round alike everywhere.
    """
    return F.gelu(x) if _fills_registers(x) else _gelu(x)


@full_precision
def _gelu(x: Tensor) -> Tensor:
    return x * torch.erf(x * math.sqrt(0.5)).add(1).mul(0.5)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), the same bits at every place of an array; see `gelu`."""
    return torch.sigmoid(x) if _fills_registers(x) else _sigmoid(x)


@full_precision
def _sigmoid(x: Tensor) -> Tensor:
    return torch.tanh(x * 0.5).add(1).mul(0.5)


def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), the same bits at every place of an array; see `gelu`."""
    return F.silu(x) if _fills_registers(x) else x * sigmoid(x)


def _fills_registers(x: Tensor) -> bool:
    """Whether a member's block (B, L, D) is made of whole vector registers (64 numbers at most)."""
    return x.is_contiguous() and math.prod(x.shape[-3:]) % 64 == 0


class LayerNorm(nn.Module):
    """Layer normalisation over the last dimension, with scale and offset; x (..., B, L, D)."""

    def __init__(self, width: int, *, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = parameter((width,), Recipe(constant(1.0), decay=False))
        self.bias = parameter((width,), Recipe(constant(0.0), decay=False))

    @full_precision
    def forward(self, x: Tensor) -> Tensor:
        if self.weight.ndim == 1:
            return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        normed = F.layer_norm(x, x.shape[-1:], eps=self.eps)
        return torch.addcmul(per_channel(self.bias), normed, per_channel(self.weight))


class BatchNorm(nn.Module):
    """Normalisation of each channel over batch and positions, with scale and offset.

    x (..., B, L, D). While gradients are formed the batch's own mean and variance serve, and
    running ones follow them (Ioffe & Szegedy, arXiv 1502.03167, algorithm 1); otherwise, and in
    evaluation mode, the running ones serve. Each member of a stack has its own.
    """

    def __init__(self, width: int, *, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = parameter((width,), Recipe(constant(1.0), decay=False))
        self.bias = parameter((width,), Recipe(constant(0.0), decay=False))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    @full_precision
    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        if self.training and torch.is_grad_enabled():
            x = contiguous_gradient(x)
            mean = x.mean((-3, -2))
            var = (x - per_channel(mean)).square().mean((-3, -2))
            self._follow(mean.detach(), var.detach(), x.shape[-3] * x.shape[-2])
        scale = self.weight * torch.rsqrt(var + self.eps)
        return torch.addcmul(per_channel(self.bias), x - per_channel(mean), per_channel(scale))

    def keep(self, rows: Tensor) -> None:
        """Reduces the statistics of a stack to these members."""
        if self.running_mean.ndim > 1:
            self.running_mean = self.running_mean[rows]
            self.running_var = self.running_var[rows]

    def _follow(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Running statistics (D) become (S, D) with the first stacked batch, and are then changed
        in place, so that a recorded step goes on from where the last one left them."""
        unbiased = var * (count / max(1, count - 1))
        if self.running_mean.shape != mean.shape:
            self.running_mean = self.running_mean.expand_as(mean).clone()
            self.running_var = self.running_var.expand_as(var).clone()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)


class Embedding(nn.Module):
    """Rows of a table: tokens (..., B, L) -> (..., B, L, D). std: initial scale, normal."""

    def __init__(self, num: int, width: int, *, std: float):
        super().__init__()
        self.weight = parameter((num, width), Recipe(normal(std), "embedding", decay=False))

    def forward(self, tokens: Tensor) -> Tensor:
        if self.weight.ndim == 2:
            return F.embedding(tokens, self.weight)
        members, num = self.weight.shape[:2]
        offset = num * torch.arange(members, device=tokens.device)
        return F.embedding(tokens + offset.view(-1, 1, 1), self.weight.flatten(0, 1))


class Dropout(nn.Module):
    """Srivastava et al. 2014: x (S, ..., D) with a share of its numbers set to 0, the rest
    divided by 1 - share. Each member draws from its own of `generators`, which training sets
    for a step (`harness.training.dropout`); without them x is left as it is."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.generators: list[torch.Generator] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.generators is None:
            return x
        kept = torch.empty(x.shape, device=x.device)
        for row, source in zip(kept, self.generators, strict=True):
            row.uniform_(generator=source)
        return x * ((kept >= self.share) / (1 - self.share))


class ShortConv(nn.Module):
    """Depthwise convolution over positions, K taps: x (..., B, L, D) -> (..., B, L, D).

    y[t] = sum_k w[:, k] x[t + k - past], as torch.nn.Conv1d counts taps. past = K - 1 (the
    default) is causal, (K - 1) // 2 is centred. Beyond the ends x counts as zero.
    The weight is (D, K), initialised as torch.nn.Conv1d's.
    """

    def __init__(self, width: int, taps: int, *, past: int | None = None, bias: bool = True):
        super().__init__()
        self.past = taps - 1 if past is None else past
        bound = 1 / math.sqrt(taps)
        self.weight = parameter((width, taps), Recipe(uniform(bound)))
        self.bias = parameter((width,), Recipe(uniform(bound), decay=False)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv(x, self.weight, self.past, self.bias)


@full_precision
def depthwise_conv(x: Tensor, weight: Tensor, past: int, bias: Tensor | None = None) -> Tensor:
    """Zero-padded depthwise correlation by shifted multiply-adds; see `ShortConv`.

    x (..., B, L, D), weight (..., mD, K), bias (..., mD): (..., B, L, mD). With m > 1 several
    filters read the same channel: output channel c reads input channel c mod D. An own backward
    keeps it at one temporary a tap: at K = 3 to 5 several times faster than torch's grouped
    convolution on a CPU.
    """
    return _DepthwiseConv.apply(x, weight, past, bias)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, past: int, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.past = past
        return depthwise_forward(x, weight, past, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        grad_x, grad_weight = depthwise_backward(
            grad, *ctx.saved_tensors, ctx.past, needs=ctx.needs_input_grad[:2]
        )
        grad_bias = grad.sum((-3, -2)) if ctx.needs_input_grad[3] else None
        return grad_x, grad_weight, None, grad_bias


def depthwise_forward(x: Tensor, weight: Tensor, past: int, bias: Tensor | None) -> Tensor:
    """`depthwise_conv` outside of autograd."""
    width = x.shape[-1]
    out = x.new_empty((*x.shape[:-1], weight.shape[-2]))
    for start in range(0, weight.shape[-2], width):
        rows = slice(start, start + width)
        offset = None if bias is None else bias[..., rows]
        _add_shifted(out[..., rows], x, weight[..., rows, :], past, offset)
    return out


def depthwise_backward(
    grad: Tensor, x: Tensor, weight: Tensor, past: int, *, needs: tuple[bool, bool] = (True, True)
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `depthwise_conv` in x and weight; needs: which of them to form."""
    (length, width), taps = x.shape[-2:], weight.shape[-1]
    grad_x = x.new_empty(x.shape) if needs[0] else None
    grad_weight = torch.empty_like(weight) if needs[1] else None
    product = x.new_empty(x.shape) if needs[1] else None
    for start in range(0, weight.shape[-2], width):
        rows = slice(start, start + width)
        part = grad[..., rows]
        if grad_x is not None:
            back = weight[..., rows, :].flip(-1)
            _add_shifted(grad_x, part, back, taps - 1 - past, None, fresh=start == 0)
        if grad_weight is not None:
            for tap in range(taps):
                to, source = overlap(length, tap - past)
                out = torch.mul(part[..., to, :], x[..., source, :], out=product[..., to, :])
                grad_weight[..., rows, tap] = out.sum((-3, -2))
    return grad_x, grad_weight


def _add_shifted(
    out: Tensor, x: Tensor, weight: Tensor, past: int, bias: Tensor | None, *, fresh: bool = True
) -> None:
    """out (+)= bias + sum_k weight[..., k] * x shifted by k - past, zero beyond the ends."""
    taps = per_channel(weight.movedim(-1, 0).contiguous())
    if fresh and bias is None:
        torch.mul(x, taps[past], out=out)
    elif fresh:
        torch.addcmul(per_channel(bias), x, taps[past], out=out)
    else:
        out.addcmul_(x, taps[past])
    for tap in range(len(taps)):
        if tap != past:
            to, source = overlap(x.shape[-2], tap - past)
            out[..., to, :].addcmul_(x[..., source, :], taps[tap])


def overlap(length: int, shift: int) -> tuple[slice, slice]:
    """Positions t (to) and t + shift (source) that both lie in 0 .. length - 1."""
    shift = max(-length, min(length, shift))
    if shift >= 0:
        return slice(0, length - shift), slice(shift, length)
    return slice(-shift, length), slice(0, length + shift)


def initialise(model: nn.Module, draw: Callable[[str], np.random.Generator]) -> None:
    """Sets every parameter from its recipe, with the generator `draw(name)` for each name."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(value.recipe.init(draw(name), tuple(value.shape)).copy()))
