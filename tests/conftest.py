"""What every test stands on: one thread, and no plug-in left behind."""

import sys

import pytest
import torch

from harness.mixers.base import MIXERS
from tasks.base import TASKS

torch.set_num_threads(1)  # as CPU workers have: that is where the numbers are exact


@pytest.fixture(autouse=True)
def forget_plugins():
    """A plug-in that a test loads is not registered in the next."""
    before = {registry.kind: dict(registry._classes) for registry in (TASKS, MIXERS)}
    yield
    for registry in (TASKS, MIXERS):
        registry._classes.clear()
        registry._classes.update(before[registry.kind])
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]
