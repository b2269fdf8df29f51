"""What every worker does with a cohort, whichever executor it belongs to."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from harness.spec import RunSpec
from harness.training.events import Diverged, Event, Failed, Finished

Emit = Callable[[Event], None]


def prepare(threads: int, plugins: Sequence[str]) -> None:
    """Sets up a fresh process: threads, allocator, and the plug-ins that the driver has loaded."""
    import torch

    from harness.foundation.plugins import load_plugins
    from harness.training.allocator import keep_freed_memory

    torch.set_num_threads(threads)
    keep_freed_memory()
    load_plugins(plugins)


def train(specs: Sequence[RunSpec], emit: Emit, device: str) -> None:
    """Trains a cohort. If it raises, its members are trained alone, so that one run that fails
    takes no other with it: alone or together, a member's numbers are the same."""
    from harness.training.cohort import train_cohort

    ended: set[str] = set()

    def watch(event: Event) -> None:
        if isinstance(event, Finished | Diverged):
            ended.add(event.run_id)
        emit(event)

    try:
        train_cohort(specs, watch, device=device)
        return
    except Exception as error:
        if len(specs) == 1:
            text = f"{type(error).__name__}: {error}"
            emit(Failed(specs[0].run_id, text, traceback.format_exc()))
            return
    for spec in specs:
        if spec.run_id not in ended:
            train([spec], emit, device)
