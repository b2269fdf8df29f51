"""Examples without state: the same (task, seed, role) gives the same examples everywhere.

The stream is cut into blocks of a fixed size; block i is drawn by a generator keyed by
(task, seed, role, i), and any batch is a slice of blocks. So a batch depends on neither the
process, nor the batch size, nor what was read before. A training stream redraws, inside its
block, every example whose input stands in an evaluation set. Where examples are given (a
`Dataset`), the stream is the rows of a split, shuffled by (task, seed, role, epoch).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np

from harness.foundation.config import identity
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator, short_hash
from tasks.base import Batch, Role, Task
from tasks.dataset import Dataset

MAX_REDRAWS = 50  # per block, before a task counts as too small


class Stream:
    """An endless, reproducible sequence of examples of one task.

    task: the distribution. seed: a number or a name. role: what the examples are for.
    exclude: hashes of inputs that must not occur (see `input_hashes`).
    """

    def __init__(
        self, task: Task, seed: int | str, role: Role, *, exclude: np.ndarray | None = None
    ):
        self.task, self.seed, self.role = task, seed, role
        self.exclude = None if exclude is None or task.too_small_to_hold_out else exclude
        self._read = lru_cache(maxsize=2)(lambda block: _frozen(self._draw_block(block)))
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @cached_property
    def block_size(self) -> int:
        """Examples a block: up to 1,024, fewer where inputs are long; fixed by the task."""
        numbers = self.task.input_length * max(1, self.task.num_features)
        return max(16, min(1024, 2**20 // numbers))

    @cached_property
    def size(self) -> int | None:
        """Number of different examples where they are given; None where they never end."""
        return self.task.num_rows(self.role) if isinstance(self.task, Dataset) else None

    @cached_property
    def _task_key(self) -> str:
        return short_hash(identity(self.task))

    def take(self, start: int, n: int) -> Batch:
        """Examples start .. start + n - 1, in arrays that cannot be written to."""
        if start < 0 or n < 1:
            raise ValueError(f"take needs start >= 0 and n >= 1, got {start} and {n}")
        if self.size is not None:
            return _frozen(self.task.read(self.role, self._rows(start, n)))
        parts, end = [], start + n
        while start < end:
            block, offset = divmod(start, self.block_size)
            count = min(end - start, self.block_size - offset)
            parts.append(self._read(block)[offset : offset + count])
            start += count
        return _frozen(_concatenate(parts))

    def first(self, n: int) -> Batch:
        """The first n examples, or all where there are fewer."""
        return self.take(0, n if self.size is None else min(n, self.size))

    def _rows(self, start: int, n: int) -> np.ndarray:
        """Numbers of the rows at these places of the stream."""
        places = np.arange(start, start + n)
        rows = np.empty(n, dtype=np.int64)
        for epoch in range(start // self.size, (start + n - 1) // self.size + 1):
            here = places // self.size == epoch
            rows[here] = self._order(epoch)[places[here] % self.size]
        return rows

    def _shuffled(self, epoch: int) -> np.ndarray:
        return generator(self._task_key, self.seed, self.role, epoch).permutation(self.size)

    def _draw_block(self, block: int) -> Batch:
        rng = generator(self._task_key, self.seed, self.role, block)
        batch = self.task.sample_for(self.role, rng, self.block_size)
        if self.exclude is None:
            return batch
        for _ in range(MAX_REDRAWS):
            held_out = np.flatnonzero(np.isin(input_hashes(batch.inputs), self.exclude))
            if not len(held_out):
                return batch
            fresh = self.task.sample_for(self.role, rng, len(held_out))
            for array, new in zip(batch.arrays, fresh.arrays, strict=True):
                array[held_out] = new
        raise HarnessError(
            f"{self.task.name} has so few different inputs that training examples cannot be kept "
            f"apart from the evaluation sets ({len(held_out)} of {self.block_size} still collide "
            f"after {MAX_REDRAWS} redraws)",
            fix="make the task larger, or evaluate on fewer examples",
        )


def held_out_hashes(task: Task, sizes: dict[Role, int], seed: int | str) -> np.ndarray:
    """Sorted hashes of all inputs in the evaluation sets of these sizes."""
    parts = [
        input_hashes(Stream(task, seed, role).first(size).inputs)
        for role, size in sorted(sizes.items())
    ]
    return np.unique(np.concatenate(parts))


def input_hashes(inputs: np.ndarray) -> np.ndarray:
    """(n,) uint64 hashes of the rows of inputs (n, ...).

    A sum of words times random odd numbers, modulo 2^64. Two inputs whose tokens are below 2^t
    collide with probability 2^(t - 64) at most; a collision costs one redrawn example.
    """
    words = np.ascontiguousarray(inputs).reshape(len(inputs), -1)
    words = words.view(np.uint32 if words.dtype.itemsize == 4 else np.uint64).astype(np.uint64)
    weights = _weights(words.shape[1])
    return (words * weights).sum(axis=1, dtype=np.uint64)


@lru_cache(maxsize=8)
def _weights(length: int) -> np.ndarray:
    rng = generator("input hash", length)
    return rng.integers(0, 2**64, size=length, dtype=np.uint64) | np.uint64(1)


def _frozen(batch: Batch) -> Batch:
    for array in batch.arrays:
        array.flags.writeable = False  # a slice of it would otherwise write into the cache
    return batch


def _concatenate(parts: Sequence[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return Batch(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.targets for part in parts]),
        {key: np.concatenate([part.info[key] for part in parts]) for key in parts[0].info},
    )
