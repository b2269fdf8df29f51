"""Orchid's algebra over drawn options and lengths: direct sums, shifts, prefixes, gains."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness import mixers
from harness.mixers.orchid.global_convolution import Transform
from tests.mixers.stacking import run

WIDTH = 4
DYNAMIC = ["magnitude", "power", "spectrum", "cross_correlation"]
CHAINS = ["conv", "gate-conv", "conv-gate", "gate-conv-gate", "gate-conv-gate-conv-gate"]

lengths = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17])
many = settings(max_examples=40, deadline=None, derandomize=True)


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def build(length, options):
    """The layer in float64; examples whose options cannot be at this length are passed over."""
    mixer = mixers.get("orchid", **options)
    try:
        mixer.check(WIDTH, length)
    except ValueError:
        assume(False)
    return mixer.build(WIDTH, length).double()


@st.composite
def networks(draw, paddings=("zeros", "reflect", "circular"), names=("static", *DYNAMIC)):
    name = draw(st.sampled_from(names))
    if name == "static":
        return name
    taps = draw(st.sampled_from([1, 3]))
    return {
        "name": name,
        "convolutions": draw(st.sampled_from(["time+freq", "time", "freq"])),
        "filter_size": taps,
        "layers": draw(st.sampled_from([1, 2])),
        "padding": draw(st.sampled_from(paddings)) if taps > 1 else "zeros",
        "norm": draw(st.sampled_from(["layernorm", "none"])),
        "kernel_length": draw(st.sampled_from([None, 1, 3])),
    }


def direct(layer, config, x):
    """The operator by sums over pairs of positions, with the layer's own kernels."""
    streams = layer.short_conv(layer.in_linear(x)).split(WIDTH, dim=-1)[::-1]
    z, gates = streams[0], list(streams[1:])
    c = layer.in_linear(x)[..., -WIDTH:]
    convolutions = iter(layer.convolutions)
    for stage in config.stages:
        z = z * gates.pop(0) if stage == "gate" else direct_convolution(next(convolutions), z, c)
    if layer.residual is not None:
        z = z + direct_convolution(layer.residual, x, None)
    return layer.out_linear(z)


def direct_convolution(convolution, z, c):
    length = z.shape[-2]
    transform = convolution.transform(length)
    points = transform.points
    size = WIDTH // convolution.heads
    y = convolution.skip * z
    for t in range(length):
        kernel = torch.zeros(len(z), points, convolution.heads, dtype=z.dtype)
        if convolution.static_kernel is not None:
            taps = convolution.static_kernel(length)
            kernel[:, :length] += taps[:, : convolution.heads]
            for j in range(length if convolution.form.name == "bidirectional" else 0):
                kernel[:, -1 - j] += taps[j, convolution.heads :]  # at lag -(j + 1)
        if convolution.conditioning is not None:
            past = None
            if convolution.chunk is not None:
                first = t // convolution.chunk * convolution.chunk
                past = (torch.arange(length) < first).unsqueeze(0)
            h = convolution.conditioning(c, points, past)
            if not convolution.conditioning.in_time:
                h = torch.fft.irfft(torch.complex(*h.chunk(2, -1)), points, dim=-2)
            kernel[:, : h.shape[-2]] += h
        kernel = kernel.repeat_interleave(size, dim=-1)
        for s in range(length):
            if s <= t or not convolution.form.causal:
                y[:, t] += kernel[:, (t - s) % points] * z[:, s]
    return y


@many
@given(
    length=lengths,
    chain=st.sampled_from(CHAINS),
    form=st.sampled_from(["circular", "bidirectional", "causal"]),
    conditioning=networks(),
    heads=st.sampled_from([None, 1, 2]),
    residual=st.booleans(),
)
def test_every_form_is_its_direct_sum(length, chain, form, conditioning, heads, residual):
    options = dict(
        chain=chain, form=form, conditioning=conditioning, heads=heads, residual_conv=residual
    )
    layer, x = build(length, options), noise(2, length, WIDTH)
    expected = direct(layer, mixers.get("orchid", **options), x)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-9, atol=1e-10)


@many
@given(
    length=lengths,
    chain=st.sampled_from(CHAINS),
    conditioning=networks(["circular"], ["static", "magnitude", "power", "cross_correlation"]),
    heads=st.sampled_from([None, 2]),
    shift=st.integers(1, 16),
)
def test_circular_shifts_pass_through(length, chain, conditioning, heads, shift):
    options = dict(chain=chain, conditioning=conditioning, heads=heads, short_filter=1)
    layer, x = build(length, options), noise(2, length, WIDTH)
    y, shifted = layer(x, None)[0], layer(x.roll(shift, dims=-2), None)[0]
    torch.testing.assert_close(shifted, y.roll(shift, dims=-2), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("form", ["bidirectional", "causal"])
@pytest.mark.parametrize("conditioning", ["static", "magnitude", "cross_correlation"])
def test_padded_forms_are_not_equivariant_to_circular_shifts(form, conditioning):
    layer = build(12, dict(form=form, conditioning=conditioning, short_filter=1))
    x = noise(2, 12, WIDTH)
    y, shifted = layer(x, None)[0], layer(x.roll(5, dims=-2), None)[0]
    assert (shifted - y.roll(5, dims=-2)).abs().max() > 1e-3 * y.abs().max()


def test_the_bidirectional_static_kernel_is_equivariant_where_nothing_falls_off():
    """A signal with silent borders, moved within them: a linear convolution follows it."""
    options = dict(form="bidirectional", conditioning="static", short_filter=1, chain="conv")
    layer = build(20, options)
    torch.nn.init.zeros_(layer.in_linear.bias)
    torch.nn.init.zeros_(layer.short_conv.bias)
    x = torch.zeros(1, 20, WIDTH, dtype=torch.float64)
    x[:, 6:10] = noise(1, 4, WIDTH)
    y, shifted = layer(x, None)[0], layer(x.roll(3, dims=-2), None)[0]
    torch.testing.assert_close(shifted[:, 3:], y[:, :-3], rtol=1e-9, atol=1e-11)


@many
@given(
    length=lengths,
    chunks=st.integers(2, 9),
    conditioning=networks(["zeros"]),
    chain=st.sampled_from(CHAINS),
    cut=st.integers(1, 16),
)
def test_a_prefix_gives_the_outputs_it_has_in_the_whole(length, chunks, conditioning, chain, cut):
    form = {"name": "causal", "chunks": chunks}
    layer = build(length, dict(form=form, conditioning=conditioning, chain=chain))
    x, cut = noise(2, length, WIDTH), min(cut, length)
    whole, prefix = layer(x, None)[0], layer(x[:, :cut], None)[0]
    torch.testing.assert_close(prefix, whole[:, :cut], rtol=1e-8, atol=1e-9)


def test_a_causal_kernel_does_depend_on_the_past():
    layer = build(16, dict(form={"name": "causal", "chunks": 4}, chain="conv", short_filter=1))
    x = noise(1, 16, WIDTH)
    other = x.clone()
    other[:, 3] += 1.0  # in the first chunk
    (convolution,) = layer.convolutions
    z = torch.zeros_like(x)
    z[:, 9] = 1.0  # the response in the third chunk is that chunk's kernel
    a, b = (convolution(z, layer.in_linear(v)[..., -WIDTH:]) for v in (x, other))
    change = (a - b).abs().amax((0, 2))
    assert change[:9].max() < 1e-12 and change[9:12].min() > 1e-6


@given(
    kind=st.sampled_from(["dft", "dct"]),
    normalization=st.sampled_from(["backward", "forward", "ortho"]),
    length=st.sampled_from([3, 8, 31]),
)
@many
def test_matched_gain_is_the_l2_norm_of_the_kernel(kind, normalization, length):
    """Root mean square over all bins of what multiplies T(z), for a static kernel."""
    options = dict(transform=kind, gain="matched", conditioning="static", chain="conv")
    (convolution,) = build(length, options).convolutions
    torch.nn.init.zeros_(convolution.skip)
    taps, transform = convolution.static_taps(length), convolution.transform(length)
    spectrum = convolution.kernel(None, transform).squeeze(0)
    if kind == "dft":
        full = torch.fft.irfft(torch.complex(*spectrum.chunk(2, -1)), length, dim=-2)
        power = torch.fft.fft(full, dim=-2).abs().square().mean(-2)
    else:
        power = spectrum.square().mean(-2)
    torch.testing.assert_close(power, taps.square().sum(-2), rtol=1e-9, atol=1e-12)


def test_matched_networks_read_orthonormal_spectra():
    """White input of unit variance makes bins of unit power at every length."""
    options = {"name": "power", "convolutions": "freq", "norm": "none"}
    for length in (64, 512):
        layer = mixers.get("orchid", conditioning=options, gain="matched").build(WIDTH, length)
        reading = layer.convolutions[0].conditioning.reading
        power = Transform(reading.kind, reading.reads, length, length).spectrum(
            noise(64, length, WIDTH)
        )
        re, im = power.chunk(2, -1)
        assert (re.square() + im.square()).mean().item() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("beyond", ["zeros", "network"])
def test_static_taps_beyond_the_length_it_was_built_for(beyond):
    kernel = {"name": "implicit", "beyond": beyond, "decay": {"name": "taps"}}
    layer = build(8, dict(static_kernel=kernel, conditioning="static"))
    (convolution,) = layer.convolutions
    short, long = convolution.static_taps(8), convolution.static_taps(12)
    torch.testing.assert_close(long[:8], short, rtol=1e-10, atol=1e-12)
    if beyond == "zeros":
        assert (long[8:] == 0).all()
    else:
        assert (long[8:] != 0).all()
        # an untouched table goes on smoothly: the next tap is of the last one's size
        assert (long[8] - long[7]).abs().max() < 4 * (short[7] - short[6]).abs().max()
    y, _ = layer(noise(2, 12, WIDTH), None)
    assert torch.isfinite(y).all()


def test_a_trained_table_has_no_rows_beyond_its_length():
    options = {"conditioning": {"name": "power", "input": "table"}}
    with pytest.raises(ValueError, match=r"8 rows.*sequence has 12"):
        build(8, options)(noise(1, 12, WIDTH), None)


@pytest.mark.parametrize(
    ("heads", "transform", "norm"),
    [(1, "dft", "none"), (1, "dct", "batchnorm"), (2, "dft", "layernorm"), (2, "dct", "none")],
)
@pytest.mark.parametrize("conditioning", DYNAMIC)
def test_shared_kernels_depend_on_the_input(conditioning, heads, transform, norm):
    network = {"name": conditioning, "norm": norm}
    options = dict(heads=heads, transform=transform, conditioning=network)
    layer, x = build(9, options), noise(3, 9, WIDTH).requires_grad_()
    h = layer.conditioning_kernel(x)
    assert h.std(0).mean() > 0.05 * h.abs().mean()
    (grad,) = torch.autograd.grad((h * noise(*h.shape, seed=1)).sum(), x)
    assert grad.abs().max() > 1e-2


def test_heads_share_one_kernel_and_one_head_a_channel_is_none():
    x = noise(3, 9, WIDTH)
    shared = build(9, dict(heads=2, chain="conv", short_filter=1))
    (convolution,) = shared.convolutions
    h = shared.conditioning_kernel(x)
    assert h.shape[-1] == 2 * 2  # real and imaginary part of two kernels
    kernel = convolution.kernel(h, convolution.transform(9)) - torch.nn.functional.pad(
        convolution.skip, (0, WIDTH)
    )
    torch.testing.assert_close(kernel[..., 0], kernel[..., 1])
    torch.testing.assert_close(kernel[..., 2], kernel[..., 3])
    own, one = (run(build(9, dict(heads=heads)), x) for heads in (None, WIDTH))
    assert set(own) == set(one)
    for key, value in own.items():
        torch.testing.assert_close(one[key], value)


@many
@given(length=lengths, form=st.sampled_from(["circular", "bidirectional", "causal"]))
@pytest.mark.parametrize("conditioning", DYNAMIC)
def test_gradients_at_odd_prime_and_tiny_lengths(conditioning, length, form):
    layer = build(length, dict(conditioning=conditioning, form=form))
    x = noise(1, length, WIDTH).requires_grad_()
    torch.autograd.gradcheck(lambda x: layer(x, None)[0], (x,), fast_mode=True, atol=1e-6)
