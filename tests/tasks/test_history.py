"""What stands behind each position, against loops that say it plainly."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tasks.history import arrays, chunks, earlier_equal, frequent_so_far, last_so_far

sequences = st.tuples(st.integers(1, 6), st.integers(1, 12)).flatmap(
    lambda shape: st.tuples(
        arrays_of.arrays(np.int64, shape, elements=st.integers(0, 4)),
        arrays_of.arrays(np.bool_, shape),
        st.sampled_from([1, 20_000, 2**40]),  # beyond 16 bits too
    )
)


@settings(max_examples=60, deadline=None)
@given(sequences)
def test_earlier_equal(drawn):
    items, _, factor = drawn
    last, count = earlier_equal(items * factor)
    for row, column in np.ndindex(items.shape):
        before = [i for i in range(column) if items[row, i] == items[row, column]]
        assert last[row, column] == (before[-1] if before else -1)
        assert count[row, column] == len(before)


@settings(max_examples=60, deadline=None)
@given(sequences)
def test_so_far(drawn):
    tokens, counted, _ = drawn
    frequent, last = frequent_so_far(tokens, counted, 5), last_so_far(tokens, counted)
    for row, column in np.ndindex(tokens.shape):
        so_far = tokens[row, : column + 1][counted[row, : column + 1]]
        assert last[row, column] == (so_far[-1] if len(so_far) else tokens[row, 0])
        if len(so_far):
            assert frequent[row, column] == np.bincount(so_far).argmax()
        else:
            assert frequent[row, column] == 0


def test_pieces():
    assert arrays(3, 4, 5).shape == (3, 4, 5)
    for rows, width in ((1, 1), (1000, 64), (5, 10**6)):
        covered = [row for piece in chunks(rows, width) for row in range(rows)[piece]]
        assert covered == list(range(rows))
