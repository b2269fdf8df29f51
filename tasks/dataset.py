"""Tasks whose examples are given, not drawn: numbered rows of fixed splits."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from tasks.base import Batch, Role, Task


class Dataset(Task):
    """Base of all tasks on data. A stream goes through the rows of a split in an order that its
    seed shuffles anew every epoch; an evaluation set has no row twice.

    The roles selection and validation share the validation split.
    """

    next_token: ClassVar[bool] = False
    length_parameter: ClassVar[str | None] = None

    @abstractmethod
    def num_rows(self, role: Role) -> int:
        """Rows of the split that the role reads."""

    @abstractmethod
    def read(self, role: Role, rows: np.ndarray) -> Batch:
        """The examples with these numbers, in this order."""

    @property
    def digest(self) -> str:
        """What identifies the data that were read; recorded with every run."""
        return ""

    @property
    def too_small_to_hold_out(self) -> str:
        return "its splits are given"

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        """Rows of the test split, with replacement."""
        return self.sample_for("test", rng, n)

    def sample_for(self, role: Role, rng: np.random.Generator, n: int) -> Batch:
        return self.read(role, rng.integers(self.num_rows(role), size=n))

    def oracle(self, batch: Batch) -> None:
        """Nobody knows the rule."""
        return None
