"""Writes the first version of a user's own task or mixer, with a test that already passes."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

import tasks
from harness.foundation.errors import HarnessError
from harness.mixers.base import MIXERS

_TASK = '''\
"""{title}: (say what is asked, and where the rule comes from)."""

import numpy as np

from tasks.base import IGNORE, Batch, Count, Task, register


@register("{name}")
class {title}(Task):
    """Recall the first token at the end. Chance: 1 / vocab_size."""

    summary = "recall the first token of the sequence"
    source = "own"

    vocab_size: Count = 16
    length: Count = 32

    @property
    def num_tokens(self):
        return self.vocab_size

    @property
    def input_length(self):
        return self.length

    @property
    def chance(self):
        return 1 / self.vocab_size

    def sample(self, rng, n):
        inputs = rng.integers(self.vocab_size, size=(n, self.length))
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = inputs[:, 0]
        return Batch(inputs, targets, {{"distance": np.full_like(inputs, self.length - 1)}})

    def oracle(self, batch):
        return np.repeat(batch.inputs[:, :1], self.length, axis=1)

    def shortcuts(self, batch):
        return {{"last token": batch.inputs}}
'''

_TASK_TEST = '''\
"""The task {name} keeps its promises."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import {name}  # registers the task

import tasks
from tasks.check import check_task


def test_contract():
    check_task(tasks.get("{name}"))


def test_the_rule_by_hand():
    batch = tasks.get("{name}", length=8).sample(np.random.default_rng(0), 100)
    assert (batch.targets[:, -1] == batch.inputs[:, 0]).all()
    assert not batch.scored[:, :-1].any()


def test_it_comes_from_here():
    assert tasks.TASKS.get("{name}") is {name}.{title}
'''


_MIXER = '''\
"""{title}: (say what it computes, and which paper and equation it comes from).

    y[t] = W_out (s * mean(W_in x[0], ..., W_in x[t]))

Dimensions: S members (a leading one, there only when stacked), B batch, L length, D width.
"""

from typing import ClassVar

import torch
from torch import nn

from harness.layers import Linear, Recipe, constant, parameter, per_channel
from harness.mixers.base import Mixer, register


@register("{name}")
class {title}(Mixer):
    """The mean of what has been seen. scale: whether each channel has a trained factor."""

    summary: ClassVar[str] = "running mean of projected inputs"
    source: ClassVar[str] = "own"

    scale: bool = True

    @property
    def regime(self):
        return "causal"

    def check(self, width, length):
        """Raises ValueError where it cannot be built, with the broken rule in numbers."""

    def module(self, width, length):
        return _{title}(width, scale=self.scale)

    def flops_per_token(self, width, length):
        return 4.0 * width**2 + 3.0 * width

    def state_size(self, width, length):
        return width


class _{title}(nn.Module):
    """Works on (B, L, D) and, with a stack of parameters, on (S, B, L, D): count dimensions from
    the right, and lift a parameter of one value a channel with `per_channel`."""

    def __init__(self, width, *, scale):
        super().__init__()
        self.in_linear = Linear(width, width)
        self.scale = parameter((width,), Recipe(constant(1.0), decay=False)) if scale else None
        self.out_linear = Linear(width, width, kind="residual")

    def forward(self, x, state):
        seen = torch.arange(1, x.shape[-2] + 1, device=x.device, dtype=x.dtype).unsqueeze(-1)
        mean = self.in_linear(x).cumsum(-2) / seen
        if self.scale is not None:
            mean = mean * per_channel(self.scale)
        return self.out_linear(mean), state
'''

_MIXER_TEST = '''\
"""The mixer {name} keeps its promises, and is its formula."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import {name}  # registers the mixer

from harness import mixers
from harness.mixers.base import MIXERS
from harness.mixers.check import check_mixer


@pytest.mark.parametrize("scale", [True, False])
def test_contract(scale):
    check_mixer(mixers.get("{name}", scale=scale))


def test_it_is_its_formula():
    layer = mixers.get("{name}").build(width=4, length=6).double()
    x = torch.linspace(-1, 1, 2 * 6 * 4, dtype=torch.float64).sin().view(2, 6, 4)
    y, _ = layer(x, None)
    for t in range(6):
        mean = layer.in_linear(x)[:, : t + 1].mean(1)
        torch.testing.assert_close(y[:, t], layer.out_linear(layer.scale * mean))


def test_it_comes_from_here():
    assert MIXERS.get("{name}") is {name}.{title}
'''

_KINDS = {"task": (tasks.TASKS, _TASK, _TASK_TEST), "mixer": (MIXERS, _MIXER, _MIXER_TEST)}


def write(kind: str, name: str, folder: Path) -> list[Path]:
    """Writes NAME.py and test_NAME.py of a "task" or "mixer"; returns their paths.

    Never overwrites. Raises HarnessError for a name that will not do.
    """
    registry, text, test = _KINDS[kind]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise HarnessError(
            f"{name!r} would not do as the name of a {kind} and a module",
            fix="use small letters, digits and '_', beginning with a letter",
        )
    if keyword.iskeyword(name) or importlib.util.find_spec(name) or name in registry:
        raise HarnessError(
            f"{name!r} is the name of a Python word, a module or a {kind} already",
            fix="choose another",
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    texts = {folder / f"{name}.py": text, folder / f"test_{name}.py": test}
    for path in texts:
        if path.exists():
            raise HarnessError("there is such a file already", where=str(path), fix="another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text.format(name=name, title=title), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"cannot be written: {error}", where=str(folder)) from None
    return list(texts)
