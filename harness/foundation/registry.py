"""Names for configurable components. A collision names both objects; a typo gets a suggestion."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Generic, TypeVar

from harness.foundation.errors import HarnessError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from a name to a class, filled by the decorator `register`."""

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str):
        """Class decorator. Raises HarnessError if another class already has the name, and for a
        class that lacks what its base leaves open."""

        def add(cls: type[T]) -> type[T]:
            missing = sorted(getattr(cls, "__abstractmethods__", ()))
            if missing:
                raise HarnessError(
                    f"the {self.kind} {name!r} lacks {', '.join(missing)}: {_place(cls)}",
                    fix="define what is missing; the base class says what each should be",
                )
            other = self._classes.get(name)
            if other is not None and _place(other) != _place(cls):
                raise HarnessError(
                    f"two {self.kind}s are called {name!r}: {_place(other)} and {_place(cls)}",
                    fix="rename one of them",
                )
            cls.name = name
            self._classes[name] = cls
            return cls

        return add

    def get(self, name: str) -> type[T]:
        """The class of that name. Raises HarnessError with a suggestion if there is none."""
        if name not in self._classes:
            raise HarnessError(
                f"unknown {self.kind} {name!r}", fix=did_you_mean(name, self._classes)
            )
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def __contains__(self, name: object) -> bool:
        return name in self._classes


def _place(cls: type) -> str:
    try:
        file = inspect.getsourcefile(cls)
    except TypeError:  # defined in a session without a file
        file = None
    return f"{cls.__qualname__} in {file or cls.__module__}"
