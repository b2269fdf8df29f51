"""What each position of a sequence has behind it: earlier copies, the commonest token so far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Earlier(NamedTuple):
    """For each item (n, m), the equal items to its left in the row.

    last: the column of the nearest of them, -1 where there is none. count: how many there are.
    """

    last: np.ndarray
    count: np.ndarray


def earlier_equal(items: np.ndarray) -> Earlier:
    """Where each of items (n, m), which are >= 0, stood before in its row."""
    rows, width = items.shape
    codes = (items + (items.max() + 1) * np.arange(rows)[:, None]).ravel()
    if codes[-width:].max() < 2**16:
        codes = codes.astype(np.uint16)  # sorts several times as fast
    # Equal items of a row become neighbours, in the order in which they stand.
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    first = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    count, last = np.empty(rows * width, dtype=np.int64), np.empty(rows * width, dtype=np.int64)
    place = np.arange(rows * width)
    count[order] = place - np.repeat(first, np.diff(first, append=rows * width))
    last[order[1:]] = order[:-1] % width
    last[order[first]] = -1
    return Earlier(last.reshape(items.shape), count.reshape(items.shape))


def chunks(rows: int, width: int) -> list[slice]:
    """The rows of an array in slices whose int64 temporaries stay in a core's cache."""
    size = max(1, 2**13 // width)
    return [slice(start, start + size) for start in range(0, rows, size)]


def arrays(num: int, rows: int, length: int) -> np.ndarray:
    """(num, rows, length) int64, uninitialised: the arrays of a batch in one piece of memory.
    Allocating it at once is several times as fast as allocating the arrays one by one."""
    return np.empty((num, rows, length), dtype=np.int64)


def frequent_so_far(tokens: np.ndarray, counted: np.ndarray, num_tokens: int) -> np.ndarray:
    """(n, L) the commonest of the counted tokens (n, L) up to and including each position, of
    tied ones the smallest; 0 where none has come."""
    row = np.arange(len(tokens))
    counts = np.zeros((len(tokens), num_tokens), dtype=np.int64)
    best, out = np.zeros(len(tokens), dtype=np.int64), np.empty(tokens.shape, dtype=np.int64)
    for position in range(tokens.shape[1]):
        token = tokens[:, position]
        counts[row, token] += counted[:, position]
        lead = counts[row, token] - counts[row, best]
        first = counts[row, best] == 0
        better = (lead > 0) | ((lead == 0) & ((token < best) | first))
        best = np.where(better & counted[:, position], token, best)
        out[:, position] = best
    return out


def last_so_far(tokens: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(n, L) the last of the counted tokens (n, L) up to and including each position; the first
    token where none has come."""
    column = np.where(counted, np.arange(tokens.shape[1]), 0)
    return np.take_along_axis(tokens, np.maximum.accumulate(column, axis=1), axis=1)
