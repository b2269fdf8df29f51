"""The search trains what decides, and finds what it would have found by training all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations import threshold
from ablations.threshold import Search
from harness.foundation.errors import HarnessError
from reports import thresholds
from tests.ablations.examples import SMALL

VALUES = [4, 8, 12, 16, 20, 24]
DECLARED = f"thresholds:\n  width: {{over: model.width, values: {VALUES}, solve_rate: 0.8}}\n"


@pytest.fixture
def searched(tmp_path) -> Search:
    path = tmp_path / "f.yaml"
    path.write_text(SMALL + DECLARED)
    return threshold.load(str(path))


def play(searched: Search, first: dict[str, int]):
    """Runs the search where an arm solves from its place `first` on; counts what was trained."""
    trained = []

    def solved(ablation):
        trained.append([arm.label for arm in ablation.arms])
        places = {
            arm.condition_id: (label, place)
            for label, arms in searched.arms.items()
            for place, arm in enumerate(arms)
        }
        counts = {}
        for arm in ablation.arms:
            label, place = places[arm.condition_id]
            counts[arm.condition_id] = (5 if place >= first[label] else 2, 5)
        return counts

    return threshold.bisect(searched, solved), trained


@pytest.mark.parametrize(
    ("a", "b"), [*itertools.product(range(len(VALUES) + 1), [0, 3, len(VALUES)])]
)
def test_it_finds_the_first_value_that_passes(searched, a, b):
    found, trained = play(searched, {"attention": a, "long_conv": b})
    for each, place in zip(found, (a, b), strict=True):
        assert each.passes == (str(VALUES[place]) if place < len(VALUES) else None)
        assert len(each.probes) <= 3  # of six values
    assert len(trained) <= 3
    assert all(set(one) < set(two) for one, two in itertools.pairwise(trained))


def test_the_table_says_what_is_not_certain(searched):
    found, _ = play(searched, {"attention": 2, "long_conv": 6})
    section = thresholds.section(found)
    (grid,) = section.grids
    assert grid.rows[0][0] == "attention: passes from 12"
    assert "long_conv: never passes" in {row[0] for row in grid.rows}
    assert "2/5 [0.12, 0.77]" in {row[2] for row in grid.rows}
    assert "More seeds" not in section.note  # .77 is below .8
    sharper = [each._replace(solve_rate=0.7) for each in found]
    assert "More seeds could move the threshold of attention, long_conv" in (
        thresholds.section(sharper).note
    )
    assert thresholds.as_data(found[0])["is_certain"]


def test_an_arm_whose_every_run_failed_stops_the_search(searched):
    with pytest.raises(HarnessError, match=r"every run of 'attention, model.width=12' failed"):
        threshold.bisect(searched, lambda ablation: {})


BAD = {
    "none": ("", "small declares no thresholds"),
    "no field": ("thresholds: {w: {over: width, values: [1, 2]}}\n", "'width' is no field"),
    "one value": ("thresholds: {w: {over: model.width, values: [1]}}\n", "at least 2"),
    "no such arm": (
        "thresholds: {w: {over: model.width, values: [8, 16], arms: [atention]}}\n",
        "no arm is called 'atention'",
    ),
    "a factor's field": (
        "thresholds: {w: {over: model.mixer, values: [fnet, short_conv]}}\n",
        "model.mixer is a factor",
    ),
    "several": (
        "thresholds: {a: {over: model.width, values: [8, 16]}, "
        "b: {over: model.layers, values: [1, 2]}}\n",
        "there are several thresholds",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, tmp_path):
    text, message = BAD[case]
    (tmp_path / "f.yaml").write_text(SMALL + text)
    with pytest.raises(HarnessError) as error:
        threshold.load(str(tmp_path / "f.yaml"))
    assert message in str(error.value)


@given(st.integers(0, 5), st.integers(1, 5))
def test_a_solve_rate_in_words_holds_its_interval(solved, ended):
    solved = min(solved, ended)
    assert thresholds.rate_text(solved, ended).startswith(f"{solved}/{ended} [")
