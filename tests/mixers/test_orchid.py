"""Orchid against sums written out, its equivariance, its controls, its options."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError
from harness.mixers.orchid import CONDITIONING, global_convolution, official
from harness.mixers.orchid.form import FORMS
from harness.mixers.orchid.global_convolution import MATRIX_POINTS, Transform
from harness.mixers.orchid.static_kernel import DECAYS, STATIC_KERNELS

ROOT = Path(__file__).parents[2]
LENGTHS = [1, 2, 3, 5, 7, 8, 31, MATRIX_POINTS, MATRIX_POINTS + 1, MATRIX_POINTS + 2]


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def circular(a, b):
    """The convolution sum: (B, L, D), (L, D) -> (B, L, D)."""
    return sum(a.roll(tap, dims=-2) * b[..., tap : tap + 1, :] for tap in range(b.shape[-2]))


def halves(z):
    return torch.cat([z.real, z.imag], dim=-1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    ("normalization", "gain"),
    [("backward", lambda n: 1.0), ("forward", lambda n: 1 / n), ("ortho", lambda n: n**-0.5)],
)
def test_convolve_is_the_circular_sum(length, normalization, gain):
    transform = Transform("dft", normalization, length, length)
    z, h = noise(2, length, 3), noise(length, 3, seed=1)
    y = transform.convolve(z, transform.spectrum(h).unsqueeze(-3))
    torch.testing.assert_close(y, gain(length) * circular(z, h), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("points", [1, 2, 7, 12, 101, 128])
@pytest.mark.parametrize("normalization", ["backward", "forward", "ortho"])
def test_dft_is_torch_fft(points, normalization):
    length = max(1, points // 2)
    transform = Transform("dft", normalization, length, points)
    x = noise(2, length, 3)
    expected = halves(torch.fft.rfft(x, points, dim=-2, norm=normalization))
    torch.testing.assert_close(transform.spectrum(x), expected, rtol=1e-10, atol=1e-12)
    spectrum = noise(2, points // 2 + 1, 6)
    z = torch.complex(*spectrum.chunk(2, -1))
    expected = torch.fft.irfft(z, points, dim=-2, norm=normalization)[:, :length]
    torch.testing.assert_close(transform.signal(spectrum), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "number"), [("dct", 2), ("dct1", 1)])
@pytest.mark.parametrize("length", [2, 5, 16])
def test_cosine_transforms_are_scipy_s(kind, number, length):
    scipy_fft = pytest.importorskip("scipy.fft")
    x = noise(2, length, 3)
    transform = Transform(kind, "backward", length, length)
    expected = scipy_fft.dct(x.numpy(), type=number, axis=-2)
    np.testing.assert_allclose(transform.spectrum(x).numpy(), expected, rtol=1e-10, atol=1e-11)
    for normalization in ("backward", "forward", "ortho"):
        transform = Transform(kind, normalization, length, length)
        torch.testing.assert_close(transform.signal(transform.spectrum(x)), x)
    if kind == "dct":
        expected = scipy_fft.dct(x.numpy(), type=2, axis=-2, norm="ortho")
        np.testing.assert_allclose(transform.spectrum(x).numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("kind", ["dct", "dct1"])
@pytest.mark.parametrize("normalization", ["backward", "forward", "ortho"])
@pytest.mark.parametrize("length", [2, 3, 8, 33])
def test_cosine_transforms_by_fft_are_those_by_matrix(kind, normalization, length, monkeypatch):
    transform = Transform(kind, normalization, length, length)

    def all_four():
        x, spectrum = (noise(2, length, 3, seed=seed).requires_grad_() for seed in (0, 1))
        outputs = [transform.spectrum(x), transform.signal(spectrum)]
        weight = noise(2, length, 3, seed=2)
        return [
            *outputs,
            *torch.autograd.grad(sum((y * weight).sum() for y in outputs), (x, spectrum)),
        ]

    expected = all_four()
    monkeypatch.setattr(global_convolution, "COSINE_MATRIX_POINTS", 0)
    for ours, wanted in zip(all_four(), expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", ["dft", "dct"])
@pytest.mark.parametrize(("length", "points"), [(5, 5), (6, 6), (5, 10), (101, 101), (52, 104)])
def test_gradients_of_the_transforms(kind, length, points):
    transform = Transform(kind, "ortho", length, points)
    x = noise(2, length, 2).requires_grad_()
    spectrum = noise(2, transform.bins, transform.channels(2)).requires_grad_()
    shared = noise(1, transform.bins, transform.channels(2)).requires_grad_()
    for function, values in [
        (transform.spectrum, (x,)),
        (transform.signal, (spectrum,)),
        (transform.convolve, (x, spectrum)),
        (transform.convolve, (x, shared)),
        (
            transform.correlate,
            (spectrum, shared.detach().expand(2, -1, -1).clone().requires_grad_()),
        ),
    ]:
        torch.autograd.gradcheck(function, values, fast_mode=True)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("conditioning", ["static", "magnitude", "power", "cross_correlation"])
def test_orchid_is_its_formula(length, conditioning):
    """The whole operator against rolls and sums, its kernel h0 + h + beta at tap 0."""
    layer = mixers.get("orchid", conditioning=conditioning).build(4, length).double()
    x = noise(2, length, 4)
    s1, s2, v = layer.short_conv(layer.in_linear(x)).split(4, dim=-1)
    (convolution,) = layer.convolutions
    kernel = convolution.static_kernel(length).expand(2, -1, -1).clone()
    if convolution.conditioning is not None:
        h = torch.complex(*layer.conditioning_kernel(x).chunk(2, -1))
        kernel += torch.fft.irfft(h, length, dim=-2)
    kernel[:, 0] += convolution.skip
    y = torch.stack([circular(z, k) for z, k in zip(v * s2, kernel, strict=True)])
    expected = layer.out_linear(y * s1)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("length", [3, 8, 130])
def test_published_kernels_from_plain_torch(length):
    """Types I and II by complex FFTs and torch.nn.functional, without norms."""
    conv = torch.nn.functional.conv1d
    for name in ("power", "magnitude", "cross_correlation"):
        options = {"name": name, "norm": "none"}
        layer = mixers.get("orchid", conditioning=options).build(4, length).double()
        x, network = noise(2, length, 4), layer.convolutions[0].conditioning
        c = layer.in_linear(x)[..., 8:].mT
        weight, bias = network.time.convs[0].weight, network.time.convs[0].bias
        a = [
            torch.fft.rfft(conv(c, w.unsqueeze(1), b, padding=1, groups=4))
            for w, b in zip(weight.split(4), bias.split(4), strict=True)
        ]
        weight, bias = network.freq.convs[0].weight, network.freq.convs[0].bias
        if name == "cross_correlation":
            z = a[0].conj() * a[1]
            z = torch.cat([z.real, z.imag], dim=1)
            order = weight.clone()
            order[1::2] = weight[1::2].flip(1)  # (same, partner) to (even, odd channel)
            h = conv(z, order, bias, padding=1, groups=4)
        else:
            z = a[0].abs() if name == "magnitude" else a[0].abs().square()
            h = torch.cat(
                [
                    conv(z, w.unsqueeze(1), b, padding=1, groups=4)
                    for w, b in zip(weight.split(4), bias.split(4), strict=True)
                ],
                dim=1,
            )
        torch.testing.assert_close(layer.conditioning_kernel(x), h.mT, rtol=1e-9, atol=1e-10)


def shift_error(layer, x, shift=5):
    """Relative difference between shifting before and behind the layer."""
    y = layer(x, None)[0]
    shifted = layer(x.roll(shift, dims=-2), None)[0]
    return ((shifted - y.roll(shift, dims=-2)).abs().max() / y.abs().max()).item()


@pytest.mark.parametrize("length", [7, 12, 101])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("name", ["magnitude", "power", "cross_correlation"])
def test_circular_shifts_pass_through_exactly(name, window, length):
    options = {"name": name, "padding": "circular", "kernel_length": window}
    layer = mixers.get("orchid", short_filter=1, conditioning=options).build(4, length).double()
    assert shift_error(layer, noise(2, length, 4)) < 1e-10


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("zero padding", {"short_filter": 1, "conditioning": "magnitude"}),
        ("short filter", {"conditioning": {"name": "magnitude", "padding": "circular"}}),
        ("phase", {"short_filter": 1, "conditioning": {"name": "spectrum", "padding": "circular"}}),
        (
            "padded spectrum",
            {
                "short_filter": 1,
                "conditioning": {"name": "power", "padding": "circular", "padded": True},
            },
        ),
        (
            "parts",
            {
                "short_filter": 1,
                "conditioning": {
                    "name": "cross_correlation",
                    "padding": "circular",
                    "activation": {"name": "tanh", "on": "parts"},
                },
            },
        ),
        (
            "cosines",
            {
                "short_filter": 1,
                "transform": "dct",
                "conditioning": {"name": "magnitude", "padding": "circular"},
            },
        ),
    ],
)
def test_what_breaks_equivariance(what, options):
    layer = mixers.get("orchid", **options).build(4, 12).double()
    assert shift_error(layer, noise(2, 12, 4)) > 1e-4, what


def test_zero_padding_keeps_equivariance_away_from_the_borders():
    """A signal with silent borders, shifted within them, gives the same kernel."""
    c = torch.zeros(1, 40, 4, dtype=torch.float64)
    c[:, 10:20] = noise(1, 10, 4)
    network = mixers.get("orchid", conditioning={"name": "power", "norm": "none"})
    network = network.build(4, 40).double().convolutions[0].conditioning
    torch.nn.init.zeros_(network.time.convs[0].bias)
    torch.testing.assert_close(
        network(c.roll(7, dims=-2), 40), network(c, 40), rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize(("source", "rows"), [("constant", 1), ("table", 9)])
def test_constant_input_ignores_the_example(source, rows):
    options = {"name": "cross_correlation", "input": source}
    layer = mixers.get("orchid", conditioning=options).build(4, 9)
    kernel = layer.conditioning_kernel(noise(3, 9, 4).float())
    assert kernel.shape[0] == 1
    assert torch.equal(kernel, layer.conditioning_kernel(noise(3, 9, 4, seed=1).float()))
    own = mixers.get("orchid").build(4, 9)
    count = [sum(value.numel() for value in each.parameters()) for each in (layer, own)]
    assert count[0] - count[1] == rows * 4


def test_shuffled_input_is_the_neighbour_s():
    own, shuffled = (
        mixers.get("orchid", conditioning={"name": "magnitude", "input": source}).build(4, 9)
        for source in ("own", "shuffled")
    )
    x = noise(3, 9, 4).float()
    kernel = own.conditioning_kernel(x)
    torch.testing.assert_close(shuffled.conditioning_kernel(x), kernel.roll(1, dims=0))


@pytest.mark.parametrize("window", [1, 2, 3, 6, 12])
def test_window_of_the_conditioning_kernel(window):
    full, cut = (
        mixers.get("orchid", conditioning={"name": "magnitude", "kernel_length": k}).build(4, 12)
        for k in (12, window)
    )
    x = noise(2, 12, 4).float()
    expected, taps = full.conditioning_kernel(x), cut.conditioning_kernel(x)
    distance = torch.tensor([min(t, 12 - t) for t in range(12)])
    outside = taps[:, distance > window / 2]
    assert outside.numel() == 0 or outside.abs().max() == 0
    assert torch.equal(taps[:, distance <= window / 2], expected[:, distance <= window / 2])


def test_full_window_changes_nothing():
    layers = [
        mixers.get("orchid", conditioning={"name": "power", "kernel_length": k}).build(4, 11)
        for k in (None, 11)
    ]
    x = noise(2, 11, 4)
    a, b = (layer.double()(x, None)[0] for layer in layers)
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_window_of_the_static_kernel():
    layer = mixers.get("orchid", static_kernel={"name": "implicit", "kernel_length": 3}).build(4, 9)
    taps = layer.convolutions[0].static_kernel(9)
    assert taps.shape == (9, 4) and (taps[:3] != 0).all() and (taps[3:] == 0).all()


def test_decay_in_taps_stays_where_it_is():
    decay = DECAYS.get("taps")(longest=8.0, shortest=2.0)
    short, long = decay.window(3, 16), decay.window(3, 64)
    np.testing.assert_array_equal(short, long[:16])
    np.testing.assert_allclose([short[8, 0], short[2, 2]], 0.5)
    relative = DECAYS.get("relative")()
    np.testing.assert_allclose(relative.window(3, 16)[-1], relative.window(3, 64)[-1])


def test_recipes_are_as_published():
    layer = mixers.get("orchid").build(4, 8)
    recipes = {name: value.recipe for name, value in layer.named_parameters()}
    assert recipes["convolutions.0.static_kernel.positions"].lr_max == 1e-5
    assert recipes["out_linear.weight"].kind == "residual"
    for name, recipe in recipes.items():
        if "static_kernel" in name:
            assert recipe.kind == "own" and not recipe.decay, name


def test_the_causal_form_pays_for_a_kernel_a_chunk():
    def flops(form, conditioning="magnitude"):
        mixer = mixers.get("orchid", form=form, conditioning=conditioning, chain="conv")
        return mixer.flops_per_token(32, 256) - 2.0 * 2 * 32**2  # but for the projections

    two, eight = (flops({"name": "causal", "chunks": chunks}) for chunks in (2, 8))
    assert 3.5 < eight / two < 4
    assert flops("causal", "static") == flops("bidirectional", "static")


REFUSED = [
    ({"conditioning": "static", "static_kernel": "none"}, "leaves no kernel"),
    ({"static_kernel": "none", "residual_conv": True}, "needs static_kernel: implicit"),
    ({"conditioning": {"name": "power", "filter_size": 4}}, "choose 3 or 5"),
    ({"conditioning": {"name": "static", "norm": "none"}}, "unknown key 'norm'"),
    ({"conditioning": {"name": "power", "activation": "tanh"}}, "unknown key 'activation'"),
    ({"conditioning": "magnitud"}, "magnitude"),
    ({"chain": "gate-gate"}, "chain: .*with a conv"),
    ({"chain": "gate-convolution"}, "chain: .*'gate' and 'conv'"),
    (
        {"conditioning": {"name": "power", "filter_size": 1, "padding": "reflect"}},
        "no effect on filters of one tap",
    ),
    (
        {
            "conditioning": {
                "name": "cross_correlation",
                "activation": {"name": "relu", "on": "magnitude"},
            }
        },
        "activation.on",
    ),
    ({"gain": "matched", "normalization": "ortho"}, "sets its own normalization"),
    ({"transform": "dct", "form": "causal"}, "form: causal needs transform: dft"),
    ({"form": {"name": "circular", "chunks": 4}}, "unknown key 'chunks'"),
    ({"conditioning": {"name": "power", "hidden_activation": "relu"}}, "needs layers: 2"),
    (
        {"static_kernel": {"name": "implicit", "kernel_length": 3, "beyond": "network"}},
        "no effect where kernel_length",
    ),
]
REFUSED_AT_8 = [
    ({"heads": 3}, "3 heads.*got 4"),
    ({"heads": 1}, "over 2 numbers.*or 2 heads or more"),
    ({"heads": 2, "transform": "dct"}, "over 2 numbers.*or 4 heads or more"),
    ({"conditioning": {"name": "power", "padded": True}, "form": "causal"}, "pads by itself"),
    (
        {"conditioning": {"name": "power", "padding": "circular"}, "form": "causal"},
        "needs padding: zeros",
    ),
    ({"conditioning": {"name": "power", "kernel_length": 9}}, "9.*length is 8"),
    ({"static_kernel": {"name": "implicit", "kernel_length": 9}}, "9.*length is 8"),
    ({"conditioning": {"name": "power", "kernel_length": 3}, "transform": "dct"}, "dft"),
    ({"conditioning": {"name": "power", "padded": True}, "transform": "dct"}, "dft"),
    (
        {"conditioning": {"name": "power", "padding": "reflect", "filter_size": 11}},
        "reaches 5.*at most 4",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refused_options(options, message):
    with pytest.raises(HarnessError, match=message):
        mixers.get("orchid", **options)


@pytest.mark.parametrize(("options", "message"), REFUSED_AT_8)
def test_refused_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        mixers.get("orchid", **options).build(4, 8)


def test_every_component_is_reachable():
    assert set(CONDITIONING) == {"static", "magnitude", "power", "spectrum", "cross_correlation"}
    assert set(STATIC_KERNELS) == {"implicit", "none"}
    assert set(DECAYS) == {"relative", "taps", "none"}


def test_the_page_of_axes_names_every_option_and_its_default():
    """docs/orchid.md: each key is in the table, each of its names is known."""
    table = [line for line in (ROOT / "docs/orchid.md").read_text().splitlines() if "|" in line]
    keys = " ".join(line.split("|")[1] for line in table)
    orchid, network = mixers.get("orchid"), CONDITIONING.get("cross_correlation")
    for field in (*type(orchid).model_fields, *network.model_fields):
        assert f"`{field}`" in keys or f".{field}`" in keys, field
    for field in STATIC_KERNELS.get("implicit").model_fields:
        assert f".{field}`" in keys, field
    text = " ".join(table)
    for name in (*CONDITIONING, *FORMS, *DECAYS):
        assert name in text, name


def test_official_weights_load_by_their_names():
    options = {"dxt": "fft", "type": "corrTime", "nn": "convtf", "causal": False, "emb_dim": 5}
    layer = official.mixer(options).build(4, 8)
    with pytest.raises(ValueError, match=r"in_linear\.weight is missing"):
        official.load(layer, options, {})
    with pytest.raises(HarnessError, match="lacks: 2 heads"):
        official.mixer(options | {"num_heads": 2})
