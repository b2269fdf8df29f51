"""What every mixer must keep: shapes, its declared regime, members that ignore each other."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import mixers
from harness.foundation.config import parse_component, to_data
from harness.layers import Recipe
from harness.mixers import base
from tests.mixers.cases import CASES
from tests.mixers.stacking import members, run, stack

every = pytest.mark.parametrize("name", CASES)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_registered_mixer_is_under_test():
    assert {mixer.name for mixer in CASES.values()} == set(mixers.names())


def test_the_table_of_the_readme_has_every_mixer_with_its_paper():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)`([^\n]*)$", readme, re.MULTILINE))
    assert set(rows) == set(mixers.names())
    for name, row in rows.items():
        for paper in re.findall(r"arXiv:([\d.]+)", base.MIXERS.get(name).source):
            assert f"https://arxiv.org/abs/{paper}" in row, name


@every
def test_perturbing_one_token_shows_the_declared_regime(name):
    mixer, length, at = CASES[name], 12, 5
    layer = mixer.build(8, length).double()
    x = noise(2, length, 8, dtype=torch.float64)
    other = x.clone()
    other[:, at] += noise(2, 8, seed=1, dtype=torch.float64)
    change = (layer(other, None)[0] - layer(x, None)[0]).abs().amax((0, 2))
    scale = change.max()
    assert scale > 1e-3
    if mixer.regime == "causal":
        assert change[:at].max() < 1e-12 * scale
        assert change[at:].max() == scale
    else:
        assert change[:at].max() > 1e-6 * scale


@every
@pytest.mark.parametrize(
    ("batch", "length", "width"), [(3, 8, 8), (5, 26, 32), (2, 33, 16), (2, 130, 8)]
)
def test_a_member_is_bit_for_bit_what_it_is_alone(name, batch, length, width):
    layers = members(CASES[name], width, length, 3)
    x = noise(3, batch, length, width)
    together = run(stack(layers), x)
    for index, layer in enumerate(layers):
        alone = run(stack([layer]), x[index : index + 1])
        for key, value in together.items():
            assert torch.equal(value[index], alone[key][0]), key


@every
def test_a_member_that_is_not_a_number_harms_nobody(name):
    layers = members(CASES[name], 8, 9, 3)
    x = noise(3, 2, 9, 8)
    expected = run(stack(layers), x)
    with torch.no_grad():
        for value in layers[1].parameters():
            value.fill_(torch.nan)
    for key, value in run(stack(layers), x).items():
        assert torch.equal(value[[0, 2]], expected[key][[0, 2]]), key


@every
def test_stacked_and_unstacked_agree(name):
    layers = members(CASES[name], 8, 10, 2)
    x = noise(2, 3, 10, 8, dtype=torch.float64)
    layers = [layer.double() for layer in layers]
    together = run(stack(layers), x)
    for index, layer in enumerate(layers):
        for key, value in run(layer, x[index]).items():
            torch.testing.assert_close(together[key][index], value, rtol=1e-9, atol=1e-10)


@every
def test_gradients_are_those_of_finite_differences(name):
    layer = CASES[name].build(4, 6).double()
    names = [name for name, _ in layer.named_parameters()]

    def function(x, *parameters):
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, state, (x, None))[0]

    x = noise(2, 6, 4, dtype=torch.float64)
    x.requires_grad_()
    # The gradient of the whole is projected on one random direction: minutes otherwise.
    torch.autograd.gradcheck(
        function, (x, *layer.parameters()), fast_mode=True, atol=1e-6, rtol=1e-4
    )


@every
def test_every_parameter_has_a_recipe_and_matters(name):
    layer = CASES[name].build(8, 10)
    grads = run(layer, noise(3, 10, 8))
    for key, value in layer.named_parameters():
        assert isinstance(value.recipe, Recipe)
        assert grads[key] is not None and grads[key].abs().max() > 0, key
        assert torch.isfinite(grads[key]).all(), key


@every
@pytest.mark.parametrize("length", [5, 24])
def test_what_check_length_lets_through_can_be_read(name, length):
    """Built for 16 positions; what cannot be read is refused before anything is trained."""
    mixer = CASES[name]
    layer = mixer.build(8, 16)
    try:
        mixer.check_length(8, 16, length)
    except ValueError as error:
        assert str(length) in str(error)
        with pytest.raises(ValueError):
            mixer.check(8, length)
            layer(noise(2, length, 8), None)
        return
    y, _ = layer(noise(2, length, 8), None)
    assert y.shape == (2, length, 8) and torch.isfinite(y).all()


@every
def test_configuration_round_trip(name):
    mixer = CASES[name]
    assert parse_component(base.MIXERS, to_data(mixer)) == mixer


@every
def test_costs_are_positive_and_the_state_passes_through(name):
    mixer = CASES[name]
    assert mixer.flops_per_token(32, 64) > 0
    assert mixer.state_size(32, 64) > 0
    state = {"a": torch.zeros(1)}
    assert mixer.build(8, 8)(noise(1, 8, 8), state)[1] is state


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 2, 5, 7, 60, 130])
def test_long_conv_is_the_convolution_sum(causal, length):
    layer = mixers.get("long_conv", causal=causal).build(4, length).double()
    x = noise(2, length, 4, dtype=torch.float64)
    kernel = layer.kernel(length)
    y = layer.skip * x
    for t in range(length):
        for tap in range(length):
            if tap <= t or not causal:
                y[:, t] += kernel[tap] * x[:, t - tap]
    expected = layer.out_linear(y)
    torch.testing.assert_close(layer(x, None)[0], expected, rtol=1e-9, atol=1e-11)
