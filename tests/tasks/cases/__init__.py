"""Tasks under test: the CASE of every module here, one a task.

variants: parameters with which the contract tests run, the first of them those of the golden
examples (the defaults, but for tasks on files). golden: hash of 64 examples, or, where examples
are real numbers, the first six of the first input and the last two of the last target.
"""

import importlib
import pkgutil
from typing import Any, NamedTuple


class Case(NamedTuple):
    variants: list[dict[str, Any]]
    golden: str | list[float]


CASES: dict[str, Case] = {}
for _module in pkgutil.iter_modules(__path__):
    CASES[_module.name] = importlib.import_module(f"{__name__}.{_module.name}").CASE
