"""Draws for many examples at once, by laws that are exact: without replacement, and orders."""

from __future__ import annotations

import numpy as np


def distinct(rng: np.random.Generator, low: int, high: int, n: int, num: int) -> np.ndarray:
    """(n, num) numbers of low .. high - 1, different in each row, every ordered choice equally
    likely.

    Repeated numbers are drawn again until there are none. The procedure treats all numbers alike,
    so renaming them cannot change the law of its result: it is the uniform one.
    """
    if high - low < 2 * num:  # few left to choose from: a random order of all
        return low + np.argsort(rng.random((n, high - low)), axis=1)[:, :num]
    bits = (num - 1).bit_length()
    narrow = (high - low) << bits <= 2**31
    found = rng.integers(high - low, size=(n, num), dtype=np.int32 if narrow else np.int64)
    rows = np.arange(n)
    while len(rows):
        # Equal numbers stand side by side once the row is sorted; the place is in the last bits.
        keys = np.sort((found[rows] << bits) | np.arange(num, dtype=found.dtype), axis=1)
        repeated = (keys[:, 1:] ^ keys[:, :-1]) < 1 << bits
        row, after = np.nonzero(repeated)
        place = keys[row, after + 1] & ((1 << bits) - 1)
        found[rows[row], place] = rng.integers(high - low, size=len(row), dtype=found.dtype)
        rows = rows[np.unique(row)]
    return low + found.astype(np.int64)


def reordered(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    """(n, num) random orders of 0 .. num - 1, none of which is the ascending one (unless num is
    1). The descending order stands in for it, so it is twice as likely as any other."""
    order = np.argsort(rng.random((n, num)), axis=1)
    same = (order == np.arange(num)).all(axis=1)
    order[same] = np.arange(num)[::-1]
    return order


def rotated(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    """(n, num) random rotations of 0 .. num - 1, in which no number stays; num is at least 2."""
    return (np.arange(num) + rng.integers(1, num, size=(n, 1))) % num


def one_of(rng: np.random.Generator, allowed: np.ndarray) -> np.ndarray:
    """(n,) one True column of each row of allowed (n, m), all equally likely; 0 where none is."""
    return np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1)


def race(rng: np.random.Generator, rates: np.ndarray, n: int, num: int) -> np.ndarray:
    """(n, num) indices drawn one after the other without replacement, each in proportion to its
    rate among those left.

    Every index arrives after an exponential time of its rate; the order of arrival is such a
    draw. The index takes the last bits of a time's 52 (16 at 65,536 indices), so that times are
    compared to one part in 2^36 there.
    """
    bits = (len(rates) - 1).bit_length()
    times = rng.standard_exponential((n, len(rates)))
    times *= 1 / rates
    keys = times.view(np.int64)  # positive floats are ordered as their bits are
    keys &= -(1 << bits)
    keys |= np.arange(len(rates))
    if num < len(rates) // 8:
        keys.partition(num, axis=1)
        keys = keys[:, :num]
    keys.sort(axis=1)
    return keys[:, :num] & ((1 << bits) - 1)
