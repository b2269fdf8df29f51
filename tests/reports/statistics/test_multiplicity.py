"""Holm by its textbook example and by its definition; alpha of several looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.statistics import alpha_at_each_look, holm

FAMILY = st.lists(st.floats(0, 1), max_size=8)


def rejected(p, alpha, num):
    """Holm's procedure as it is told: from the smallest on, until one fails."""
    found = set()
    for rank, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        if p[index] > alpha / (num - rank):
            break
        found.add(index)
    return found


@pytest.mark.parametrize(
    ("p", "num", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], None, [0.03, 0.06, 0.06, 0.02]),
        ([0.03], None, [0.03]),
        ([0.03], 4, [0.12]),
        ([0.01, 0.02], 3, [0.03, 0.04]),
        ([0.6, 0.5], None, [1.0, 1.0]),
        ([0.0, 1.0], None, [0.0, 1.0]),
        ([], None, []),
    ],
)
def test_holm(p, num, expected):
    assert holm(p, num) == pytest.approx(expected)


@given(FAMILY, st.integers(0, 5), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_procedure_does(p, more, alpha):
    num = len(p) + more
    corrected = holm(p, num)
    close = any(abs(value - alpha) < 1e-9 for value in corrected)
    if not close:
        found = {index for index, value in enumerate(corrected) if value <= alpha}
        assert found == rejected(p, alpha, num)


@given(FAMILY, st.randoms())
def test_holm_lies_between_no_correction_and_bonferronis_and_knows_no_order(p, random):
    corrected = holm(p)
    for before, after in zip(p, corrected, strict=True):
        assert before <= after <= min(1, len(p) * before)
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[index] for index in order]) == [corrected[index] for index in order]


@given(FAMILY, st.integers(1, 5))
def test_members_that_are_not_there_count_as_one(p, more):
    assert holm(p, len(p) + more) == holm([*p, *[1.0] * more])[: len(p)]


@given(FAMILY.filter(len))
def test_holm_is_no_laxer_than_the_false_discovery_rate(p):
    for ours, scipys in zip(holm(p), stats.false_discovery_control(p), strict=True):
        assert ours >= scipys - 1e-12


def test_a_family_is_no_smaller_than_its_list():
    with pytest.raises(ValueError, match="2 p values in a family of 1"):
        holm([0.1, 0.2], 1)


def test_alpha_is_divided_by_the_looks():
    assert [alpha_at_each_look(0.05, num) for num in (1, 2, 4)] == [0.05, 0.025, 0.0125]
    with pytest.raises(ValueError, match="counted from 1"):
        alpha_at_each_look(0.05, 0)
