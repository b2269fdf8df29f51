"""The tasks, one a file, and the stream that draws reproducible examples from them."""

from __future__ import annotations

from harness.foundation.config import parse_component
from tasks.associative_recall import AssociativeRecall
from tasks.base import IGNORE, TASKS, Batch, Edit, Task, accuracy, register
from tasks.induction_heads import InductionHeads
from tasks.listops import ListOps
from tasks.stream import Stream

__all__ = [
    "IGNORE",
    "AssociativeRecall",
    "Batch",
    "Edit",
    "InductionHeads",
    "ListOps",
    "Stream",
    "Task",
    "accuracy",
    "get",
    "names",
    "register",
]


def get(name: str, **parameters) -> Task:
    """The task of that name. Raises HarnessError for an unknown name or parameter."""
    return parse_component(TASKS, {"name": name, **parameters})


def names() -> list[str]:
    """All registered tasks, plug-ins included."""
    return list(TASKS)
