"""Dotted keys on nested data, lists included, and through a file."""

from __future__ import annotations

import pytest

from ablations import dotted
from harness.foundation.errors import HarnessError
from tests.ablations.examples import SMALL, changed, load


def test_a_key_and_back():
    assert dotted.path("model.mixer.0.heads") == ("model", "mixer", 0, "heads")
    assert dotted.key(("model", "mixer", 0, "heads")) == "model.mixer.0.heads"


@pytest.mark.parametrize(
    ("data", "key", "expected"),
    [
        ({}, "a.b", {"a": {"b": 1}}),
        ({"a": "name"}, "a.b", {"a": {"name": "name", "b": 1}}),
        ({"a": ["x", "y"]}, "a.1", {"a": ["x", 1]}),
        ({"a": ["x", "y"]}, "a.1.b", {"a": ["x", {"name": "y", "b": 1}]}),
    ],
)
def test_put(data, key, expected):
    dotted.put(data, dotted.path(key), 1)
    assert data == expected


@pytest.mark.parametrize(
    ("data", "key", "said"),
    [
        ({"a": 3}, "a.b", "a is no mapping"),
        ({"a": None}, "a.b", "a is no mapping"),
        ({"a": ["x"]}, "a.1", "a is a list of 1"),
        ({"a": ["x"]}, "a.b", r"list of 1(?s:.*)a\.0"),
        ({"a": {"b": 2}}, "a.0", "a is no list"),
    ],
)
def test_what_a_key_cannot_reach(data, key, said):
    with pytest.raises(HarnessError, match=said):
        dotted.put(data, dotted.path(key), 1)


def test_remove():
    data = {"a": {"b": 1, "c": 2}}
    for key in ("a.b", "a.b", "x.y", "a.c.d"):
        dotted.remove(data, dotted.path(key))
    assert data == {"a": {"c": 2}}


PATTERN = changed(
    ("layers: 1, mixer: attention", "layers: 2, mixer: [long_conv, {name: attention}]"),
    ("  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
     "  model.mixer.1.heads: [1, 2]\n"),
)  # fmt: skip


def test_a_factor_may_vary_one_entry_of_a_pattern():
    heads = [arm.spec.model.mixer[1].heads for arm in load(PATTERN).arms]
    assert heads == [1, 2]
    with pytest.raises(HarnessError, match=r"model\.mixer\.1: attention with 3 heads"):
        load(PATTERN.replace("[1, 2]", "[1, 3]"))
    with pytest.raises(HarnessError, match=r"f\.yaml:15.*list of 2"):
        load(PATTERN.replace("mixer.1.heads", "mixer.heads"))
    with pytest.raises(HarnessError, match=r"f\.yaml:6: base\.model\.mixer\.1.*atention"):
        load(PATTERN.replace("{name: attention}", "atention"))


def test_a_grid_over_the_layers():
    """What both layers have in common is the run of a single mixer."""
    text = SMALL.replace("layers: 1, mixer: attention", "layers: 2, mixer: [attention, attention]")
    text = text.replace(
        "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
        "  model.mixer.0: [attention, long_conv]\n  model.mixer.1: [attention, long_conv]\n",
    )
    arms = load(text).arms
    assert [arm.label for arm in arms] == [
        "0=attention, 1=attention", "0=attention, 1=long_conv",
        "0=long_conv, 1=attention", "0=long_conv, 1=long_conv",
    ]  # fmt: skip
    single = load(SMALL.replace("layers: 1", "layers: 2"))
    assert [arm.condition_id for arm in single.arms] == [arms[0].condition_id, arms[3].condition_id]


def test_a_key_within_a_component_that_is_left_out_is_of_the_default_one():
    text = SMALL.replace("mixer: attention}", "mixer: orchid}").replace(
        "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
        "  model.mixer.conditioning.kernel_length: [3, 5]\n",
    )
    default = load(text).arms[0].spec.model.mixer
    assert default.conditioning.name == "cross_correlation"
    assert default.conditioning.kernel_length == 3
    named = load(text.replace("mixer: orchid", "mixer: {name: orchid, conditioning: power}"))
    assert named.arms[0].spec.model.mixer.conditioning.name == "power"
    deep = text.replace("conditioning.kernel_length", "static_kernel.decay.fast")
    assert [arm.spec.model.mixer.static_kernel.decay.fast for arm in load(deep).arms] == [3, 5]
    with pytest.raises(HarnessError, match=r"f\.yaml.*'kernel_lenght' of 'cross_correlation'"):
        load(text.replace("kernel_length", "kernel_lenght"))
    with pytest.raises(HarnessError, match="expected the name of a conditioning network"):
        load(
            text.replace("conditioning.kernel_length: [3, 5]", "conditioning: [{layers: 2}, power]")
        )
