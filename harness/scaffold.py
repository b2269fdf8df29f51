"""Writes the first version of a user's own task, with a test that already passes."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

import tasks
from harness.foundation.errors import HarnessError

TASKS = tasks.TASKS

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

_TEST = '''\
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


def write_task(name: str, folder: Path) -> list[Path]:
    """Writes NAME.py and test_NAME.py; returns their paths. Never overwrites."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise HarnessError(
            f"{name!r} would not do as the name of a task and a module",
            fix="use small letters, digits and '_', beginning with a letter",
        )
    if keyword.iskeyword(name) or importlib.util.find_spec(name) or name in TASKS:
        raise HarnessError(
            f"{name!r} is the name of a Python word, a module or a task already",
            fix="choose another",
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    texts = {folder / f"{name}.py": _TASK, folder / f"test_{name}.py": _TEST}
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
