"""`check_mixer` passes what is shipped and names what a faulty mixer breaks."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from harness.foundation.errors import HarnessError
from harness.layers import Linear, Recipe, constant, parameter
from harness.mixers.base import Mixer
from harness.mixers.check import check_mixer
from tests.mixers.cases import CASES


class Faulty(Mixer):
    """A linear map, causal; subclasses break one promise each."""

    name: ClassVar[str] = "faulty"
    summary: ClassVar[str] = "a linear map"
    source: ClassVar[str] = "own"

    @property
    def regime(self):
        return "causal"

    def module(self, width, length):
        return Map(width, type(self).work)

    work = staticmethod(lambda layer, x: layer.linear(x))

    def flops_per_token(self, width, length):
        return 1.0

    def state_size(self, width, length):
        return 1


class Map(nn.Module):
    def __init__(self, width, work):
        super().__init__()
        self.linear, self.work = Linear(width, width), work
        self.scale = parameter((width,), Recipe(constant(1.0)))

    def forward(self, x, state):
        return self.work(self, x), state


class Fine(Faulty):
    work = staticmethod(lambda layer, x: layer.linear(x) * layer.scale[..., None, None, :])


class LooksAhead(Faulty):
    work = staticmethod(
        lambda layer, x: (
            layer.linear(x) * layer.scale[..., None, None, :].sum() + x.roll(-1, dims=-2)
        )
    )


class ReadsNothing(Faulty):
    pass


class CountsFromTheLeft(Faulty):
    work = staticmethod(lambda layer, x: layer.linear(x) * layer.scale.flatten()[: x.shape[-1]])


class MeetsCompanions(Faulty):
    work = staticmethod(
        lambda layer, x: layer.linear(x) * layer.scale[..., None, None, :] * x.sum()
    )


class Shrinks(Faulty):
    work = staticmethod(lambda layer, x: layer.linear(x)[..., :-1, :])


class Raises(Faulty):
    work = staticmethod(lambda layer, x: 1 / 0)


class NotFinite(Faulty):
    work = staticmethod(
        lambda layer, x: (layer.linear(x) * layer.scale[..., None, None, :] * 0).sqrt()
    )


class OneLength(Faulty):
    work = staticmethod(lambda layer, x: Fine.work(layer, x)[..., [*range(12)], :])


class PlainTorch(Faulty):
    def module(self, width, length):
        return nn.Linear(width, width)


class Free(Fine):
    def flops_per_token(self, width, length):
        return 0.0


@pytest.mark.parametrize("name", ["attention", "orchid", "orchid-causal", "mlp_mixer"])
def test_shipped_mixers_pass(name):
    check_mixer(CASES[name])


def test_a_sound_mixer_passes():
    check_mixer(Fine())


@pytest.mark.parametrize(
    ("mixer", "said"),
    [
        (LooksAhead, "output 0 moves with input 1"),
        (ReadsNothing, "scale has no gradient"),
        (CountsFromTheLeft, "differ from what they are alone"),
        (MeetsCompanions, "differ from what they are alone"),
        (Shrinks, r"\(2, 12, 8\) torch.float32 give \(2, 11, 8\)"),
        (Raises, "raises ZeroDivisionError"),
        (NotFinite, "is not finite"),
        (OneLength, "raises IndexError"),
        (PlainTorch, "weight, bias have no recipe"),
        (Free, "should be positive"),
    ],
)
def test_what_is_broken_is_named(mixer, said):
    with pytest.raises(HarnessError, match=said) as caught:
        check_mixer(mixer())
    assert all("mixer faulty" in problem.where for problem in caught.value.problems)


def test_torch_s_threads_are_left_as_they_were():
    threads = torch.get_num_threads()
    check_mixer(Fine())
    assert torch.get_num_threads() == threads
