"""The published layer as one function with an own backward: the fast path on a CPU.

It computes what the modules of `operator.py` and `convolution.py` compute one after the other;
they serve every other option, and the tests hold the two against each other. Why it is faster:

- inside, channels come first, (D, B, L), which is how a matrix product can deliver them and how
  an FFT wants them: no copies around the FFTs, and a norm over channels is a sum of whole rows;
- every operation on an array is one that torch runs vectorised (torch.addcmul with two broadcast
  inputs and products with a lazy conjugate are not), and there are fewer of them than in an
  autograd graph of the modules;
- a block of examples passes through the whole layer before the next is touched, so that what one
  operation hands to the next is still in the cache, and temporaries are small enough that the
  allocator keeps them instead of asking the system for fresh pages.

Members of a stack come one after the other, each cut into the same blocks alone and in company:
their bits cannot differ.

Dimensions: S members, B batch, b examples of a block, L length, D width, F bins, K taps; rows of
channels are (C, b, L) or (C, b, F). First derivatives only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.layers import overlap
from harness.mixers.orchid.activation import Identity
from harness.mixers.orchid.global_convolution import OPPOSITE, Normalization

if TYPE_CHECKING:
    from harness.mixers.orchid.operator import _Orchid

# Numbers in one array (D, b, L) of a block: half a megabyte in float32.
BLOCK = 2**17

# Numbers of a member (B L D) from which on it is the faster way. Below, the modules spend their
# time in calls, which a stack shares among its members: at (8, 16, 16) three times as fast.
WORTHWHILE = 2**16

_EPS = 1e-5


@dataclass(frozen=True)
class Plan:
    """What is not a tensor. kind: of the conditioning network."""

    kind: str
    normalization: Normalization
    norm: bool
    residual: bool


class Weights(NamedTuple):
    """Parameters of a layer (with a leading S in a stack), spectra of static kernels (D, F)."""

    in_weight: Tensor
    in_bias: Tensor
    short: Tensor
    short_bias: Tensor
    time: Tensor
    time_bias: Tensor
    time_scale: Tensor | None
    time_offset: Tensor | None
    freq: Tensor
    freq_bias: Tensor
    freq_scale: Tensor | None
    freq_offset: Tensor | None
    out_weight: Tensor
    out_bias: Tensor
    static: Tensor
    residual: Tensor | None


def serves(layer: _Orchid, x: Tensor) -> bool:
    """Whether this file computes what the layer's options ask for."""
    first = layer.convolutions[0]
    network, width = first.conditioning, x.shape[-1]
    if (
        x.device.type != "cpu"
        or torch.is_autocast_enabled("cpu")  # the modules lower their linear maps
        or x.shape[-3:].numel() < WORTHWHILE
        or x.shape[-2] == 1
        or width % 4  # matrix products round by alignment otherwise, see `harness.layers.linear`
        or network is None
        or network.config.name not in ("power", "magnitude", "cross_correlation")
        or first.intervention is not None
    ):
        return False
    config = network.config
    return (
        (layer.gate_first, layer.stages) == (True, ["conv", "gate"])
        and (first.kind, first.form.name, first.heads) == ("dft", "circular", width)
        and network.reading.reads == first.normalization
        and not network.in_time
        and config.norm in ("layernorm", "none")
        and (config.input, config.padding, config.layers) == ("own", "zeros", 1)
        and config.convolutions == "time+freq"
        and getattr(config, "activation", Identity()).name == "identity"
    )


def run(layer: _Orchid, x: Tensor) -> Tensor:
    """The layer's output, x and y (..., B, L, D)."""
    conv, residual = layer.convolutions[0], layer.residual
    network, normalization = conv.conditioning, conv.normalization
    time, freq = network.time, network.freq
    norm = network.config.norm == "layernorm"
    plan = Plan(network.config.name, normalization, norm, residual is not None)
    weights = Weights(
        layer.in_linear.weight,
        layer.in_linear.bias,
        layer.short_conv.weight,
        layer.short_conv.bias,
        time.convs[0].weight,
        time.convs[0].bias,
        time.norms[0].weight if norm else None,
        time.norms[0].bias if norm else None,
        freq.convs[0].weight,
        freq.convs[0].bias,
        freq.norms[0].weight if norm else None,
        freq.norms[0].bias if norm else None,
        layer.out_linear.weight,
        layer.out_linear.bias,
        _static(conv, x),
        None if residual is None else _static(residual, x),
    )
    return _Fused.apply(x, plan, *weights)


def _static(conv, x: Tensor) -> Tensor:
    """T(h0) + beta (..., D, F): the spectrum of an impulse is the same in every bin."""
    length = x.shape[-2]
    taps = conv.static_taps(length)
    if taps is None:
        taps = x.new_zeros(length, x.shape[-1])
    return torch.fft.rfft(taps.mT, norm=conv.normalization) + conv.skip.unsqueeze(-1)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, plan: Plan, *weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, *weights)
        ctx.blocks = []
        needed = any(ctx.needs_input_grad)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        for member, own in _members(weights, x.ndim == 4):
            layer = _Layer(plan, own)
            for rows in _blocks(x[member]):
                saved = layer.forward(x[member][rows], y[member][rows])
                if needed:
                    ctx.blocks.append((layer, saved, member, rows))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, *weights = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x = torch.empty_like(grad)
        grads = [None if value is None else torch.zeros_like(value) for value in weights]
        sums = dict(_members(grads, x.ndim == 4))
        for layer, saved, member, rows in ctx.blocks:
            layer.backward(saved, grad[member][rows], grad_x[member][rows], sums[member])
        return grad_x, None, *grads


def _members(weights, stacked: bool):
    """(index, own weights) of each member; a layer that is not stacked is its only member."""
    if not stacked:
        return [(..., Weights(*weights))]
    return [
        (member, Weights(*(None if value is None else value[member] for value in weights)))
        for member in range(len(weights[0]))
    ]


def _blocks(x: Tensor) -> list[slice]:
    """Slices of the batch of x (B, L, D)."""
    size = max(1, BLOCK // (x.shape[1] * x.shape[2]))
    return [slice(start, start + size) for start in range(0, len(x), size)]


class _Saved(NamedTuple):
    """What the backward pass of a block reads; rows of channels, spectra complex."""

    inputs: Tensor  # x (b L, D)
    projected: Tensor  # W_in x (and x, where there is a residual convolution)
    streams: Tensor  # behind the short convolution: s_2, s_1, v
    time: _Normed
    spectra: Tensor  # of a (or k and q) and z
    combined: Tensor  # |T(a)|^2, |T(a)|, or T*(k) T(q) as [Re | Im]
    partners: Tensor | None  # the latter with neighbouring channels exchanged
    freq: _Normed
    kernel: Tensor
    convolved: Tensor
    gated: Tensor  # what W_out reads
    residual: Tensor | None  # spectrum of x


class _Layer:
    """The layer of one member on b examples."""

    def __init__(self, plan: Plan, weights: Weights):
        self.plan, self.weights = plan, weights
        self.width = width = len(weights.out_bias)
        self.filters = len(weights.time_bias) // width
        self.in_weight, in_bias = weights.in_weight, weights.in_bias
        if plan.residual:  # x itself, channels first, by the same product
            eye = torch.eye(width, dtype=in_bias.dtype)
            self.in_weight = torch.cat([self.in_weight, eye])
            in_bias = torch.cat([in_bias, in_bias.new_zeros(width)])
        self.in_bias = in_bias.unsqueeze(-1)
        self.short = _Taps(weights.short, weights.short_bias, 1, past=weights.short.shape[-1] - 1)
        centre = weights.time.shape[-1] // 2
        self.time = _Taps(weights.time, weights.time_bias, self.filters, past=centre)
        self.pairs = weights.freq.ndim == 3
        if self.pairs:
            own, other = weights.freq.unbind(1)
            self.freq = _Taps(own, weights.freq_bias, 1, past=centre)
            self.partner = _Taps(other, None, 1, past=centre)
            self.exchanged = _Taps(_exchanged(other), None, 1, past=centre)
        else:
            self.freq = _Taps(weights.freq, weights.freq_bias, 2, past=centre)
        self.time_norm = _scale(weights.time_scale, weights.time_offset, self.filters)
        self.freq_norm = _scale(weights.freq_scale, weights.freq_offset, 1)

    def forward(self, x: Tensor, y: Tensor) -> _Saved:
        """From x to y, both (b, L, D)."""
        weights, width, norm = self.weights, self.width, self.plan.normalization
        batch, length = x.shape[:2]
        rows = x.reshape(-1, width)
        projected = torch.addmm(self.in_bias, self.in_weight, rows.T).unflatten(1, (batch, length))
        streams = self.short.convolve(projected[: 3 * width])[0]
        after, before, v = streams.split(width)

        signals = x.new_empty((self.filters + 1) * width, batch, length)
        a = self.time.convolve(projected[2 * width : 3 * width])
        time = _Normed.of(a, self.time_norm, out=signals[:-width].view_as(a))
        torch.mul(v, before, out=signals[-width:])
        spectra = torch.fft.rfft(signals, norm=norm)

        combined, partners = self._combine(spectra), None
        h = self.freq.convolve(combined)
        if self.pairs:
            partners = _exchanged(combined)
            self.partner.convolve(partners, out=h)
        h = h.view(1, 2 * width, *h.shape[-2:])
        scaled = torch.empty_like(h)
        freq = _Normed.of(h, self.freq_norm, out=scaled)
        kernel = torch.complex(*scaled.view(2, width, *h.shape[-2:]).unbind())
        kernel += weights.static.unsqueeze(1)
        convolved = torch.fft.irfft(spectra[-width:] * kernel, length, norm=norm)
        gated, residual = convolved * after, None
        if self.plan.residual:
            residual = torch.fft.rfft(projected[3 * width :], norm=norm)
            gated += torch.fft.irfft(residual * weights.residual.unsqueeze(1), length, norm=norm)
        out = y.view(-1, width)
        torch.addmm(weights.out_bias, gated.flatten(1).T, weights.out_weight.T, out=out)
        return _Saved(
            rows,
            projected,
            streams,
            time,
            spectra,
            combined,
            partners,
            freq,
            kernel,
            convolved,
            gated,
            residual,
        )

    def _combine(self, spectra: Tensor) -> Tensor:
        """What Conv_freq reads: (D, b, F), or (2D, b, F) for the cross-correlation."""
        width = self.width
        k = spectra[:width]
        if self.plan.kind == "cross_correlation":
            return _planar(_conjugate(k) * spectra[width : 2 * width])
        power = torch.mul(k.real, k.real).addcmul_(k.imag, k.imag)
        return power if self.plan.kind == "power" else power.clamp_min_(1e-24).sqrt_()

    def backward(self, saved: _Saved, grad: Tensor, grad_x: Tensor, sums: Weights) -> None:
        """grad of y to grad_x, both (b, L, D); gradients of the weights are added to sums."""
        weights, width, norm = self.weights, self.width, OPPOSITE[self.plan.normalization]
        batch, length = grad.shape[:2]
        inner = slice(1, (length + 1) // 2)  # bins that stand for two, themselves and their mirror
        after, before, v = saved.streams.split(width)

        grad = grad.view(-1, width)
        sums.out_weight.addmm_(grad.T, saved.gated.flatten(1).T)
        sums.out_bias.add_(grad.sum(0))
        grad = torch.mm(weights.out_weight.T, grad.T).unflatten(1, (batch, length))

        grad_projected = torch.empty_like(saved.projected)
        if self.plan.residual:
            g = torch.fft.rfft(grad, norm=norm)
            back = g * _conjugate(weights.residual).unsqueeze(1)
            grad_projected[3 * width :] = torch.fft.irfft(back, length, norm=norm)
            sums.residual.add_(_doubled((g * _conjugate(saved.residual)).sum(1), inner))

        grad_streams = torch.empty_like(saved.streams)
        torch.mul(grad, saved.convolved, out=grad_streams[:width])
        g = torch.fft.rfft(grad * after, norm=norm)
        grad_spectra = torch.empty_like(saved.spectra)
        torch.mul(g, _conjugate(saved.kernel), out=grad_spectra[-width:])
        g *= _conjugate(saved.spectra[-width:])
        sums.static.add_(_doubled(g.sum(1), inner))
        g = self._kernel_backward(_doubled(_planar(g), inner), saved, sums)
        g[..., inner] *= 0.5
        self._combine_backward(g, saved, grad_spectra)
        grad_signals = torch.fft.irfft(grad_spectra, length, norm=norm)

        torch.mul(grad_signals[-width:], v, out=grad_streams[width : 2 * width])
        torch.mul(grad_signals[-width:], before, out=grad_streams[2 * width :])
        self.short.backward(
            grad_streams.unsqueeze(0),
            saved.projected[: 3 * width],
            (sums.short, sums.short_bias),
            out=grad_projected[: 3 * width],
        )
        g = grad_signals[:-width].view_as(saved.time.normed)
        g = saved.time.backward(g, self.time_norm, (sums.time_scale, sums.time_offset))
        c = slice(2 * width, 3 * width)
        time_sums = sums.time, sums.time_bias
        self.time.backward(g, saved.projected[c], time_sums, out=grad_projected[c], add=True)

        grad_rows = grad_projected.flatten(1)
        sums.in_weight.addmm_(grad_rows[: 3 * width], saved.inputs)
        sums.in_bias.add_(grad_rows[: 3 * width].sum(1))
        torch.mm(grad_rows.T, self.in_weight, out=grad_x.view(-1, width))

    def _kernel_backward(self, grad: Tensor, saved: _Saved, sums: Weights) -> Tensor:
        """From the gradient of H as [Re | Im] to that of what Conv_freq reads."""
        g = grad.view_as(saved.freq.normed)
        g = saved.freq.backward(g, self.freq_norm, (sums.freq_scale, sums.freq_offset))
        if not self.pairs:
            g = g.view(2, self.width, *g.shape[-2:])
            return self.freq.backward(g, saved.combined, (sums.freq, sums.freq_bias))
        own, other = sums.freq.unbind(1)
        out = self.freq.backward(g, saved.combined, (own, sums.freq_bias))
        self.partner.add_weight_gradient(other, g, saved.partners)
        return self.exchanged.input_gradient(_exchanged(g[0]).unsqueeze(0), out=out, add=True)

    def _combine_backward(self, grad: Tensor, saved: _Saved, grad_spectra: Tensor) -> None:
        """From the gradient of `_combine`'s output to that of the spectra of a, or k and q."""
        width = self.width
        k = saved.spectra[:width]
        if self.plan.kind == "cross_correlation":
            g = torch.complex(*grad.split(width))
            torch.mul(k, g, out=grad_spectra[width : 2 * width])
            q = saved.spectra[width : 2 * width]
            torch.mul(q, g.conj_physical_(), out=grad_spectra[:width])
            return
        slope = grad * 2 if self.plan.kind == "power" else grad / saved.combined
        torch.mul(k, slope, out=grad_spectra[:width])


def _planar(z: Tensor) -> Tensor:
    """Complex (D, b, F) -> (2D, b, F), real parts before imaginary ones."""
    return torch.view_as_real(z).movedim(-1, 0).flatten(0, 1)


def _exchanged(x: Tensor) -> Tensor:
    """Neighbouring channels exchanged; (2D, ...)."""
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def _conjugate(z: Tensor) -> Tensor:
    """As an array: products with torch's lazy conjugate take several times as long."""
    return torch.conj_physical(z)


def _doubled(x: Tensor, inner: slice) -> Tensor:
    """Bins that stand for two, themselves and their mirror image, count twice in a gradient."""
    x[..., inner] *= 2
    return x


class _Taps:
    """Depthwise convolution of rows: x (C, b, N) -> (m, C, b, N), m filters on each channel.

    weight (m C, K), bias (m C). As `harness.layers.depthwise_conv`, channels first.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, filters: int, *, past: int):
        self.past, self.size = past, weight.shape[-1]
        lifted = weight.unflatten(0, (filters, -1))[..., None, None]
        self.taps = lifted.unbind(2)  # each (m, C, 1, 1)
        self.bias = None if bias is None else bias.view(filters, -1, 1, 1)

    def _overlaps(self, length: int):
        """(tap, positions, the positions that they read), None where those are all."""
        for tap in range(self.size):
            shift = tap - self.past
            yield tap, *(overlap(length, shift) if shift else (None, None))

    def convolve(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Added to out, where that is given."""
        if out is None:
            out = self.bias.expand(-1, *x.shape).contiguous()
        for tap, to, source in self._overlaps(x.shape[-1]):
            if to is None:
                out.addcmul_(x, self.taps[tap])
            else:
                out[..., to].addcmul_(x[..., source], self.taps[tap])
        return out

    def backward(
        self,
        grad: Tensor,
        x: Tensor,
        sums: tuple[Tensor, Tensor],
        *,
        out: Tensor | None = None,
        add: bool = False,
    ) -> Tensor:
        """grad (m, C, b, N) to that of x, returned; those of weight and bias, added to sums."""
        self.add_weight_gradient(sums[0], grad, x)
        sums[1].add_(grad.sum((-2, -1)).view(-1))
        return self.input_gradient(grad, out=out, add=add)

    def add_weight_gradient(self, out: Tensor, grad: Tensor, x: Tensor) -> None:
        """To out (m C, K)."""
        products = (
            grad * x if to is None else grad[..., to] * x[..., source]
            for _, to, source in self._overlaps(x.shape[-1])
        )
        rows = [product.sum((-2, -1)).view(-1) for product in products]
        out.add_(torch.stack(rows, -1))

    def input_gradient(
        self, grad: Tensor, *, out: Tensor | None = None, add: bool = False
    ) -> Tensor:
        """(C, b, N), to out where that is given, or added to it."""
        for g, weight in zip(grad, self.taps[self.past], strict=True):
            out = out.addcmul_(g, weight) if add else torch.mul(g, weight, out=out)
            add = True
        for tap, to, source in self._overlaps(grad.shape[-1]):
            if to is not None:
                target = out[..., source]
                for g, weight in zip(grad[..., to], self.taps[tap], strict=True):
                    target.addcmul_(g, weight)
        return out


def _scale(scale: Tensor | None, offset: Tensor | None, groups: int):
    """Scale and offset of a norm as (g, C, 1, 1); None where there is no norm."""
    if scale is None:
        return None
    return scale.view(groups, -1, 1, 1), offset.view(groups, -1, 1, 1)


class _Normed(NamedTuple):
    """A norm over channels, dimension 1 of (g, C, b, N), g groups apart."""

    normed: Tensor
    rate: Tensor | None  # 1 / standard deviation (g, 1, b, N)

    @classmethod
    def of(cls, x: Tensor, scale: tuple[Tensor, Tensor] | None, *, out: Tensor) -> _Normed:
        """scale[0] * normed + scale[1] goes to out; x is overwritten."""
        if scale is None:
            out.copy_(x)
            return cls(x, None)
        x -= x.mean(1, keepdim=True)
        rate = (x * x).mean(1, keepdim=True).add_(_EPS).rsqrt_()
        x *= rate
        torch.mul(x, scale[0], out=out).add_(scale[1])
        return cls(x, rate)

    def backward(
        self,
        grad: Tensor,
        scale: tuple[Tensor, Tensor] | None,
        sums: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        """Gradient of x, with y = scale * normed + offset; those of both are added to sums."""
        if scale is None:
            return grad
        product = grad * self.normed
        sums[0].add_(product.sum((-2, -1)).view(-1))
        sums[1].add_(grad.sum((-2, -1)).view(-1))
        row = scale[0].view(len(grad), 1, -1) / grad.shape[1]
        mean, slope = (
            torch.bmm(row, each.flatten(2)).view_as(self.rate) for each in (grad, product)
        )
        out = torch.mul(grad, scale[0], out=product)
        return out.sub_(mean).addcmul_(self.normed, slope, value=-1).mul_(self.rate)
