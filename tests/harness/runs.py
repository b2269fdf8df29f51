"""Small runs that train in a second."""

from __future__ import annotations

import copy

from harness.foundation.config import parse
from harness.spec import RunSpec
from harness.training.cohort import train_cohort
from harness.training.events import Event, Measured

TINY = {
    "task": {"name": "associative_recall", "vocab_size": 10, "length": 8},
    "model": {"mixer": "orchid", "width": 8, "layers": 2},
    "train": {
        "steps": 6,
        "warmup_steps": 2,
        "batch_size": 4,
        "eval_every": 3,
        "validation_examples": 10,
        "test_examples": 12,
    },
}


def tiny(**changes) -> RunSpec:
    """The tiny run with dotted keys changed (`__` for the dot)."""
    data = copy.deepcopy(TINY)
    for key, value in changes.items():
        inner, *path = data, *key.split("__")
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    return parse(RunSpec, data)


def train(specs: list[RunSpec]) -> list[Event]:
    """All events of one cohort."""
    events: list[Event] = []
    train_cohort(specs, events.append)
    return events


def numbers(events: list[Event], run_id: str) -> list:
    """Every number that was measured of a run, in order."""
    return [
        (event.step, event.split, sorted(event.values.items()))
        for event in events
        if isinstance(event, Measured) and event.run_id == run_id
    ]
