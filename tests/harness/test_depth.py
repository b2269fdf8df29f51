"""What differs from layer to layer: patterns of mixers, own widths, shared weights, state."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from harness.cost import cost
from harness.foundation.config import parse, to_data
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from harness.layers import initialise
from harness.mixers.base import Mixer, register
from harness.model import Model
from harness.spec import RunSpec
from harness.training.stack import Stack
from tests.harness.runs import numbers, tiny, train

CPU = torch.device("cpu")
TWO_HEADS = {"name": "attention", "heads": 2}


def built(spec: RunSpec) -> Model:
    """The model of one member, in float64."""
    model = Model(spec)
    initialise(model, lambda name: generator("init", spec.seed_key, name))
    return model.double()


def names(spec: RunSpec) -> list[str]:
    return [layer.mixer.name for layer in spec.model.layer_list]


def test_a_pattern_is_repeated_over_the_layers():
    spec = tiny(model__mixer=["long_conv", TWO_HEADS], model__layers=4)
    assert names(spec) == ["long_conv", "attention"] * 2
    model = Model(spec)
    kinds = [type(block.mixer) for block in model.blocks]
    assert kinds[0] is kinds[2] and kinds[1] is kinds[3] and kinds[0] is not kinds[1]
    assert [block.mixer.heads for block in model.blocks[1::2]] == [2, 2]


def test_one_mixer_hashes_as_before_patterns_were():
    """And the golden tiny run, in test_cohort, is that of one mixer."""
    assert tiny(model__mixer=TWO_HEADS, model__layers=3).run_id == "9e181832657af4cd"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model__mixer": ["orchid"]}, {}),
        ({"model__mixer": ["orchid", "orchid"]}, {}),
        (
            {"model__mixer": ["orchid", TWO_HEADS] * 2, "model__layers": 4},
            {"model__mixer": ["orchid", TWO_HEADS], "model__layers": 4},
        ),
        ({"model__mixer_widths": [4, 4]}, {"model__mixer_widths": [4]}),
        ({"model__mixer_widths": [None, None]}, {}),
        ({"model__share": [[1, 0]]}, {"model__share": [[0, 1]]}),
    ],
)
def test_equal_models_hash_alike(one, other):
    assert tiny(**one).run_id == tiny(**other).run_id


def test_what_changes_the_model_changes_the_hash():
    changes = [
        {},
        {"model__mixer": ["orchid", "attention"]},
        {"model__mixer": ["attention", "orchid"]},
        {"model__mixer_widths": [4]},
        {"model__mixer_widths": [8]},  # the stream's width, but through maps
        {"model__mixer_widths": [None, 4]},
        {"model__share": [[0, 1]]},
    ]
    assert len({tiny(**change).run_id for change in changes}) == len(changes)


def test_data_and_back():
    spec = tiny(
        model__mixer=["orchid", TWO_HEADS],
        model__layers=4,
        model__mixer_widths=[None, 4],
        model__share=[[1, 3]],
    )
    again = parse(RunSpec, json.loads(json.dumps(to_data(spec))))
    assert again == spec
    assert again.run_id == spec.run_id


BAD = {
    "too few layers": (
        {"model__mixer": ["orchid", "attention", "orchid"]},
        ["model.mixer", "a list of 3", "layers: 2"],
    ),
    "more mixers than layers": (
        {"model__mixer": ["orchid", "attention"] * 2},
        ["a list of 4", "layers: 2"],
    ),
    "an empty list": ({"model__mixer": []}, ["model.mixer", "empty"]),
    "a misspelt entry": (
        {"model__mixer": ["orchid", "atention"]},
        ["model.mixer.1", "did you mean 'attention'"],
    ),
    "an option that an entry has not": (
        {"model__mixer": ["orchid", {"name": "attention", "haeds": 2}]},
        ["model.mixer.1.haeds", "'heads'"],
    ),
    "heads that do not divide": (
        {"model__mixer": ["orchid", {"name": "attention", "heads": 3}]},
        ["model.mixer.1", "3 heads", "got 8"],
    ),
    "heads that do not divide the mixer's own width": (
        {"model__mixer": ["orchid", TWO_HEADS], "model__mixer_widths": [6, 5]},
        ["model.mixer.1", "2 heads", "got 5"],
    ),
    "one bidirectional mixer under every next token": (
        {"model__mixer": ["attention", "orchid"], "train__loss": "all"},
        ["train.loss", "'orchid' is bidirectional"],
    ),
    "one bidirectional mixer where the inputs tell": (
        {
            "model__mixer": ["attention", "orchid"],
            "task": {"name": "associative_recall", "num_queries": 2, "length": 16},
        },
        ["model.mixer.1", "'orchid' is bidirectional"],
    ),
    "widths that do not fit the layers": (
        {"model__mixer_widths": [4, 4, 8]},
        ["model.mixer_widths", "a list of 3", "layers: 2"],
    ),
    "a width of nothing": ({"model__mixer_widths": [0]}, ["model.mixer_widths"]),
    "a layer that is not there": (
        {"model__share": [[0, 2]]},
        ["model.share.0", "layer 2", "0 to 1"],
    ),
    "a group of one": ({"model__share": [[0]]}, ["model.share.0", "two layers"]),
    "no group": ({"model__share": [0, 1]}, ["model.share"]),
    "a layer in two groups": (
        {"model__share": [[0, 1], [1, 2]], "model__layers": 3},
        ["model.share.1", "layer 1 stands twice"],
    ),
    "shared weights of different mixers": (
        {"model__mixer": ["orchid", "attention"], "model__share": [[0, 1]]},
        ["model.share.0", "layers 0 and 1"],
    ),
    "shared weights of different widths": (
        {"model__mixer_widths": [4, None], "model__share": [[0, 1]]},
        ["model.share.0", "widths"],
    ),
    "a list where one is meant": (
        {"model__mixer": {"name": "orchid", "conditioning": ["magnitude", "static"]}},
        ["model.mixer.conditioning", "name of a"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_with_its_place(case):
    changes, said = BAD[case]
    with pytest.raises(HarnessError) as error:
        tiny(**changes)
    for part in said:
        assert part in str(error.value)


def test_one_bidirectional_mixer_makes_the_model_bidirectional():
    assert tiny(model__mixer=["attention", "long_conv"]).regime == "causal"
    assert tiny(model__mixer=["attention", "orchid"]).regime == "bidirectional"


def test_a_mixer_of_its_own_width_costs_two_maps():
    """Attention at 4 within a stream of 8: maps of 8 x 4 + 4 and 4 x 8 + 8 parameters."""
    narrow = tiny(model__mixer="attention", model__layers=1, model__mixer_widths=[4])
    alone = tiny(model__mixer="attention", model__layers=1)
    mixer = alone.model.mixer
    length = alone.sequence_length

    def attention(width: int) -> int:
        return 4 * width**2 + 4 * width

    change = attention(4) + (8 * 4 + 4) + (4 * 8 + 8) - attention(8)
    assert cost(narrow).params - cost(alone).params == change
    flops = mixer.flops_per_token(4, length) + 4 * 8 * 4 - mixer.flops_per_token(8, length)
    assert cost(narrow).flops_per_token - cost(alone).flops_per_token == flops
    assert cost(narrow).state_size == mixer.state_size(4, length)


def test_costs_add_up_over_a_pattern():
    """Each entry alone, less what the layers have in common."""
    both = cost(tiny(model__mixer=["long_conv", TWO_HEADS]))
    first, second = cost(tiny(model__mixer="long_conv")), cost(tiny(model__mixer=TWO_HEADS))
    for field in both._fields:
        mean = (getattr(first, field) + getattr(second, field)) / 2
        assert getattr(both, field) == pytest.approx(mean, rel=1e-12), field


def test_shared_weights_count_once_and_their_work_every_time():
    shared = cost(tiny(model__layers=4, model__share=[[0, 2, 3]]))
    two, four = cost(tiny(model__layers=2)), cost(tiny(model__layers=4))
    assert (shared.params, shared.params_without_embedding) == two[:2]
    assert shared[2:] == four[2:]


def tokens(spec: RunSpec, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(spec.num_tokens, size=(3, spec.sequence_length)))


def test_shared_weights_are_equal_weights_whose_gradients_add_up():
    """Against three blocks of their own that are given the same values."""
    spec = tiny(model__mixer="attention", model__layers=3, model__share=[[0, 2]])
    shared, apart = built(spec), built(tiny(model__mixer="attention", model__layers=3))
    assert shared.blocks[0] is shared.blocks[2]
    apart.blocks[2].load_state_dict(apart.blocks[0].state_dict())
    ys = [model(tokens(spec), None) for model in (shared, apart)]
    assert torch.equal(*ys)
    for y in ys:
        y.square().sum().backward()
    for name, value in shared.blocks[0].named_parameters():
        twins = [apart.blocks[layer].get_parameter(name).grad for layer in (0, 2)]
        torch.testing.assert_close(value.grad, sum(twins), rtol=1e-10, atol=1e-12)


def test_layers_still_share_after_members_have_left_and_weights_have_moved():
    spec = tiny(model__layers=4, model__share=[[0, 2], [1, 3]])
    stack = Stack(spec, ["a", "b", "c"], CPU)
    stack.keep(torch.tensor([2, 0]))
    with torch.no_grad():
        stack.values.add_(1.0)
    for first, second in ((0, 2), (1, 3)):
        pairs = zip(
            stack.model.blocks[first].parameters(),
            stack.model.blocks[second].parameters(),
            strict=True,
        )
        for one, other in pairs:
            assert one is other
            assert one.shape[0] == 2
    assert stack.values[0, : cost(spec).params].numel() == cost(spec).params
    assert stack.values.shape[1] - cost(spec).params < 64


DEEP = {
    "pattern": {"model__mixer": ["orchid", TWO_HEADS]},
    "widths": {"model__mixer": ["long_conv", TWO_HEADS], "model__mixer_widths": [5, 6],
               "model__short_conv": 3, "model__init": "gpt2"},
    "shared": {"model__mixer": ["orchid", "attention"], "model__layers": 6,
               "model__share": [[0, 2, 4], [3, 5]], "model__mixer_widths": [4, None]},
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_numbers_do_not_depend_on_companions(name):
    """Bit for bit at S = 1, 2 and 5, a member leaving on the way."""
    rates = [1e-3, 1e30, 3e-3, 1e-3, 2e-3]
    specs = [
        tiny(**DEEP[name], seed=seed, train__lr=rate, train__clip_norm=None)
        for seed, rate in enumerate(rates)
    ]
    together = train(specs)
    pair = train([specs[4], specs[2]])
    for spec in (specs[2], specs[4]):
        expected = numbers(train([spec]), spec.run_id)
        assert len(expected) == 2 * 2 + 1
        assert numbers(together, spec.run_id) == expected
        assert numbers(pair, spec.run_id) == expected


class Relay(Mixer):
    """A toy: hands on what it read, and puts out what the layer before it had read."""

    summary: ClassVar[str] = "a toy"
    source: ClassVar[str] = "own"
    regime = property(lambda self: "causal")

    def module(self, width, length):
        return _Relay()

    def flops_per_token(self, width, length):
        return 1.0

    def state_size(self, width, length):
        return width


class _Relay(nn.Module):
    def forward(self, x, state):
        before = torch.zeros_like(x) if state is None else state["read"]
        return before, {"read": x}


@pytest.mark.parametrize("share", [[], [[0, 2]]], ids=["apart", "shared"])
def test_a_layer_reads_what_an_earlier_one_wrote(share):
    """Through a layer between them that hands the state on, through shared weights, stacked."""
    register("relay")(Relay)
    spec = tiny(
        model__mixer=["relay", "attention", "relay"],
        model__layers=3,
        model__channel_mixer={"kind": "none"},
        model__share=share,
    )
    model = built(spec)
    x = model.embedding(tokens(spec))
    first, middle, last = model.blocks
    y, state = first(x, None)
    assert torch.equal(y, x), "there was nothing to read"
    after, same = middle(y, state)
    assert same is state
    out, _ = last(after, state)
    torch.testing.assert_close(out, after + first.mixer_norm(x))
    expected = model.readout(model.norm(out))
    torch.testing.assert_close(model(tokens(spec), None), expected)

    stack = Stack(spec, [spec.seed_key] * 2, CPU)
    stacked = stack.model(torch.stack([tokens(spec)] * 2), None)
    torch.testing.assert_close(stacked[1].double(), expected, rtol=1e-4, atol=1e-5)
