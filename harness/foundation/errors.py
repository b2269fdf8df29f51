"""The one error a user can cause: it says what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong with what a user gave."""

    message: str  # what was got and what was expected
    where: str = ""  # file, line and key, as far as they are known
    fix: str = ""  # what to change

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n    fix: {self.fix}" if self.fix else head


class HarnessError(Exception):
    """A user error. The command line prints it without a traceback and exits with code 2.

    Carries one or several problems, so that a file with three mistakes is mended in one go.
    """

    def __init__(self, message: str | Iterable[Problem], *, where: str = "", fix: str = ""):
        if isinstance(message, str):
            self.problems = (Problem(message, where, fix),)
        else:
            self.problems = tuple(message)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self):
        return type(self), (self.problems,)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The fix for a misspelt name: the nearest known one, then the whole list."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    listed = ", ".join(known) if known else "none"
    return f"did you mean {near[0]!r}? Known: {listed}" if near else f"known: {listed}"
