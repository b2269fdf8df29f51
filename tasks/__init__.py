"""The tasks, one a file, and the stream that draws reproducible examples from them.

Every module of this folder is imported, so that a new file registers its task by standing here.
"""

from __future__ import annotations

import importlib
import pkgutil

from harness.foundation.config import parse_component
from tasks.base import IGNORE, TASKS, Batch, Edit, Task, accuracy, register
from tasks.dataset import Dataset
from tasks.stream import Stream

__all__ = [
    "IGNORE",
    "Batch",
    "Dataset",
    "Edit",
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


for _module in pkgutil.iter_modules(__path__):
    if _module.name == "page":
        continue  # a program, which stands above the tasks
    importlib.import_module(f"{__name__}.{_module.name}")
