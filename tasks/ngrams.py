"""Counting what followed the last few tokens earlier in the same sequence."""

from __future__ import annotations

import numpy as np


def contexts(tokens: np.ndarray, order: int, num_tokens: int) -> np.ndarray:
    """(n, L) number of the last `order` tokens at each position, read in base num_tokens; -1
    where fewer have come."""
    rows, length = tokens.shape
    numbers = np.full((rows, length), -1, dtype=np.int64)
    first = max(order - 1, 0)  # position of the first whole context
    numbers[:, first:] = 0
    for back in range(min(order, length)):
        numbers[:, first:] += num_tokens**back * tokens[:, first - back : length - back]
    return numbers


def followers(tokens: np.ndarray, order: int, num_tokens: int) -> np.ndarray:
    """(n, L, num_tokens) how often each token has followed, up to and including each position,
    what are the last `order` tokens there; 0 where fewer have come.

    Order 0 counts all tokens so far. Memory: (n, num_tokens^(order + 1)) besides the result.
    """
    rows, length = tokens.shape
    number = contexts(tokens, order, num_tokens)
    counts = np.zeros((rows, num_tokens**order, num_tokens), dtype=np.int32)
    out = np.zeros((rows, length, num_tokens), dtype=np.int32)
    row = np.arange(rows)
    for position in range(max(order - 1, 0), length):
        if position >= order:
            before = number[:, position - 1] if order else 0
            counts[row, before, tokens[:, position]] += 1
        out[:, position] = counts[row, number[:, position]]
    return out
