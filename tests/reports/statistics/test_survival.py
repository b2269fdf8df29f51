"""Median and Kaplan-Meier curve by hand and by scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics import median_steps, solve_curve

RUNS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(1, 8)), st.integers(8, 12)), min_size=1, max_size=12
)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], None),
        ([None], None),
        ([400], 400),
        ([400, None, None], None),
        ([400, 900, None], 900),
        ([400, 900, None, None], 900),
        ([400, 900, 1000, None], 950),
        ([300, 500], 400),
    ],
)
def test_median_steps_counts_unsolved_as_late(steps, expected):
    assert median_steps(steps) == expected


@pytest.mark.parametrize(
    ("steps", "budgets", "expected"),
    [
        ([3, 5, None, 5], 10, ([3, 5], [3 / 4, 1 / 4], [4, 3])),
        ([3, 5], 10, ([3, 5], [1 / 2, 0], [2, 1])),
        # One left at 4 without solving: of 5 runs, 4 then 3 are at risk.
        ([3, None, 5, 5, None], [10, 4, 10, 10, 10], ([3, 5], [4 / 5, 4 / 15], [5, 3])),
        # Solved at the very step at which another ended: that one was still at risk.
        ([4, None], [10, 4], ([4], [1 / 2], [2])),
        ([None, None], 10, ([], [], [])),
        ([], 10, ([], [], [])),
    ],
)
def test_solve_curve_by_hand(steps, budgets, expected):
    found = solve_curve(steps, budgets)
    assert (found.steps, found.at_risk) == (expected[0], expected[2])
    assert found.unsolved == pytest.approx(expected[1])


@given(RUNS)
def test_solve_curve_is_the_product_of_shares_that_go_on(runs):
    """Kaplan and Meier's definition, and where nobody leaves early, the plain share."""
    steps, budgets = zip(*runs, strict=True)
    found = solve_curve(steps, budgets)
    share = 1.0
    for step, unsolved, at_risk in zip(*found, strict=True):
        num_solved = steps.count(step)
        share *= 1 - num_solved / at_risk
        assert unsolved == pytest.approx(share, abs=1e-12)
    plain = solve_curve(steps, 12)
    later = [sum(s is None or s > step for s in steps) / len(steps) for step in plain.steps]
    assert plain.unsolved == pytest.approx(later)
    assert plain.steps == sorted({step for step in steps if step is not None})


def test_budgets_are_of_each_run():
    with pytest.raises(ValueError, match=r"zip\(\)"):
        solve_curve([3, None], [10])
